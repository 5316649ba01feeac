"""What a database holds, as far as making questions needs it: roles, values, spreads and joins of all its columns.

Two bounded queries a table, however large it is: tables up to `ROWS_READ` rows are read whole, larger ones by their
first rows or, where they have an integer key, by rows from all over it. A table that can't be read, or not in time, is
left out and named in `unread`. Knows no words and makes no query of its own beyond these.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from myna.builders.database.links import Seen, links
from myna.builders.database.query import ColumnOf, Join, Value
from myna.builders.database.roles import Role, looks_like_key, role_of
from myna.databases import Column, Database, Schema, Table
from myna.errors import QueryError
from myna.text2sql.grammar import literal_text
from myna.text2sql.identifiers import identifier, table_identifier

ROWS_READ = 5_000
"""Rows of a table that are looked at."""
ROWS_COUNTED = 100_000
"""Up to so many rows are counted; of more, it is only known that there are more."""
VALUES_KEPT = 60
"""Different values of a column that are kept."""
_COLUMNS_READ = 300
"""Columns of a table that are looked at; the rest have no role. A query can't be of any length."""
_KEYS_ASKED = 200
"""Values of a possible foreign key that are looked up in the other table."""
_SMALL_NUMBERS = 100
_EXACT = 2.0**53
_LONGEST_VALUE = 60


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """A column as its cells show it.

    distinct, nulls: among the rows that were read; empty texts count as NULL. values: different ones, most frequent
    first, only such as can stand in a question and in SQL. spread: for measures and for dates that sort, values that
    part the rows into tenths, ascending. date_format: how texts that are dates are written, in strftime's letters.
    """

    column: Column
    role: Role
    distinct: int
    nulls: int
    minimum: Value | None = None
    maximum: Value | None = None
    values: tuple[Value, ...] = ()
    spread: tuple[Value, ...] = ()
    date_format: str | None = None
    unique: bool = False


@dataclass(frozen=True, slots=True)
class TableProfile:
    """A table as its rows show it.

    rows: how many there are, at least (`exact` tells whether all were read). joins: what its rows refer to, each join
    from this table (left) to another (right); inferred ones are marked. key: the column that tells its rows apart.
    """

    name: str
    rows: int
    exact: bool
    columns: Mapping[str, ColumnProfile]
    joins: tuple[Join, ...] = ()
    key: str | None = None
    is_view: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """A database's schema and its tables' profiles, by name. unread: tables that could not be read, and why."""

    schema: Schema
    dialect: str
    tables: Mapping[str, TableProfile]
    unread: Mapping[str, str] = field(default_factory=dict)

    def column(self, named: ColumnOf) -> ColumnProfile:
        """Return a column's profile. Raises `KeyError`."""
        return self.tables[named.table].columns[named.column]


@dataclass(frozen=True)
class _Reading:
    table: Table
    columns: tuple[Column, ...]
    rows: Sequence[tuple[Any, ...]]
    count: int
    exact: bool


def profile(database: Database, *, seed: int = 0) -> Profile:
    """Read what questions about `database` need. Raises `DatabaseError` when not even its schema can be read.

    seed: chooses the rows of large tables and the values that are kept among equally frequent ones.
    """
    schema, chosen = database.schema, random.Random(seed)
    readings: list[_Reading] = []
    unread = {each.name: each.reason for each in schema.skipped}
    for table in schema.tables:
        try:
            readings.append(_read(database, table, chosen))
        except QueryError as error:
            unread[table.name] = str(error)
    columns = {each.table.name: _column_profiles(each, chosen) for each in readings}
    _find_hidden_keys(readings, columns)
    keys = {each.table.name: _key(each, columns[each.table.name]) for each in readings}
    seen = [Seen(each.table, keys[each.table.name], _asked(columns[each.table.name])) for each in readings]
    whole = {each.table.name: each for each in readings if each.exact}
    joins = links(seen, lambda target, values: _contains(database, whole, target, values))
    tables = {
        each.table.name: TableProfile(
            each.table.name,
            each.count,
            each.exact,
            columns[each.table.name],
            joins[each.table.name],
            keys[each.table.name],
            each.table.is_view,
        )
        for each in readings
    }
    return Profile(schema, database.dialect, tables, unread)


def _read(database: Database, table: Table, chosen: random.Random) -> _Reading:
    columns = tuple(column for column in table.columns if column.kind != "binary")[:_COLUMNS_READ]
    if not columns:
        return _Reading(table, (), (), 0, False)
    names = ", ".join(identifier(column.name, database.dialect) for column in columns)
    source = table_identifier(table.name, database.dialect)
    result = database.run(f"SELECT {names} FROM {source} LIMIT {ROWS_READ + 1}")
    if len(result.rows) <= ROWS_READ and not result.truncated:
        return _Reading(table, columns, result.rows, len(result.rows), True)
    # A view that is too slow to be counted so far is too slow to be asked about: it is left out and named.
    counted = f"SELECT COUNT(*) FROM (SELECT 1 AS one FROM {source} LIMIT {ROWS_COUNTED}) AS counted"
    count = max(len(result.rows), database.run(counted).rows[0][0])
    scattered = _scattered(database, table, names, source, chosen)
    return _Reading(table, columns, scattered or result.rows, count, False)


def _scattered(
    database: Database, table: Table, names: str, source: str, chosen: random.Random
) -> Sequence[tuple[Any, ...]]:
    """Rows from all over a table with an integer key: looked up by key, so the table's size does not matter."""
    integers = [c for c in table.columns if (c.name,) == table.primary_key and c.kind == "number"]
    if not integers:
        return ()
    key = identifier(integers[0].name, database.dialect)
    ends = [database.run(f"SELECT {key} FROM {source} ORDER BY {key}{way} LIMIT 1").rows[0][0] for way in ("", " DESC")]
    if not all(isinstance(end, int) for end in ends):
        return ()
    asked = sorted({chosen.randint(ends[0], ends[1]) for _ in range(ROWS_READ // 5)})
    rows = database.run(f"SELECT {names} FROM {source} WHERE {key} IN ({', '.join(map(str, asked))})").rows
    return rows if len(rows) >= len(asked) // 4 else ()


def _column_profiles(reading: _Reading, chosen: random.Random) -> dict[str, ColumnProfile]:
    found = {column.name: ColumnProfile(column, "other", 0, 0) for column in reading.table.columns}
    linked = {name for key in reading.table.foreign_keys for name in key.columns}
    in_key = linked | set(reading.table.primary_key if len(reading.table.primary_key) == 1 else ())
    for place, column in enumerate(reading.columns):
        cells = [_plain(row[place]) for row in reading.rows]
        found[column.name] = _column_profile(column, cells, column.name in in_key, chosen)
    return found


def _column_profile(column: Column, cells: Sequence[Any], in_key: bool, chosen: random.Random) -> ColumnProfile:
    there = [cell for cell in cells if cell is not None and cell != ""]
    try:
        counts = Counter(there)
    except TypeError:  # lists and mappings, which some drivers give for types of their database
        return ColumnProfile(column, "other", 0, len(cells) - len(there))
    role, written = role_of(column, there, distinct=len(counts), in_key=in_key)
    if role == "other":
        return ColumnProfile(column, role, len(counts), len(cells) - len(there))
    ordered = sorted(there)
    often = sorted(counts, key=lambda value: (-counts[value], chosen.random()))
    return ColumnProfile(
        column,
        role,
        len(counts),
        len(cells) - len(there),
        ordered[0],
        ordered[-1],
        tuple(value for value in often if _can_be_said(value))[:VALUES_KEPT],
        tuple(ordered[len(ordered) * tenth // 10] for tenth in range(1, 10)) if role in ("measure", "date") else (),
        written,
        len(counts) == len(cells) > 0,
    )


def _plain(cell: Any) -> Any:
    """A cell as Python's plainest value: 1997 for 1997.0, and None for what is no number (NaN, infinity)."""
    if isinstance(cell, Decimal):
        cell = float(cell) if cell.is_nan() or cell.is_infinite() or cell % 1 else int(cell)
    if isinstance(cell, float):
        if not math.isfinite(cell):
            return None
        return int(cell) if cell.is_integer() and abs(cell) < _EXACT else cell
    return cell


def _can_be_said(value: Value) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_VALUE and value.isprintable() and value == value.strip() and "\\" not in value
    return abs(value) < 10**15 and "e" not in repr(value)


def _key(reading: _Reading, columns: Mapping[str, ColumnProfile]) -> str | None:
    """The one column that tells rows apart: the primary key, or what looks like one and is unique."""
    if len(reading.table.primary_key) == 1:
        return reading.table.primary_key[0]
    if reading.table.primary_key or not reading.exact:
        return None
    first = [each for each in columns.values() if each.unique and looks_like_key(each.column.name, unique=True)]
    return first[0].column.name if first else None


def _find_hidden_keys(readings: Sequence[_Reading], columns: Mapping[str, dict[str, ColumnProfile]]) -> None:
    """Whole numbers that are all keys of one other table refer to it, whatever they are called: `Student.Advisor`.

    Small numbers are among any table's keys, and are left what they are.
    """
    keys = {
        each.table.name: {_plain(row[place]) for row in each.rows}
        for each in readings
        if each.exact and len(each.table.primary_key) == 1
        for place, column in enumerate(each.columns)
        if column.name == each.table.primary_key[0] and columns[each.table.name][column.name].role == "key"
    }
    for each in readings:
        found = columns[each.table.name]
        for place, column in enumerate(each.columns):
            known = found[column.name]
            if known.role != "measure" or known.distinct < 3 or not isinstance(known.minimum, int):
                continue
            if known.minimum >= _SMALL_NUMBERS:
                cells = {_plain(row[place]) for row in each.rows} - {None}
                if any(cells <= values for table, values in keys.items() if table != each.table.name):
                    found[column.name] = replace(known, role="key", spread=())


def _asked(columns: Mapping[str, ColumnProfile]) -> dict[str, Sequence[Value]]:
    return {name: each.values for name, each in columns.items() if each.role in ("key", "name", "category", "measure")}


def _contains(database: Database, whole: Mapping[str, _Reading], target: ColumnOf, values: Sequence[Value]) -> bool:
    """Whether the target column has all of the values: looked up in the rows that were read, or in the database."""
    reading = whole.get(target.table)
    if reading is not None:
        place = [column.name for column in reading.columns].index(target.column)
        return set(values) <= {_plain(row[place]) for row in reading.rows}
    name = identifier(target.column, database.dialect)
    listed = ", ".join(literal_text(value, database.dialect) for value in values[:_KEYS_ASKED])
    source = table_identifier(target.table, database.dialect)
    sql = f"SELECT COUNT(DISTINCT {name}) FROM {source} WHERE {name} IN ({listed})"
    try:
        return bool(database.run(sql).rows[0][0] == len(values[:_KEYS_ASKED]))
    except QueryError:
        return False
