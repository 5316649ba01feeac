"""The files of Spider's official evaluators: gold and prediction files out, `tables.json` in.

The evaluator published with the test suites reads a gold file of `SQL<TAB>database` and a prediction file of one SQL a
line, takes an empty line for the end of a dialogue, and stops at a gold query that it can't read. Databases lie at
`FOLDER/ID/ID.sqlite`. Knows nothing of how it judges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from myna.databases.schema import Column, ColumnKind, ForeignKey, Schema, Table
from myna.errors import DataError
from myna.runs import write_file

NOTHING = "SELECT 1"
"""Stands for an answer without SQL: the evaluator can't read an empty line."""

_KINDS: dict[str, ColumnKind] = {"number": "number", "text": "text", "time": "date", "boolean": "boolean"}
_PIECES = re.compile(
    r"""
    (?P<quoted> '(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \[[^\]\n]*\] )
  | (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
    """,
    re.VERBOSE | re.DOTALL,
)
_BREAKS = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")


def one_line(sql: str | None) -> str:
    """Return `sql` as a line of an official file: comments dropped, every line break and tab a space.

    Within quotes too, because the files have no way to write them there. Nothing becomes `SELECT 1`.
    """
    bare = _PIECES.sub(lambda piece: piece["quoted"] or " ", sql or "")
    return _BREAKS.sub(" ", bare).strip() or NOTHING


def write_gold(path: Path, questions: Iterable[tuple[str, str]]) -> None:
    """Write the gold file of (SQL, database) pairs. Raises what `write_file` raises."""
    write_file(path, "".join(f"{one_line(sql)}\t{database}\n" for sql, database in questions))


def write_predictions(path: Path, predictions: Iterable[str | None]) -> None:
    """Write the prediction file, in the order of the gold file; None is an answer without SQL."""
    write_file(path, "".join(f"{one_line(sql)}\n" for sql in predictions))


def read_schemas(path: Path) -> dict[str, Schema]:
    """Return the schemas in a `tables.json` by database: the tables, columns and keys as the evaluators know them.

    Raises `DataError` for a file that can't be read or an entry that does not fit together.
    """
    try:
        entries = json.loads(path.read_text("utf-8"))
        if not isinstance(entries, list):
            raise TypeError("the file holds no list")
        return {str(entry["db_id"]): _schema(entry) for entry in entries}
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}); it describes the databases of Spider") from error
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"{path}: not Spider's tables.json ({type(error).__name__}: {error}); expected a list of objects with "
            "db_id, table_names_original, column_names_original, column_types, primary_keys and foreign_keys"
        ) from error


def _schema(entry: Mapping[str, Any]) -> Schema:
    names, columns = entry["table_names_original"], entry["column_names_original"]
    types = entry["column_types"]
    primary = {int(place) for key in entry["primary_keys"] for place in (key if isinstance(key, list) else [key])}
    tables = []
    for number, name in enumerate(names):
        own = [place for place, (table, _) in enumerate(columns) if table == number]
        tables.append(
            Table(
                name=str(name),
                columns=tuple(Column(columns[at][1], types[at], _KINDS.get(types[at], "other")) for at in own),
                primary_key=tuple(columns[at][1] for at in own if at in primary),
                foreign_keys=tuple(_foreign_keys(entry["foreign_keys"], own, columns, names)),
            )
        )
    return Schema(tuple(tables))


def _foreign_keys(
    pairs: Sequence[Sequence[int]], own: Sequence[int], columns: Sequence[Sequence[Any]], names: Sequence[str]
) -> Iterable[ForeignKey]:
    for at, referenced in pairs:
        if at in own:
            table, column = columns[referenced]
            yield ForeignKey((columns[at][1],), names[table], (column,))
