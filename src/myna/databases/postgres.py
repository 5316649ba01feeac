"""PostgreSQL, read only, whatever SQL arrives. No layer here leans on another one.

1. Every query runs in `BEGIN READ ONLY`, in a session that is read-only by default, and is rolled back.
2. It is the SELECT of a cursor, sent by the extended protocol: the server itself takes one statement and only a query.
3. What a read-only transaction does not stop are functions that act outside of it. Before a query is planned, all
   functions that it can reach are looked up in the catalog (`postgres_reach`).
4. Our own statements, from the first one on, run with a `search_path` of `pg_catalog` alone, since the database's owner
   can set another one that puts functions and operators of theirs in place of the server's. Queries run with the
   schemas that were set, behind `pg_catalog`.
5. A superuser works as `pg_read_all_data` where that sees the same rows.
6. Time is limited by the server, and by a second connection that ends what the first one's limit did not; rows and
   bytes by reading row by row; temporary files where the role may set that.
docs/security.md says what is promised, and what is not.

A URL goes in; rows and a schema come out. Numbers, booleans and bytes are Python's, all other values the text that
PostgreSQL writes for them.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from myna.databases.address import Address
from myna.databases.numbers import number
from myna.databases.postgres_cost import check_can_be_interrupted
from myna.databases.postgres_reach import Reach
from myna.databases.query import Limits, Result, took_too_long, took_too_much_memory
from myna.databases.rows import collect
from myna.databases.schema import Schema, Skipped
from myna.databases.server_url import ServerUrl, missing_driver
from myna.databases.tokens import check_can_be_read, check_is_one_query, postgres_tokens
from myna.errors import DatabaseError, QueryError, QueryErrorKind

if TYPE_CHECKING:
    import psycopg

_CONNECT_SECONDS = 10
_NEVER = 2**31  # executions until psycopg prepares a statement by itself; None would forbid it where we ask for it
_PREPARE_SECONDS = 10.0
_SCHEMA_SECONDS = 60.0
_TEMPORARY_FILES = "1GB"
_WORK_MEMORY = "SET LOCAL work_mem = '16MB'"
_END_AFTER = 0.2  # seconds behind the server's own limit
_LOOKS, _BETWEEN_LOOKS = 10, 0.1
_IS_THERE = "SELECT FROM pg_catalog.pg_stat_activity WHERE pid = %s"

# The schemas that the database, the role or the address put on the path. Names no operator, and a function by its
# schema, so that it means the same whatever that path is.
_SCHEMAS = "SELECT pg_catalog.current_schemas(false)"
# Temporary tables would otherwise come first.
_SAFE_PATH = "SET search_path = pg_catalog, pg_temp"
_SESSION = f"""
{_SAFE_PATH};
SET default_transaction_read_only = on;
SET statement_timeout = '60s';
SET lock_timeout = '5s';
SET idle_in_transaction_session_timeout = '60s';
SET standard_conforming_strings = on;
SET backslash_quote = off;
SET escape_string_warning = off;
SET client_min_messages = error;
SET bytea_output = hex;
SET DateStyle = ISO;
SET IntervalStyle = postgres;
SET xmloption = content;
SET work_mem = '256kB';
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET plan_cache_mode = force_generic_plan;
SET synchronize_seqscans = off;
SET cursor_tuple_fraction = 1;
SET constraint_exclusion = off;
"""
# plan_cache_mode and work_mem are for our own statements: the server expects far too much of `postgres_reach`'s, and
# would plan it each time, with hash tables of megabytes. Without synchronize_seqscans, the first rows of a large table
# are the same ones each time; without constraint_exclusion, planning does not evaluate CHECK constraints, which may
# call functions.
# Older servers or other roles don't take these; the rest of the wall stands without them.
_WISHES = (f"SET temp_file_limit = '{_TEMPORARY_FILES}'", "SET client_connection_check_interval = '1s'")

# As another role a superuser would see fewer rows of tables with row security, and none of foreign ones. (Where row
# security comes later, `row_security = off` makes it an error and not a silently smaller answer.)
_IS_SUPERUSER = "SELECT CURRENT_USER WHERE pg_catalog.current_setting('is_superuser') = 'on'"
_CAN_STEP_DOWN = """
SELECT pg_catalog.current_setting('is_superuser') = 'on'
   AND EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pg_read_all_data')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relrowsecurity)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_foreign_table)
"""
_READABLE = """
SELECT n.nspname, c.relname, a.attname FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')
"""
_CANCELED = "57014"
_KINDS: dict[str, QueryErrorKind] = {
    "42601": "syntax",
    "42P01": "unknown table",
    "3F000": "unknown table",
    "42703": "unknown column",
    "55P03": "time",
    "25006": "refused",
    "53200": "memory",
    "53400": "memory",
    "54000": "memory",
}


def open_postgres(address: Address) -> PostgresDatabase:
    """Open the PostgreSQL database at `address` for reading.

    Raises `DatabaseError` when it can't be reached or the password is wrong, `MissingDependency` without psycopg.
    """
    return PostgresDatabase(address)


class PostgresDatabase:
    """A connection to a PostgreSQL database. A `Backend`. Connects again when the connection was lost."""

    dialect = "postgres"

    def __init__(self, address: Address) -> None:
        self._url = ServerUrl.of(address)
        self._overdue = False
        self._still_running: int | None = None
        self._connect_to_run()

    def run(self, sql: str, limits: Limits) -> Result:
        """Run one query within `limits`. Raises `QueryError`."""
        started = time.monotonic()
        with self._cursor_over(sql, limits.seconds):
            left = max(1, round(1000 * (limits.seconds - time.monotonic() + started)))
            self._connection.execute(f"SET LOCAL statement_timeout = {left}")
            cursor = self._connection.cursor()
            # One row in memory at a time; leaving early cancels the rest on the server.
            rows = cursor.stream(f"FETCH FORWARD {limits.rows + 1} FROM myna_query")
            with closing(cast("Generator[tuple[Any, ...]]", rows)):
                kept, truncated = collect(rows, limits)
            columns = tuple(column.name for column in cursor.description or ())
        return Result(columns, kept, truncated, time.monotonic() - started)

    def prepare(self, sql: str) -> None:
        """Let PostgreSQL parse and plan a query without running it. Raises `QueryError`."""
        with self._cursor_over(sql, _PREPARE_SECONDS):
            pass

    def schema(self) -> Schema:
        """Describe the tables, views and materialized views of all schemas. Raises `DatabaseError`."""
        from myna.databases.inspection import inspect_schema

        default = next((name for name in self._schemas if name != "pg_catalog"), "public")
        with self._our_words(_SCHEMA_SECONDS):
            schema = inspect_schema("postgresql+psycopg://", lambda: self._connect()[0], default)
            readable: dict[str, set[str]] = {}
            for space, table, column in self._connection.execute(_READABLE).fetchall():
                readable.setdefault(table if space == default else f"{space}.{table}", set()).add(column)
            superuser = self._connection.execute(_IS_SUPERUSER).fetchone()
        everything, schema = schema, schema.limited_to(readable)
        if not schema.tables:
            reason = "permission denied for this role"
            schema = replace(schema, skipped=tuple(Skipped(table.name, reason) for table in everything.tables))
        if superuser is None:
            return schema
        return replace(
            schema,
            warnings=(
                f"the role {superuser[0]} is a superuser; connect as a role that can only read: CREATE ROLE myna LOGIN "
                "PASSWORD '…'; GRANT USAGE ON SCHEMA public TO myna; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "
                "myna (docs/security.md)",
            ),
        )

    def close(self) -> None:
        """Close it; harmless when called twice."""
        self._connection.close()

    @contextmanager
    def _cursor_over(self, sql: str, seconds: float) -> Iterator[None]:
        """Declare the cursor `myna_query` for `sql` in a read-only transaction, which is rolled back at the end."""
        tokens = postgres_tokens(sql)
        check_is_one_query(tokens)
        check_can_be_read(tokens)
        check_can_be_interrupted(tokens)
        with self._our_words(seconds), self._read_only(seconds):
            self._reach.check(sql, tokens)
            with self._ended_in(seconds):
                self._connection.execute(self._as_reader)
                # In binary format psycopg takes the extended protocol, and that takes no second statement.
                self._connection.execute(f"DECLARE myna_query NO SCROLL CURSOR FOR {sql}", binary=True)
                yield

    @contextmanager
    def _read_only(self, seconds: float) -> Iterator[None]:
        if self._connection.closed:
            self._connect_to_run()
        milliseconds = max(1, round(1000 * seconds))
        self._connection.execute(
            f"BEGIN READ ONLY; SET LOCAL statement_timeout = {milliseconds}; SET LOCAL lock_timeout = {milliseconds}"
        )
        try:
            yield
        finally:
            if not self._connection.closed:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def _ended_in(self, seconds: float) -> Iterator[None]:
        """End the server process from a second connection, should its own time limit not end the query."""
        self._overdue, self._still_running = False, None
        timer = threading.Timer(seconds + _END_AFTER, self._end_server_process, [self._connection])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end_server_process(self, connection: psycopg.Connection[Any]) -> None:
        """End it, or see that it can't be ended; then let the thread that waits for it go on."""
        import psycopg

        self._overdue = True
        process = connection.info.backend_pid
        with suppress(psycopg.Error, DatabaseError), closing(self._connect()[0]) as second:
            second.execute("SELECT pg_catalog.pg_terminate_backend(%s)", [process])
            for _ in range(_LOOKS):
                if second.execute(_IS_THERE, [process]).fetchone() is None:
                    return
                time.sleep(_BETWEEN_LOOKS)
            self._still_running = process
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as waited_for:
            waited_for.shutdown(socket.SHUT_RDWR)

    def _first_row(self, statement: str, parameters: dict[str, Any]) -> Any:
        return self._connection.execute(statement, parameters, prepare=True).fetchone()

    def _connect_to_run(self) -> None:
        self._connection, self._schemas = self._connect()
        steps_down = self._connection.execute(_CAN_STEP_DOWN).fetchone() == (True,)
        path = ", ".join('"{}"'.format(name.replace('"', '""')) for name in self._schemas if name != "pg_catalog")
        self._as_reader = f"SET LOCAL search_path = pg_catalog{path and ', '}{path}, pg_temp; {_WORK_MEMORY}" + (
            "; SET LOCAL ROLE pg_read_all_data; SET LOCAL row_security = off" if steps_down else ""
        )
        self._reach = Reach(self._first_row, self._url.functions)
        _read_as_text(self._connection)

    def _connect(self) -> tuple[psycopg.Connection[Any], list[str]]:
        """Return a new connection, whose search_path is pg_catalog, and the schemas that were on it before."""
        try:
            import psycopg
        except ImportError as error:
            raise missing_driver("psycopg", self._url.shown) from error
        wanted: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS, "application_name": "myna"}
        try:
            connection: psycopg.Connection[Any] = psycopg.connect(
                **{**wanted, **self._url.libpq(psycopg.pq.version())},
                client_encoding="UTF8",
                autocommit=True,
                prepare_threshold=_NEVER,
            )
            ((schemas,),) = connection.execute(_SCHEMAS).fetchall()
            connection.execute(_SESSION)
            for wish in _WISHES:
                try:
                    connection.execute(wish)
                except psycopg.Error:
                    continue
        except (psycopg.Error, ValueError) as error:
            raise self._url.unreachable(str(error)) from None
        return connection, schemas

    @contextmanager
    def _our_words(self, seconds: float) -> Iterator[None]:
        """Put what PostgreSQL says in our words."""
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            raise self._in_our_words(error, seconds) from None

    def _in_our_words(self, error: psycopg.Error, seconds: float) -> DatabaseError:
        if self._overdue:
            self._connection.close()
            late = took_too_long(seconds)
            if self._still_running is None:
                return late
            return QueryError(
                f"{late}. The server can't interrupt this one and still runs it, as process {self._still_running}; its "
                "administrator sees it in pg_stat_activity",
                "time",
            )
        if error.sqlstate is None:  # the driver's, not the server's
            self._connection.close()
            if "memory" in str(error):
                return took_too_much_memory()
            return self._url.unreachable(str(error))
        message = self._url.without_secrets(error.diag.message_primary or str(error))
        kind = _KINDS.get(error.sqlstate, "database")
        if error.sqlstate == _CANCELED:
            return took_too_long(seconds)
        if message.startswith("DECLARE CURSOR"):
            message, kind = "a part of the query is not a query: it would write", "refused"
        hint = self._url.without_secrets(error.diag.message_hint or "")
        return QueryError(message + (f" ({hint})" if hint else ""), kind)


def _read_as_text(connection: psycopg.Connection[Any]) -> None:
    """Let numbers, booleans and bytes become Python's and all else the text that PostgreSQL writes for it.

    So no value fails because Python has none for it (the date infinity, years before Christ), and arrays, JSON,
    ranges and enumerations look as they do in psql.
    """
    from psycopg.adapt import Buffer, Loader

    class Text(Loader):
        def load(self, data: Buffer) -> str:
            return bytes(data).decode("utf-8", "replace")

    class Number(Loader):
        def load(self, data: Buffer) -> Any:
            return number(bytes(data).decode("ascii"))

    as_python = {"bool", "int2", "int4", "int8", "oid", "float4", "float8", "bytea"}
    for kind in connection.adapters.types:
        if kind.name not in as_python:
            connection.adapters.register_loader(kind.oid, Number if kind.name == "numeric" else Text)
        if kind.array_oid:
            connection.adapters.register_loader(kind.array_oid, Text)
    connection.adapters.register_loader(0, Text)
