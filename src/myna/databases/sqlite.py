"""SQLite behind walls that don't lean on each other: nothing is written, whatever SQL arrives.

1. The file is opened with `mode=ro`, so that SQLite itself holds no handle that can write.
2. An authorizer is asked for every action while a statement is compiled, and allows reading and known functions only:
   no ATTACH, PRAGMA, transaction, DDL or write gets through (https://www.sqlite.org/c3ref/set_authorizer.html).
3. `query_only` on, `trusted_schema` off, extension loading off, temporary storage in memory.
4. Lengths, depths and numbers are bounded, memory by `hard_heap_limit`, time by a progress handler.
Behind them stands the worker process, which may write to no file and is killed when it does not answer.

A path goes in; rows and a schema come out. Text that is not UTF-8 is read with U+FFFD in place of the bad bytes.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from myna.databases.address import Address
from myna.databases.query import Limits, Result
from myna.databases.rows import collect
from myna.databases.schema import Schema
from myna.databases.sqlite_errors import open_error, query_error
from myna.databases.sqlite_file import WITH_LOCKS, check_file, fingerprint, how_to_open, in_uri
from myna.databases.sqlite_functions import HARMLESS_FUNCTIONS, HARMLESS_PRAGMAS
from myna.databases.sqlite_names import with_backticks
from myna.databases.sqlite_schema import read_schema
from myna.errors import QueryError

T = TypeVar("T")

_STEPS_BETWEEN_LOOKS_AT_THE_CLOCK = 1000  # of SQLite's virtual machine; a fraction of a millisecond
_SECONDS_TO_WAIT_FOR_A_LOCK = 1.0
_SCHEMA_SECONDS = 60.0
_BOUNDS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 1_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 5_000,
}


def open_sqlite(address: Address, *, memory: int, double_quoted_strings: bool = False) -> SQLiteDatabase:
    """Open the SQLite file at `address.location` for reading.

    memory: bytes that SQLite itself may take, half of what its process may. double_quoted_strings: keep SQLite's own
    reading of `"x"`, a text where no column has that name, which some data sets need.
    Raises `DatabaseError` when there is no such file, when it is no SQLite database, and when it can't be read.
    """
    return SQLiteDatabase(address, memory, double_quoted_strings)


class SQLiteDatabase:
    """An open SQLite file. A `Backend`."""

    dialect = "sqlite"

    def __init__(self, address: Address, memory: int, double_quoted_strings: bool) -> None:
        self._location = address.location
        self._path = os.path.realpath(address.location)
        self._shown = address.shown
        self._memory = memory
        self._double_quoted_strings = double_quoted_strings
        self._deadline = 0.0
        self._seen: tuple[int, ...] | None = None
        self._connection = self._connect()

    def run(self, sql: str, limits: Limits) -> Result:
        """Run one query within `limits`. Raises `QueryError`."""

        def answer() -> Result:
            started = time.monotonic()
            cursor = self._connection.execute(statement)
            if cursor.description is None:
                raise QueryError("refused: the statement is not a query, it gives no columns", "refused")
            rows, truncated = collect(cursor, limits)
            columns = tuple(str(column[0]) for column in cursor.description)
            return Result(columns, rows, truncated, time.monotonic() - started)

        statement = self._as_meant(sql)
        with self._errors_of(sql, limits.seconds):
            return self._steady(answer)

    def prepare(self, sql: str) -> None:
        """Let SQLite compile a query without running it. Raises `QueryError`."""
        with self._errors_of(sql, _SCHEMA_SECONDS):
            self._steady(lambda: self._connection.execute("EXPLAIN " + self._as_meant(sql)).close())

    def schema(self) -> Schema:
        """Describe the tables and views. Raises `DatabaseError`."""
        with self._errors_of("", _SCHEMA_SECONDS):
            return self._steady(lambda: read_schema(self._connection))

    def close(self) -> None:
        """Close it; harmless when called twice."""
        self._connection.close()

    def _as_meant(self, sql: str) -> str:
        return sql if self._double_quoted_strings else with_backticks(sql)

    @contextmanager
    def _errors_of(self, sql: str, seconds: float) -> Iterator[None]:
        """Put what SQLite says about `sql` in our words; end it after `seconds`."""
        self._deadline = time.monotonic() + seconds
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning, MemoryError, ValueError) as error:
            self._deadline = time.monotonic() + _SECONDS_TO_WAIT_FOR_A_LOCK
            raise query_error(error, sql, seconds, self._connection) from None

    def _steady(self, read: Callable[[], T]) -> T:
        """Read from a file that did not change meanwhile, where SQLite's own locks don't see to that."""
        self._reconnect_if_changed()
        try:
            value = read()
        except sqlite3.Error:
            if not self._reconnect_if_changed():
                raise
            return read()
        return read() if self._reconnect_if_changed() else value

    def _reconnect_if_changed(self) -> bool:
        if self._seen is None or self._seen == fingerprint(self._path):
            return False
        self._connection.close()
        self._connection = self._connect()
        return True

    def _connect(self) -> sqlite3.Connection:
        self._path = os.path.realpath(self._location)  # a link may lead elsewhere by now
        check_file(self._path, self._shown)
        seen = fingerprint(self._path)
        how = how_to_open(self._path)
        self._seen = None if how == WITH_LOCKS else seen
        connection = sqlite3.connect(
            f"file:{in_uri(self._path)}?{how}",
            uri=True,
            timeout=_SECONDS_TO_WAIT_FOR_A_LOCK,
            isolation_level=None,
            cached_statements=0,
        )
        try:
            self._raise_walls(connection)
        except (sqlite3.Error, MemoryError) as error:
            connection.close()
            raise open_error(error, self._shown) from None
        return connection

    def _raise_walls(self, connection: sqlite3.Connection) -> None:
        connection.text_factory = _text
        for pragma in (
            "query_only=ON",
            "trusted_schema=OFF",
            "temp_store=MEMORY",
            "mmap_size=0",
            "cell_size_check=ON",  # a damaged file is then an error and not a crash
            f"hard_heap_limit={self._memory // 2}",
        ):
            connection.execute(f"PRAGMA {pragma}").close()
        if self._seen is not None:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE").close()  # a write-ahead log without shared memory
        if hasattr(connection, "enable_load_extension"):
            connection.enable_load_extension(False)
        for bound, value in _BOUNDS.items():
            connection.setlimit(bound, value)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, self._memory // 8)
        connection.set_progress_handler(self._is_late, _STEPS_BETWEEN_LOOKS_AT_THE_CLOCK)
        self._deadline = time.monotonic() + _SCHEMA_SECONDS
        _connect_virtual_tables(connection)
        connection.set_authorizer(_allow)

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline


def _connect_virtual_tables(connection: sqlite3.Connection) -> None:
    """Let virtual tables prepare themselves before the authorizer stands: an rtree prepares its writes with its reads.

    They prepare once for a connection. Raises `sqlite3.Error` when the database can't be read at all.
    """
    tables = connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'").fetchall()
    for (name,) in tables:
        with suppress(sqlite3.OperationalError):  # its module is not in this SQLite
            connection.execute("SELECT 1 FROM `{}` LIMIT 0".format(name.replace("`", "``"))).close()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _allow(action: int, first: str | None, second: str | None, database: str | None, source: str | None) -> int:
    """SQLite's authorizer: whether a statement may do this. Called while it is compiled, with its views.

    Virtual tables that need no CREATE (json_each, dbstat, pragma_table_info …) only read this database; what a
    `pragma_…` one does is asked as a pragma.
    """
    match action:
        case sqlite3.SQLITE_SELECT | sqlite3.SQLITE_READ | sqlite3.SQLITE_RECURSIVE:
            return sqlite3.SQLITE_OK
        case sqlite3.SQLITE_FUNCTION if second and second.lower() in HARMLESS_FUNCTIONS:
            return sqlite3.SQLITE_OK
        case sqlite3.SQLITE_PRAGMA if first and first.lower() in HARMLESS_PRAGMAS:
            return sqlite3.SQLITE_OK
        case sqlite3.SQLITE_UPDATE if first == "sqlite_master":
            # SQLite asks this when it learns a virtual table's columns, and changes nothing then. "Ignore" would
            # leave every column as it is even if it did.
            return sqlite3.SQLITE_IGNORE
    return sqlite3.SQLITE_DENY
