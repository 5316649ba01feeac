"""The different cells of a database's columns, read within bounds of rows, characters, columns and time.

A small table is read whole, with one query. Of a larger one each column is asked for its different values; one that
has too many gives the first, one that takes too long those of the first rows, and neither is then complete. Left out:
bytes, booleans, numbers that are keys or take many values, texts that are long, and columns whose name speaks of
passwords or tokens.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from myna.databases import Column, Database, Limits, Table
from myna.errors import QueryError
from myna.text2sql.grammar import Literal
from myna.text2sql.identifiers import identifier, table_identifier
from myna.text2sql.schema_text import holds_secrets

LONGEST_CELL = 120
"""Characters; longer texts are prose, which no question repeats."""
ROWS_AT_ONCE = 10_000
"""Rows of a table that is read whole, and the first rows of one that is not."""
DIFFERENT_TEXTS = 100_000
"""Of one column."""
DIFFERENT_NUMBERS = 1_000
"""A column with more measures or counts something; questions compare it with numbers of their own."""
CELLS = 1_000_000
"""Of a database."""
SECONDS_TO_READ = 60.0
_SECONDS_OF_A_QUERY = 10.0
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What breaks a line, drives a terminal, or turns the direction of writing."""
_SEEN = ("text", "number", "date", "other")

LIMITS = Limits(seconds=_SECONDS_OF_A_QUERY, rows=DIFFERENT_TEXTS + 1, bytes=128 * 2**20, memory=400 * 2**20)
"""Of the connection that cells are read through."""


@dataclass(frozen=True, slots=True)
class Cells:
    """What was found in a column. complete: no value is missing but long texts. rows: of the table that were seen."""

    table: str
    column: str
    values: Sequence[Literal]
    complete: bool
    rows: int


def read_cells(database: Database) -> Iterator[Cells]:
    """Yield the columns that have cells to be found: of tables in the schema's order, then of views.

    Tables that can't be read are left out, and those that no time is left for. database: opened with `LIMITS`. Raises
    `DatabaseError`.
    """
    end = time.monotonic() + SECONDS_TO_READ
    left = CELLS
    for table in sorted(database.schema.tables, key=lambda table: table.is_view):
        columns = _seen(table)
        if not columns or time.monotonic() > end:
            continue
        for cells in _of_table(database, table, columns, end):
            if _is_worth_keeping(cells, table) and len(cells.values) <= left:
                left -= len(cells.values)
                yield cells


def cells_of(table: Table, rows: Sequence[Sequence[Any]]) -> Iterator[Cells]:
    """Yield the columns of a table that have cells to be found, from all its rows `[rows][columns]`."""
    for column in _seen(table):
        place = table.columns.index(column)
        cells = Cells(table.name, column.name, _literals(row[place] for row in rows), True, len(rows))
        if _is_worth_keeping(cells, table):
            yield cells


def _seen(table: Table) -> list[Column]:
    return [column for column in table.columns if column.kind in _SEEN and not holds_secrets(column.name)]


def _is_worth_keeping(cells: Cells, table: Table) -> bool:
    if all(isinstance(value, str) for value in cells.values):
        return True
    keys = {name for key in table.foreign_keys for name in key.columns}.union(table.primary_key)
    return cells.column not in keys and len(cells.values) <= DIFFERENT_NUMBERS


def _of_table(database: Database, table: Table, columns: Sequence[Column], end: float) -> Iterator[Cells]:
    names = [identifier(column.name, database.dialect) for column in columns]
    source = table_identifier(table.name, database.dialect)
    try:
        first = database.run(f"SELECT {', '.join(names)} FROM {source} LIMIT {ROWS_AT_ONCE + 1}")
    except QueryError:  # a view over a table that is gone, or one that takes too long
        return
    whole = len(first.rows) <= ROWS_AT_ONCE and not first.truncated
    for place, (column, name) in enumerate(zip(columns, names, strict=True)):
        seen = _literals(row[place] for row in first.rows)
        found, complete = (seen, True) if whole else _different(database, source, name, column, seen, end)
        yield Cells(table.name, column.name, found, complete, len(first.rows))


def _different(
    database: Database, source: str, name: str, column: Column, seen: list[Literal], end: float
) -> tuple[list[Literal], bool]:
    """Return a column's different values, or as many as there may be or are `seen`; and whether that is all."""
    numbers = not any(isinstance(value, str) for value in seen)
    most = DIFFERENT_NUMBERS if numbers and column.kind in ("number", "other") else DIFFERENT_TEXTS
    if len(seen) > most or time.monotonic() > end:
        return seen, False
    long = f" AND LENGTH({name}) <= {LONGEST_CELL}" if column.kind == "text" and database.dialect != "mysql" else ""
    try:
        result = database.run(f"SELECT DISTINCT {name} FROM {source} WHERE {name} IS NOT NULL{long} LIMIT {most + 1}")
    except QueryError:
        return seen, False
    found = _literals(row[0] for row in result.rows)
    return found, len(result.rows) <= most and not result.truncated


def _literals(values: Iterable[Any]) -> list[Literal]:
    found = (_literal(value) for value in values)
    return list(dict.fromkeys(value for value in found if value is not None))


def _literal(value: Any) -> Literal | None:
    """Return a cell as it may stand in a condition; None for what no question names."""
    match value:
        case None | bool() | bytes() | bytearray() | memoryview():
            return None
        case int():
            return value
        case Decimal() | float():
            number = float(value)
            if not math.isfinite(number):
                return None
            return int(number) if number.is_integer() and abs(number) < 1e15 else number
    text = str(value)
    return text if len(text) <= LONGEST_CELL and text.strip() and not _CONTROL.search(text) else None
