"""What changed in a database's schema since an adapter learnt it, found in the prompts it was trained with.

A data folder and an open database go in, sentences come out. A folder that was made of other databases says nothing of
this one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from myna.data.example import Example
from myna.data.folder import open_split
from myna.data.lines import split_lines
from myna.databases import Database
from myna.databases.address import Address
from myna.errors import DatabaseError, DataError
from myna.text2sql.facts import SqlFacts, named_databases
from myna.text2sql.schema_text import schema_text

_PROMPTS = 500
"""Prompts that are looked at; of a large schema each shows a part."""
_SHOWN = 5
_QUOTED = r"\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`"
_NAME = rf"(?:{_QUOTED}|[^\W\d]\w*)"
_LINE = re.compile(rf"(?:view )?(?P<table>{_NAME}(?:\.{_NAME})*)(?:\{{.*?\}})?\((?P<columns>.*)\)")
_AFTER_TYPE = re.compile(r"(?:^| )(?:key\b|-> )")
_PIECE = re.compile(rf"{_QUOTED}|'(?:[^']|'')*'|\{{[^}}]*\}}|[()]|, |[^\"`'{{(),]+|.", re.DOTALL)


def changes_since_training(data: Path, database: Database) -> tuple[str, ...]:
    """Return what is different in `database` from the schema in the prompts of the data folder `data`.

    Empty when nothing is, and when that can't be known: the folder is gone, was made of another database, or holds no
    schema text. Raises `DatabaseError` when the database's own schema can't be read.
    """
    before: dict[str, dict[str, str]] = {}
    try:
        name = _name_in(data, database)
        if name is not None:
            for example in islice(open_split(data, "train"), _PROMPTS):
                _add(before, example, name)
    except DataError:  # moved, or changed by hand: not this command's business
        return ()
    return tuple(_differences(before, database)) if before else ()


def described(text: str) -> Mapping[str, Mapping[str, str]]:
    """Return the tables of a schema text, each with its columns and their types; names are as SQL writes them.

    Lines that are no table are passed over. Of a type with parentheses or quotes only what stands before them is given.
    """
    found = {}
    for line in split_lines(text):
        table = _LINE.fullmatch(line)
        if table is not None and (columns := dict(_columns(table["columns"]))):
            found[table["table"]] = columns
    return found


def _columns(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and type of each element of a table's list, but for keys of several columns."""
    for element in _elements(text):
        name = re.match(_NAME, element)
        if name is not None and element != "key ":
            yield name[0], _AFTER_TYPE.split(element[name.end() :])[0].strip()


def _elements(text: str) -> Iterator[str]:
    """Yield what each element of a list begins with, up to a parenthesis, a comment or a text."""
    depth, element, ended = 0, "", False
    for piece in _PIECE.findall(text):
        if piece == ", " and depth == 0:
            yield element
            element, ended = "", False
            continue
        depth += {"(": 1, ")": -1}.get(piece, 0)
        ended = ended or piece[0] in "({'" or (piece[0] in '"`' and element != "")
        if not ended:
            element += piece
    yield element


def _name_in(data: Path, database: Database) -> str | None:
    """Return what the data folder calls this database; the only one that it has may have moved since."""
    named = named_databases(data.expanduser())
    if len(named) == 1:
        return next(iter(named))
    here = database.address
    for name, place in named.items():
        if _is_of(here, place, data.expanduser()):
            return name
    return None


def _is_of(here: Address, place: str, data: Path) -> bool:
    """Return whether a data folder's place is this database. Looks at nothing there: anybody may have written it."""
    if "://" not in place:
        return os.path.abspath(data / place) == here.location
    try:
        return Address.parse(place).place == here.place
    except DatabaseError:
        return False


def _add(before: dict[str, dict[str, str]], example: Example, name: str) -> None:
    facts = SqlFacts.of(example)
    if facts is None or facts.database != name or not example.messages:
        return
    content = example.messages[0].get("content")
    for table, columns in described(content if isinstance(content, str) else "").items():
        before.setdefault(table, {}).update(columns)


def _differences(before: Mapping[str, Mapping[str, str]], database: Database) -> Iterator[str]:
    now = described(schema_text(database.schema, dialect=database.dialect))
    if not before.keys() & now.keys():
        yield "every table is another: the adapter was trained on another database"
        return
    if gone := [table for table in before if table not in now]:
        yield _said("table", gone, "gone")
    if new := [table for table in now if table not in before]:
        yield _said("table", new, "new, or was in no prompt" if len(new) == 1 else "new, or were in no prompt")
    for table in sorted(before.keys() & now.keys()):
        was, becomes = before[table], now[table]
        if gone := sorted(was.keys() - becomes.keys()):
            yield _said("column", gone, f"gone from {table}")
        if new := [column for column in becomes if column not in was]:
            yield _said("column", new, f"new in {table}")
        changed = [column for column in was if was[column] != becomes.get(column, was[column])]
        for column in changed[:_SHOWN]:
            kinds = [types[column] or "without a type" for types in (becomes, was)]
            yield "column {} of {} is {} now, it was {}".format(column, table, *kinds)


def _said(what: str, names: list[str], change: str) -> str:
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return f"{what} {shown} is {change}" if len(names) == 1 else f"{what}s {shown} are {change}"
