"""A schema as text for a prompt: a line a table, with types, keys and a few sample values.

    student(id number key, name text ('Ann', 'Bob'), age number (20), town_id number -> town.id)
    takes(student_id number -> student.id, course text ('Art'), key (student_id, course))

Names are written as SQL needs them, quoted where it does. `key` marks a primary key, `->` the column that a foreign key
refers to, braces a comment of the database. A type is what the declared one amounts to: number, text, date, boolean,
binary; others as declared. Sample values are SQL literals; a text that was cut ends in `…`, line breaks and control
characters are written as escapes, so that a table is always one line (unless a name itself has a line break, which no
SQL can escape). The same schema and samples give the same bytes. Knows no model and no tokenizer.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from myna.databases import Column, Database, ForeignKey, Schema, Table
from myna.errors import QueryError
from myna.text2sql.identifiers import identifier, table_identifier

LONGEST_VALUE = 30
"""Characters of a sample value that are shown."""
LONGEST_COMMENT = 80
"""Characters of a comment that are shown."""
ROWS_LOOKED_AT = 200
"""Rows of a table from which its sample values are taken."""
_SECRET = re.compile(r"passw|passphrase|secret|token|api_?key|private_?key|credential", re.IGNORECASE)

Samples = Mapping[str, Mapping[str, Sequence[Any]]]
"""Table → column → a few values."""


def schema_text(schema: Schema, samples: Samples | None = None, *, dialect: str = "sqlite") -> str:
    """Return the text of a schema, one line a table and no line break at the end.

    samples: values to show, as `sample_values` gives them; a table or column without any shows none. Bytes and NULL are
    never shown. dialect: sqlglot's name of the SQL that names are quoted for.
    """
    return "\n".join(_table(table, (samples or {}).get(table.name, {}), dialect) for table in schema.tables)


def sample_values(database: Database, table: Table, count: int = 3) -> dict[str, list[Any]]:
    """Return a few different values of each column that say something, from the first rows of the table.

    count: for texts; numbers and dates give one. First by primary key, where there is one, so that the same content
    gives the same samples. Keys that are numbers, bytes, and columns whose name speaks of passwords or tokens have no
    samples. Neither has a table that can't be read.
    """
    linked = {name for key in table.foreign_keys for name in key.columns}.union(table.primary_key)
    telling = [
        column
        for column in table.columns
        if column.kind != "binary"
        and not (column.kind == "number" and column.name in linked)
        and not holds_secrets(column.name)
    ]
    if not telling or count < 1:
        return {}
    names = ", ".join(identifier(column.name, database.dialect) for column in telling)
    sql = f"SELECT {names} FROM {table_identifier(table.name, database.dialect)}"
    if table.primary_key:
        sql += " ORDER BY " + ", ".join(identifier(name, database.dialect) for name in table.primary_key)
    try:
        rows = database.run(f"{sql} LIMIT {ROWS_LOOKED_AT}").rows
    except QueryError:  # a view over a table that is gone, or one that takes too long
        return {}
    found = {}
    for column, values in zip(telling, zip(*rows, strict=True), strict=False):
        found[column.name] = _different(values, 1 if column.kind in ("number", "date") else count)
    return found


def holds_secrets(column: str) -> bool:
    """Return whether a column's name speaks of passwords or tokens: its cells are shown nowhere and indexed nowhere."""
    return _SECRET.search(column) is not None


def _different(values: Sequence[Any], count: int) -> list[Any]:
    found: dict[str, Any] = {}
    for value in values:
        if len(found) == count:
            break
        shown = _literal(value)
        if shown is not None and shown.strip("' "):
            found.setdefault(shown, value)
    return list(found.values())


def _table(table: Table, samples: Mapping[str, Sequence[Any]], dialect: str) -> str:
    single = {key.columns[0]: key for key in table.foreign_keys if len(key.columns) == 1}
    parts = [
        " ".join(_column(table, column, single.get(column.name), samples.get(column.name, ()), dialect))
        for column in table.columns
    ]
    if len(table.primary_key) > 1:
        parts.append(f"key ({_names(table.primary_key, dialect)})")
    parts += [
        f"({_names(key.columns, dialect)}) -> {table_identifier(key.table, dialect)}"
        f"({_names(key.referenced_columns, dialect)})"
        for key in table.foreign_keys
        if len(key.columns) > 1
    ]
    view = "view " if table.is_view else ""
    return f"{view}{table_identifier(table.name, dialect)}{_comment(table.comment)}({', '.join(parts)})"


def _column(
    table: Table, column: Column, key: ForeignKey | None, samples: Sequence[Any], dialect: str
) -> Iterator[str]:
    yield identifier(column.name, dialect)
    kind = column.type.lower() if column.kind == "other" else column.kind
    if kind:
        yield _printable(kind)
    if table.primary_key == (column.name,):
        yield "key"
    if key is not None:
        yield f"-> {table_identifier(key.table, dialect)}" + "".join(
            f".{identifier(name, dialect)}" for name in key.referenced_columns
        )
    if column.comment:
        yield _comment(column.comment)
    values = [shown for value in samples if (shown := _literal(value)) is not None]
    if values:
        yield f"({', '.join(values)})"


def _names(names: Sequence[str], dialect: str) -> str:
    return ", ".join(identifier(name, dialect) for name in names)


def _comment(comment: str) -> str:
    return f"{{{_cut(comment, LONGEST_COMMENT)}}}" if comment else ""


def _literal(value: Any) -> str | None:
    """Return a value as SQL, None for what is not shown."""
    if value is None or isinstance(value, bytes | bytearray | memoryview):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    if isinstance(value, int | Decimal):
        return str(value)
    text = value.isoformat(" ") if isinstance(value, datetime.datetime) else str(value)
    return "'" + _cut(text, LONGEST_VALUE).replace("'", "''") + "'"


def _cut(text: str, longest: int) -> str:
    shown = _printable(text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _printable(text: str) -> str:
    """Write what can't be seen, or breaks a line, as an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
