"""PostgreSQL behind walls that don't lean on each other: nothing is written, whatever SQL arrives.

1. Every query runs in `BEGIN READ ONLY`, in a session that is read-only by default, and is rolled back.
2. It is the SELECT of a cursor, sent by the extended protocol: the server itself takes one statement and only a query.
3. What a read-only transaction does not stop are functions that act outside of it (files, other sessions, large
   objects, advisory locks, SQL given as text). So a query may call none that the server's catalog says is VOLATILE,
   but for a short list: looked up are the names in the query's text, and those in its plan, where views are expanded.
4. A superuser works as `pg_read_all_data` where that sees the same rows.
5. Time is limited by the server, rows and bytes by reading row by row, temporary files where the role may set that.
Functions that the database's owner declared STABLE or IMMUTABLE are believed to be so.

A URL goes in; rows and a schema come out. Numbers, booleans and bytes are Python's, all other values the text that
PostgreSQL writes for them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, cast

from myna.databases.address import Address
from myna.databases.numbers import number
from myna.databases.query import Limits, Result, took_too_long, took_too_much_memory
from myna.databases.rows import collect
from myna.databases.schema import Schema
from myna.databases.server_url import ServerUrl, missing_driver
from myna.databases.tokens import check_can_be_read, check_is_one_query, postgres_tokens, words_after_dots, words_called
from myna.errors import DatabaseError, QueryError, QueryErrorKind

if TYPE_CHECKING:
    import psycopg

_CONNECT_SECONDS = 10
_PREPARE_SECONDS = 10.0
_SCHEMA_SECONDS = 60.0
_TEMPORARY_FILES = "1GB"

_SESSION = """
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
SET work_mem = '16MB';
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET synchronize_seqscans = off;
SET cursor_tuple_fraction = 1;
"""
# Without synchronize_seqscans, the first rows of a large table are the same ones each time.
# Older servers or other roles don't take these; the rest of the wall stands without them.
_WISHES = (f"SET temp_file_limit = '{_TEMPORARY_FILES}'", "SET client_connection_check_interval = '1s'")

# VOLATILE by the catalog, but without an effect: their values change, nothing else does. As members of pg_catalog or of
# an extension only, so that nobody's own function is taken for one of them.
_HARMLESS = (
    *("random", "random_normal", "gen_random_uuid", "uuidv4", "uuidv7", "clock_timestamp", "timeofday"),
    *("uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "gen_random_bytes", "pg_is_in_recovery"),
    *("bernoulli", "system", "system_rows", "system_time"),  # TABLESAMPLE
    *("pg_relation_size", "pg_table_size", "pg_indexes_size", "pg_total_relation_size", "pg_database_size"),
)
# Not VOLATILE by the catalog, but they run SQL given as text, or take a transaction number that is never given back.
_HARMFUL = (
    *("crosstab", "crosstab2", "crosstab3", "crosstab4", "connectby", "xpath_table", "xslt_process"),
    *("txid_current", "pg_current_xact_id"),
)
_REFUSED = """
SELECT 'function', f.proname FROM pg_catalog.pg_proc f
WHERE (f.proname = ANY(%(called)s) OR f.proname = ANY(%(dotted)s) AND f.pronargs - f.pronargdefaults <= 1
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute c WHERE c.attname = f.proname AND c.attnum > 0))
  AND f.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype
  AND (f.provolatile = 'v' OR f.proname = ANY(%(harmful)s) OR f.prokind = 'a' AND EXISTS (
      SELECT FROM pg_catalog.pg_aggregate a, pg_catalog.pg_proc part WHERE a.aggfnoid = f.oid AND part.provolatile = 'v'
      AND part.oid = ANY(ARRAY[a.aggtransfn, a.aggfinalfn, a.aggmtransfn, a.aggmfinalfn]::pg_catalog.oid[])))
  AND NOT (f.proname = ANY(%(harmless)s) AND (f.pronamespace = 'pg_catalog'::pg_catalog.regnamespace OR EXISTS (
      SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = f.oid AND d.deptype = 'e')))
UNION ALL
SELECT 'operator', o.oprname FROM pg_catalog.pg_operator o
JOIN pg_catalog.pg_proc f ON f.oid = o.oprcode WHERE f.provolatile = 'v' AND pg_catalog.strpos(%(sql)s, o.oprname) > 0
LIMIT 1
"""
# As another role a superuser would see fewer rows of tables with row security, and none of foreign ones. (Where row
# security comes later, `row_security = off` makes it an error and not a silently smaller answer.)
_CAN_STEP_DOWN = """
SELECT pg_catalog.current_setting('is_superuser') = 'on'
   AND EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pg_read_all_data')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relrowsecurity)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_foreign_table)
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

        with self._our_words(_SCHEMA_SECONDS):
            return inspect_schema("postgresql+psycopg://", self._connect)

    def close(self) -> None:
        """Close it; harmless when called twice."""
        self._connection.close()

    @contextmanager
    def _cursor_over(self, sql: str, seconds: float) -> Iterator[None]:
        """Declare the cursor `myna_query` for `sql` in a read-only transaction, which is rolled back at the end."""
        tokens = postgres_tokens(sql)
        check_is_one_query(tokens)
        check_can_be_read(tokens)
        with self._our_words(seconds), self._read_only(seconds):
            called = words_called(tokens)
            self._check_functions(sql, called, words_after_dots(tokens))
            self._check_functions("", self._words_called_in_plan(sql) - called, set())
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
            + ("; SET LOCAL ROLE pg_read_all_data; SET LOCAL row_security = off" if self._steps_down else "")
        )
        try:
            yield
        finally:
            if not self._connection.closed:
                self._connection.execute("ROLLBACK")

    def _check_functions(self, sql: str, called: set[str], dotted: set[str]) -> None:
        """Raise `QueryError` when one of these, or an operator in `sql`, may do more than read."""
        if not (sql or called or dotted):
            return
        names = {"called": list(called), "dotted": list(dotted), "harmless": list(_HARMLESS), "harmful": list(_HARMFUL)}
        refused = self._connection.execute(_REFUSED, {"sql": sql, **names}, prepare=True).fetchone()
        if refused is not None:
            raise QueryError(
                f"the {refused[0]} {refused[1]} may do more than read, so it is not run "
                "(one of your own that PostgreSQL calls VOLATILE can be declared STABLE if it only reads)",
                "refused",
            )

    def _words_called_in_plan(self, sql: str) -> set[str]:
        """Return the functions in the query's plan: those behind views too."""
        rows = self._connection.cursor().stream(f"EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) {sql}")
        expressions = [text for (plan,) in rows for text in _expressions(json.loads(plan))]
        return {name for text in expressions for name in words_called(postgres_tokens(text))}

    def _connect_to_run(self) -> None:
        self._connection = self._connect()
        self._steps_down = self._connection.execute(_CAN_STEP_DOWN).fetchone() == (True,)
        _read_as_text(self._connection)

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            import psycopg
        except ImportError as error:
            raise missing_driver("psycopg", self._url.shown) from error
        wanted: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS, "application_name": "myna"}
        try:
            connection: psycopg.Connection[Any] = psycopg.connect(
                **{**wanted, **self._url.libpq()}, client_encoding="UTF8", autocommit=True, prepare_threshold=None
            )
            connection.execute(_SESSION)
            for wish in _WISHES:
                try:
                    connection.execute(wish)
                except psycopg.Error:
                    continue
        except (psycopg.Error, ValueError) as error:
            raise self._url.unreachable(str(error)) from None
        return connection

    @contextmanager
    def _our_words(self, seconds: float) -> Iterator[None]:
        """Put what PostgreSQL says in our words."""
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            raise self._in_our_words(error, seconds) from None

    def _in_our_words(self, error: psycopg.Error, seconds: float) -> DatabaseError:
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


def _expressions(plan: Any, key: str = "") -> Iterator[str]:
    """Give every expression in a plan as EXPLAIN writes it; names of tables and the like stand there unquoted."""
    if isinstance(plan, dict):
        for name, part in plan.items():
            yield from _expressions(part, name)
    elif isinstance(plan, list):
        for part in plan:
            yield from _expressions(part, key)
    elif isinstance(plan, str) and not key.endswith("Name") and key not in ("Alias", "Schema"):
        yield plan


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
