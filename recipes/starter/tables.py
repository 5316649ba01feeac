"""Make databases of WikiSQL's training tables, for `myna data database` to ask about.

WikiSQL's own questions choose one column and know no ORDER BY, no GROUP BY and no `*`.

    python recipes/starter/tables.py WIKISQL OUT --without FOLDER

Writes `OUT/wiki0.sqlite` … with names spelt as people spell them, and `OUT/nouns.json`, words for names of tables.
FOLDER is the data folder whose validation asks about the tables that are left out.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from myna.text2sql.identifiers import quoted
from myna.text2sql.wikisql import WikiSQLTable, read_tables
from spelling import restored, snake, table_name

DATABASES, TABLES = 14, 40
_SEED = 5


def suitable(table: WikiSQLTable) -> bool:
    """Return whether there is enough in a table to ask for, and not too much to show."""
    return 7 <= len(table.rows) <= 200 and 3 <= len(table.columns) <= 9


def write(path: Path, tables: Iterator[WikiSQLTable], nouns: list[str], chance: random.Random) -> None:
    """Write one database of the next suitable tables."""
    taken: set[str] = set()
    with closing(sqlite3.connect(path)) as connection, connection:
        while len(taken) < TABLES:
            table = next(tables)
            style = chance.random()
            spell: Callable[[str], str] = restored if style < 0.6 else snake if style < 0.85 else str
            columns = [spell(name) for name in table.columns]
            if not suitable(table) or len({name.casefold() for name in columns}) < len(columns):
                continue
            name = table_name(nouns, chance)
            while name.casefold() in taken or name[0].isdigit():
                name = table_name(nouns, chance)
            taken.add(name.casefold())
            number = chance.choice(("REAL", "INTEGER"))
            types = [number if kind == "real" else "TEXT" for kind in table.types]
            listed = ", ".join(f"{quoted(column)} {kind}" for column, kind in zip(columns, types, strict=True))
            connection.execute(f"CREATE TABLE {quoted(name)} ({listed})")
            cells = [
                [_cell(cell, kind, style < 0.85) for cell, kind in zip(row, types, strict=True)] for row in table.rows
            ]
            connection.executemany(f"INSERT INTO {quoted(name)} VALUES ({', '.join('?' * len(columns))})", cells)


def _cell(cell: Any, kind: str, is_restored: bool) -> Any:
    if kind != "TEXT":
        try:
            number = float(str(cell).replace(",", ""))
        except ValueError:
            return cell
        return int(number) if number.is_integer() else number
    return restored(str(cell)) if is_restored and cell is not None else cell


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wikisql", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--without", type=Path, required=True)
    arguments = parser.parse_args()
    lines = (arguments.without / "valid.jsonl").read_text("utf-8").splitlines()
    kept_out = {json.loads(line)["sql"]["query"]["table_id"] for line in lines}
    tables = [table for table in read_tables(arguments.wikisql / "train.tables.jsonl") if table.id not in kept_out]
    chance = random.Random(_SEED)
    chance.shuffle(tables)
    words = (word for table in tables[:3000] for name in table.columns for word in re.findall("[a-z]{4,}", name))
    nouns = sorted(set(words))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "nouns.json").write_text(json.dumps(nouns), "utf-8")
    ordered = iter(tables)
    for number in range(DATABASES):
        path = arguments.out / f"wiki{number}.sqlite"
        path.unlink(missing_ok=True)
        write(path, ordered, nouns, chance)


if __name__ == "__main__":
    main()
