"""WikiSQL's tables ↔ SQLite files: one that executable SQL runs on, and the one that the official evaluator reads.

Tables stream through, one at a time; a file appears whole or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from myna.databases.schema import Column, Schema, Table
from myna.errors import DataError, ResourceError
from myna.runs import new_file, writing
from myna.text2sql.identifiers import quoted
from myna.text2sql.wikisql.form import Cell, WikiSQLTable
from myna.text2sql.wikisql.official import official_table

_EXECUTABLE_TYPES = {"real": "NUMERIC", "text": "TEXT"}


def write_database(path: Path, tables: Iterable[WikiSQLTable]) -> None:
    """Write the SQLite file that executable SQL runs on.

    Tables are named by their ids and columns by `WikiSQLTable.columns`. `real` columns are NUMERIC, `text` ones TEXT
    COLLATE NOCASE, because the data set's questions spell values in any case. Cells stay as they are, with the texts
    that stand in `real` columns (`–`); whole numbers beyond 64 bits become floats. Raises `DataError` for a table
    that SQLite can't hold or that comes twice, `ResourceError` (disk full) and `RunError` (not permitted).
    """
    _write(path, tables, lambda table: table.id, _executable_columns, _stored)


def write_official_database(path: Path, tables: Iterable[WikiSQLTable]) -> None:
    """Write the `.db` file that the data set's evaluator reads. Raises what `write_database` raises.

    Its tables are `table_<id with - as _>`, its columns `col0`, `col1` … of the types `text` and `real`, its texts
    lower-cased. The evaluator takes the types from the text of CREATE TABLE: they must stand in one line.
    """
    _write(path, tables, lambda table: official_table(table.id), _official_columns, _lowered)


def tables_of(schema: Schema) -> dict[str, WikiSQLTable]:
    """Return, by id, the tables of a file that `write_database` wrote, without their rows."""
    return {
        table.name: WikiSQLTable(
            table.name,
            tuple(column.name for column in table.columns),
            tuple("real" if column.kind == "number" else "text" for column in table.columns),
        )
        for table in schema.tables
    }


def schema_of(table: WikiSQLTable) -> Schema:
    """Return the schema of a file that `write_database` writes for this one table."""
    columns = (
        Column(name, _EXECUTABLE_TYPES[kind], "number" if kind == "real" else "text")
        for name, kind in zip(table.columns, table.types, strict=True)
    )
    return Schema((Table(table.id, tuple(columns)),))


def stored_rows(table: WikiSQLTable) -> list[tuple[Cell, ...]]:
    """Return a table's rows as the file that `write_database` writes has them. Raises `DataError`."""
    with closing(sqlite3.connect(":memory:")) as connection:
        _write_table(connection, "stored", _executable_columns(table), table, _stored)
        return connection.execute("SELECT * FROM stored").fetchall()


def _executable_columns(table: WikiSQLTable) -> list[str]:
    collations = {"real": "", "text": " COLLATE NOCASE"}
    return [
        f"{quoted(name)} {_EXECUTABLE_TYPES[kind]}{collations[kind]}"
        for name, kind in zip(table.columns, table.types, strict=True)
    ]


def _official_columns(table: WikiSQLTable) -> list[str]:
    return [f"col{number} {kind}" for number, kind in enumerate(table.types)]


def _stored(cell: Cell) -> Cell:
    return float(cell) if isinstance(cell, int) and not -(2**63) <= cell < 2**63 else cell


def _lowered(cell: Cell) -> Cell:
    return cell.lower() if isinstance(cell, str) else _stored(cell)


def _write(
    path: Path,
    tables: Iterable[WikiSQLTable],
    name: Callable[[WikiSQLTable], str],
    columns: Callable[[WikiSQLTable], list[str]],
    stored: Callable[[Cell], Cell],
) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as new, closing(sqlite3.connect(new, isolation_level=None)) as connection:
        # Nothing to roll back to: a file that is not finished is thrown away.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for table in tables:
            _write_table(connection, quoted(name(table)), columns(table), table, stored)
        connection.execute("COMMIT")


def _write_table(
    connection: sqlite3.Connection,
    name: str,
    columns: list[str],
    table: WikiSQLTable,
    stored: Callable[[Cell], Cell],
) -> None:
    places = ", ".join("?" * len(columns))
    try:
        connection.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
        rows = ([stored(cell) for cell in row] for row in table.rows)
        connection.executemany(f"INSERT INTO {name} VALUES ({places})", rows)
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise ResourceError(f"the disk is full while table {table.id} is written; free some space") from error
        raise DataError(
            f"table {table.id} ({len(columns)} columns) can't be stored in SQLite: {error}; take it out of the source"
        ) from error
