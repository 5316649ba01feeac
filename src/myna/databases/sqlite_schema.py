"""The schema of an open SQLite database, read through its table-valued pragmas.

Internal tables (`sqlite_…`) and the shadow tables of virtual ones are left out; so is a view or virtual table that
SQLite itself can't describe, because what it stands on is gone.
"""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from myna.databases.schema import Column, ColumnKind, ForeignKey, Schema, Table

# What the modules that come with SQLite append to a virtual table's name for the tables behind it.
_SHADOWS = {
    "fts3": ("content", "segments", "segdir", "docsize", "stat"),
    "fts4": ("content", "segments", "segdir", "docsize", "stat"),
    "fts5": ("data", "idx", "content", "docsize", "config"),
    "rtree": ("node", "parent", "rowid"),
    "rtree_i32": ("node", "parent", "rowid"),
    "geopoly": ("node", "parent", "rowid"),
}
_MODULE = re.compile(r"\s+USING\s+[\"`\[]?(?P<name>\w+)", re.IGNORECASE)
_OBJECTS = """
SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
ORDER BY rowid
"""
_COLUMNS = 'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid'
_COLUMNS_OF_PLAIN_TABLES = """
SELECT t.name, c.name, c.type, c."notnull", c.pk, c.hidden FROM sqlite_master AS t, pragma_table_xinfo(t.name) AS c
WHERE t.type = 'table' AND t.sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY t.rowid, c.cid
"""
_KEYS = 'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id DESC, seq'
_HIDDEN = 1  # a virtual table's arguments; 2 and 3 are generated columns, which read like any other

# By SQLite's rules of affinity (https://www.sqlite.org/datatype3.html#determination_of_column_affinity), after the
# names that mean more to a person than their affinity does.
_KINDS: tuple[tuple[tuple[str, ...], ColumnKind], ...] = (
    (("BOOL",), "boolean"),
    (("DATE", "TIME"), "date"),
    (("INT",), "number"),
    (("CHAR", "CLOB", "TEXT", "STRING"), "text"),
    (("BLOB", "BINARY"), "binary"),
    (("REAL", "FLOA", "DOUB", "NUM", "DEC", "MONEY", "YEAR"), "number"),
)


@cache
def kind_of(declared: str) -> ColumnKind:
    """Return what a declared type amounts to."""
    upper = declared.upper()
    return next((kind for parts, kind in _KINDS if any(part in upper for part in parts)), "other")


def read_schema(connection: sqlite3.Connection) -> Schema:
    """Describe all tables and views, in the order of their making. Raises `sqlite3.Error`."""
    objects = connection.execute(_OBJECTS).fetchall()
    shadows = set(_shadow_tables(objects))
    plain = _columns_of_plain_tables(connection)
    columns = {
        name: plain.get(name) or _columns(connection, name) for name, _, _ in objects if name.lower() not in shadows
    }
    primary_keys = {name.lower(): (name, _primary_key(rows)) for name, rows in columns.items()}
    return Schema(
        tuple(
            Table(
                name=name,
                columns=tuple(
                    Column(column, declared, kind_of(declared), nullable=not (required or key))
                    for column, declared, required, key, _ in columns[name]
                ),
                primary_key=_primary_key(columns[name]),
                foreign_keys=tuple(_foreign_keys(connection, name, primary_keys)) if _may_refer(sql) else (),
                is_view=kind == "view",
            )
            for name, kind, sql in objects
            if columns.get(name)
        )
    )


def _shadow_tables(objects: Iterable[tuple[str, str, str | None]]) -> Iterator[str]:
    for name, _, sql in objects:
        if sql and sql.lstrip().upper().startswith("CREATE VIRTUAL") and (module := _MODULE.search(sql)):
            for ending in _SHADOWS.get(module["name"].lower(), ()):
                yield f"{name}_{ending}".lower()


def _columns_of_plain_tables(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    """Return them all with one query, which for thousands of tables is several times faster than one each."""
    found: dict[str, list[Any]] = defaultdict(list)
    for table, *column in connection.execute(_COLUMNS_OF_PLAIN_TABLES):
        if column[-1] != _HIDDEN:
            found[table].append(column)
    return found


def _columns(connection: sqlite3.Connection, table: str) -> list[Any]:
    try:
        rows = connection.execute(_COLUMNS, (table,)).fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname == "SQLITE_ERROR":  # no such module, or a view over a table that is gone
            return []
        raise
    return [row for row in rows if row[-1] != _HIDDEN]


def _may_refer(sql: str | None) -> bool:
    return sql is not None and "references" in sql.lower()


def _primary_key(columns: Iterable[Any]) -> tuple[str, ...]:
    places = sorted((key, name) for name, _, _, key, _ in columns if key)
    return tuple(name for _, name in places)


def _foreign_keys(
    connection: sqlite3.Connection, table: str, primary_keys: Mapping[str, tuple[str, tuple[str, ...]]]
) -> Iterator[ForeignKey]:
    """Give the keys whose table exists, in the order of their declaration.

    `REFERENCES t` without columns means t's primary key.
    """
    pairs: dict[int, list[tuple[str, str | None]]] = defaultdict(list)
    referenced: dict[int, str] = {}
    for number, other, own_column, other_column in connection.execute(_KEYS, (table,)):
        pairs[number].append((own_column, other_column))
        referenced[number] = other
    for number, columns in pairs.items():
        name, key = primary_keys.get(referenced[number].lower(), ("", ()))
        own = tuple(column for column, _ in columns)
        named = tuple(column for _, column in columns if column is not None) or key
        if name and len(named) == len(own):
            yield ForeignKey(own, name, named)
