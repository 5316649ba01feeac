"""What changed in a database's schema since an adapter learnt it, found in the prompts it was trained with.

A data folder and an open database go in, sentences come out. A folder that was made of other databases says nothing of
this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from myna.data.example import Example
from myna.data.folder import open_split
from myna.databases import Database
from myna.databases.address import Address
from myna.errors import DatabaseError, DataError
from myna.text2sql.facts import SqlFacts, named_databases
from myna.text2sql.identifiers import identifier, table_identifier

_PROMPTS = 500
"""Prompts that are looked at; of a large schema each shows a part."""
_SHOWN = 5
_QUOTED = r"\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`"
_NAME = rf"(?:{_QUOTED}|[^\W\d]\w*)"
_LINE = re.compile(rf"(?:view )?(?P<table>{_NAME}(?:\.{_NAME})*)(?:\{{[^}}]*\}})?\((?P<columns>.*)\)")
_PIECE = re.compile(rf"{_QUOTED}|'(?:[^']|'')*'|\{{[^}}]*\}}|[()]|, |[^\"`'{{(),]+|.", re.DOTALL)


def changes_since_training(data: Path, database: Database) -> tuple[str, ...]:
    """Return what is different in `database` from the schema in the prompts of the data folder `data`.

    Empty when nothing is, and when that can't be known: the folder is gone, was made of another database, or holds no
    schema text. Raises `DatabaseError` when the database's own schema can't be read.
    """
    before: dict[str, set[str]] = {}
    try:
        name = _name_in(data, database)
        if name is not None:
            for example in islice(open_split(data, "train"), _PROMPTS):
                _add(before, example, name)
    except DataError:  # moved, or changed by hand: not this command's business
        return ()
    return tuple(_differences(before, database)) if before else ()


def described(text: str) -> Mapping[str, tuple[str, ...]]:
    """Return tables and columns of a schema text, both as SQL writes them; lines that are no table are passed over."""
    found = {}
    for line in text.splitlines():
        table = _LINE.fullmatch(line)
        if table is not None and (columns := tuple(_columns(table["columns"]))):
            found[table["table"]] = columns
    return found


def _columns(text: str) -> Iterator[str]:
    """Yield what each element of a table's list begins with, but for keys of several columns."""
    depth, begins = 0, True
    for piece in _PIECE.findall(text):
        if piece == ", " and depth == 0:
            begins = True
        elif begins:
            begins = False
            name = re.match(_NAME, piece)
            if name is not None and piece != "key ":
                yield name[0]
        depth += {"(": 1, ")": -1}.get(piece, 0)


def _name_in(data: Path, database: Database) -> str | None:
    """Return what the data folder calls this database; the only one that it has may have moved since."""
    named = named_databases(data.expanduser())
    if len(named) == 1:
        return next(iter(named))
    here = database.address
    for name, place in named.items():
        try:
            there = Address.parse(place if "://" in place else str(data.expanduser() / place))
        except DatabaseError:
            continue
        if (there.kind, there.location) == (here.kind, here.location):
            return name
    return None


def _add(before: dict[str, set[str]], example: Example, name: str) -> None:
    facts = SqlFacts.of(example)
    if facts is None or facts.database != name or not example.messages:
        return
    content = example.messages[0].get("content")
    for table, columns in described(content if isinstance(content, str) else "").items():
        before.setdefault(table, set()).update(columns)


def _differences(before: Mapping[str, set[str]], database: Database) -> Iterator[str]:
    dialect = database.dialect
    now = {
        table_identifier(table.name, dialect): [identifier(column.name, dialect) for column in table.columns]
        for table in database.schema.tables
    }
    if not before.keys() & now.keys():
        yield "every table is another: the adapter was trained on another database"
        return
    if gone := [table for table in before if table not in now]:
        yield _said("table", gone, "gone")
    if new := [table for table in now if table not in before]:
        yield _said("table", new, "new, or was in no prompt" if len(new) == 1 else "new, or were in no prompt")
    for table in sorted(before.keys() & now.keys()):
        if gone := sorted(before[table] - set(now[table])):
            yield _said("column", gone, f"gone from {table}")
        if new := [column for column in now[table] if column not in before[table]]:
            yield _said("column", new, f"new in {table}")


def _said(what: str, names: list[str], change: str) -> str:
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return f"{what} {shown} is {change}" if len(names) == 1 else f"{what}s {shown} are {change}"
