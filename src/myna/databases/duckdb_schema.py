"""The schema of an open DuckDB database, from its own catalogue functions → `Schema`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from myna.databases.inspection import kind_of
from myna.databases.schema import Column, ForeignKey, Schema, Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_DEFAULT_SCHEMA = "main"
_TABLES = """
SELECT schema_name, table_name, comment, false FROM duckdb_tables()
WHERE database_name = current_database() AND NOT internal
UNION ALL
SELECT schema_name, view_name, comment, true FROM duckdb_views()
WHERE database_name = current_database() AND NOT internal
"""
_COLUMNS = """
SELECT schema_name, table_name, column_name, data_type, is_nullable, comment FROM duckdb_columns()
WHERE database_name = current_database() AND NOT internal ORDER BY column_index
"""
_CONSTRAINTS = """
SELECT schema_name, table_name, constraint_type, constraint_column_names, referenced_table, referenced_column_names
FROM duckdb_constraints() WHERE database_name = current_database() ORDER BY constraint_index
"""


def read_schema(connection: DuckDBPyConnection, *, are_files: bool) -> Schema:
    """Describe all tables and views, tables first. are_files: the views are files, so they are tables to a reader.

    Raises `duckdb.Error`.
    """
    columns = _by_table(connection.execute(_COLUMNS).fetchall())
    constraints = _by_table(connection.execute(_CONSTRAINTS).fetchall())
    tables = connection.execute(_TABLES).fetchall()
    return Schema(
        tuple(
            Table(
                name=_name(schema, name),
                columns=tuple(
                    Column(column, declared, kind_of(declared), bool(nullable), comment or "")
                    for column, declared, nullable, comment in columns[schema, name]
                ),
                primary_key=next(
                    (tuple(own) for kind, own, *_ in constraints[schema, name] if kind == "PRIMARY KEY"), ()
                ),
                foreign_keys=tuple(_foreign_keys(schema, constraints[schema, name])),
                comment=comment or "",
                is_view=is_view and not are_files,
            )
            for schema, name, comment, is_view in tables
            if columns[schema, name]  # a view over a table that is gone has none
        )
    )


def _by_table(rows: Iterable[tuple[Any, ...]]) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    grouped: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for schema, table, *rest in rows:
        grouped[schema, table].append(tuple(rest))
    return grouped


def _foreign_keys(schema: str, constraints: Iterable[tuple[Any, ...]]) -> Iterator[ForeignKey]:
    """Give the foreign keys of a table; DuckDB has them within one schema only."""
    for kind, own, other, other_columns in constraints:
        if kind == "FOREIGN KEY" and other:
            yield ForeignKey(tuple(own), _name(schema, other), tuple(other_columns))


def _name(schema: str, table: str) -> str:
    return table if schema == _DEFAULT_SCHEMA else f"{schema}.{table}"
