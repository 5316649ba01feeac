"""MySQL and MariaDB behind walls that don't lean on each other: nothing is written, whatever SQL arrives.

1. Every query runs in `START TRANSACTION READ ONLY`, in a session that is read-only by default, and is rolled back.
2. It must begin as a query does, hold neither INTO nor a locking read, and be a statement that EXPLAIN takes, which
   the server itself decides; the protocol carries one statement (no CLIENT.MULTI_STATEMENTS, no LOCAL INFILE).
3. What a read-only transaction does not stop are functions that act outside of it. So neither the query nor a view or
   stored function behind it may call one of a list, or a loadable one, and a stored function may only read and compute;
   what the user may not look into is refused (`mysql_code.py`).
4. Time is limited by the server and, should it not keep to it, by KILL QUERY and then KILL from a second connection.
   What the server looks at neither for is refused where that can be seen (`mysql_cost.py`), and reported where it runs
   on. A query that nobody waits for any more is ended too. Rows and bytes are limited by an unbuffered cursor,
   temporary tables by their size.

A URL goes in; rows and a schema come out. Numbers and bytes are Python's, all other values the text that the server
writes for them.
"""

from __future__ import annotations

import os
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from myna.databases.address import Address
from myna.databases.mysql_code import OTHER_LANGUAGES, CodeCheck
from myna.databases.mysql_cost import check_cost
from myna.databases.mysql_passwords import plugins
from myna.databases.numbers import number
from myna.databases.query import Limits, Result, took_too_long
from myna.databases.rows import collect
from myna.databases.schema import Schema
from myna.databases.server_url import ServerUrl, missing_driver
from myna.databases.tokens import check_is_one_query, mysql_tokens
from myna.errors import DatabaseError, QueryError, QueryErrorKind

_CONNECT_SECONDS = 10
_PREPARE_SECONDS = 10.0
_SCHEMA_SECONDS = 60.0
_KILL_AFTER = 0.1  # seconds behind the server's own limit
_KILL_WAIT = 0.1  # seconds for the server to heed a KILL
_NO_SUCH_THREAD = 1094
_EXPLAIN_ROWS = 1000
_ALL_ROWS = 2**64 - 1
_LOCK_WAIT = 1205
_HIDDEN = 1345

_SESSION = (
    "SET SESSION TRANSACTION READ ONLY",
    "SET SESSION sql_safe_updates = 1",
    "SET SESSION lock_wait_timeout = 5",
    "SET SESSION innodb_lock_wait_timeout = 5",
    "SET SESSION max_heap_table_size = 16777216",
    "SET SESSION tmp_table_size = 16777216",
)
# Known to one of the two servers, or to newer ones.
_WISHES = (
    "SET SESSION max_recursive_iterations = 100000",
    "SET SESSION cte_max_recursion_depth = 100000",
    "SET SESSION tmp_disk_table_size = 1073741824",
    "SET SESSION max_tmp_session_space_usage = 1073741824",
)

_FAR_REACHING = re.compile(r"GRANT (?:[^`'\"]*\b)?(?:ALL PRIVILEGES|SUPER|FILE)\b[^`'\"]* ON \*\.\* TO ")
_KINDS: dict[int, QueryErrorKind] = {
    1064: "syntax",
    1149: "syntax",
    1146: "unknown table",
    1109: "unknown table",
    1049: "unknown table",
    1054: "unknown column",
    1792: "refused",
    1290: "refused",
    1205: "time",
    1317: "time",
    1969: "time",  # MariaDB's max_statement_time
    3024: "time",  # MySQL's max_execution_time
    1037: "memory",
    1038: "memory",
    1114: "memory",
    1041: "memory",
}


def open_mysql(address: Address) -> MySQLDatabase:
    """Open the MySQL or MariaDB database at `address` for reading.

    Raises `DatabaseError` when it can't be reached or the password is wrong, `MissingDependency` without PyMySQL.
    """
    return MySQLDatabase(address)


class MySQLDatabase:
    """A connection to a MySQL or MariaDB database. A `Backend`. Connects again when the connection was lost."""

    dialect = "mysql"

    def __init__(self, address: Address) -> None:
        self._url = ServerUrl.of(address)
        self._driver = _driver(address.shown)
        self._connection = self._connect()
        self._fate: str | None = None
        """What became of a query that was ended from a second connection: "" when it has ended."""
        self._is_mariadb = "MariaDB" in self._connection.get_server_info()
        # Who may not see mysql.func can't be told of loadable functions.
        sees_loadable = self._may_ask("SELECT name FROM mysql.func LIMIT 0")
        self._code = CodeCheck(self._ask, self._quote, sees_loadable=sees_loadable)

    def run(self, sql: str, limits: Limits) -> Result:
        """Run one query within `limits`. Raises `QueryError`."""
        started = time.monotonic()
        with self._checked(sql, limits.seconds), self._our_words(limits.seconds):
            left = limits.seconds - (time.monotonic() - started)
            # A query with a LIMIT of its own is not bound by sql_select_limit; that one is left early.
            with self._time_limit(left, limits.rows + 1), self._unbuffered(sql) as cursor:
                columns = tuple(column[0] for column in cursor.description or ())
                rows, truncated = collect(cursor, limits)
        return Result(columns, rows, truncated, time.monotonic() - started)

    def prepare(self, sql: str) -> None:
        """Let the server parse and plan a query without running it. Raises `QueryError`."""
        with self._checked(sql, _PREPARE_SECONDS):
            pass

    def schema(self) -> Schema:
        """Describe the tables and views of the address's database. Raises `DatabaseError`.

        Views of which no query would be run are skipped, and tables that the server can't describe.
        """
        from myna.databases.inspection import inspect_one_by_one

        with self._our_words(_SCHEMA_SECONDS):
            self._reconnect()
            self._set_limits(_SCHEMA_SECONDS, _ALL_ROWS)
            kinds = self._ask("SHOW FULL TABLES WHERE Table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW')")
            names = sorted(((name, kind == "VIEW") for name, kind in kinds), key=lambda each: each[1])
            schema = inspect_one_by_one("mysql+pymysql://", self._connect, names, self._why_not)
            grants = [grant for (grant,) in self._ask("SHOW GRANTS")]
        if not any(map(_FAR_REACHING.match, grants)):
            return schema
        warning = (
            "this user may read files or change the server's settings (FILE, SUPER or ALL PRIVILEGES); connect as one "
            f"that can only read: CREATE USER …; GRANT SELECT, SHOW VIEW ON {self._url.database}.* TO … "
            "(docs/security.md)"
        )
        return replace(schema, warnings=(warning,))

    def _why_not(self, view: str) -> str | None:
        """Return why no query of `view` would be run, if none would."""
        name = view.replace("`", "``")
        try:
            self.prepare(f"SELECT * FROM `{name}`")
        except QueryError as error:
            return str(error)
        return None

    def close(self) -> None:
        """Close it; harmless when called twice."""
        self._connection._force_close()

    @contextmanager
    def _checked(self, sql: str, seconds: float) -> Iterator[None]:
        """Check `sql` and open a read-only transaction for it, which is rolled back at the end."""
        tokens = mysql_tokens(sql)
        check_is_one_query(tokens)
        check_cost(tokens)
        with self._our_words(seconds):
            self._reconnect()
            self._set_limits(seconds, _ALL_ROWS)
            self._code.check(tokens, self._url.database)
            self._ask("START TRANSACTION READ ONLY")
            try:
                with self._time_limit(seconds, _EXPLAIN_ROWS):
                    self._ask(f"EXPLAIN {sql}")
                yield
            finally:
                if self._connection.open:
                    self._connection.rollback()

    def _reconnect(self) -> None:
        if not self._connection.open:
            self._connection = self._connect()

    def _quote(self, text: str) -> str:
        literal: str = self._connection.escape(text)
        return literal

    def _may_ask(self, question: str) -> bool:
        try:
            self._ask(question)
        except self._driver.Error:
            return False
        return True

    def _ask(self, statement: str) -> Sequence[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
        return rows

    @contextmanager
    def _unbuffered(self, sql: str) -> Iterator[Any]:
        """Run `sql` and give its rows one by one. When they are not all taken, the connection is given up."""
        cursor = self._connection.cursor(self._driver.cursors.SSCursor)
        cursor.execute(sql)
        result = self._connection._result
        try:
            yield cursor
        finally:
            if result is not None and result.unbuffered_active:
                # PyMySQL would read all that is left; the server stops when nobody takes it.
                result.unbuffered_active = False
                self._connection._force_close()
            cursor.connection = None

    @contextmanager
    def _time_limit(self, seconds: float, rows: int) -> Iterator[None]:
        """Let the server end what takes longer, and end it from a second connection should the server not."""
        seconds = max(seconds, 0.001)
        self._set_limits(seconds, rows)
        self._fate = None
        over = threading.Event()
        arguments = (self._connection.thread_id(), seconds + _KILL_AFTER, over)
        ender = threading.Thread(target=self._end, args=arguments, daemon=True)
        ender.start()
        try:
            yield
        finally:
            over.set()
            ender.join()  # so that a late KILL never meets the next query

    def _set_limits(self, seconds: float, rows: int) -> None:
        limit = (
            f"max_statement_time = {seconds:.3f}"
            if self._is_mariadb
            else f"max_execution_time = {round(1000 * seconds)}"
        )
        self._ask(f"SET SESSION sql_select_limit = {rows}, {limit}")

    def _end(self, thread: int, seconds: float, over: threading.Event) -> None:
        """End the query of connection `thread` unless it is over within `seconds`, or note that nothing ends it."""
        if over.wait(seconds):
            return
        running = f"; the server still runs it, as connection {thread}"
        self._fate = f"{running}, which could not be ended from here; end it with KILL {thread}"
        with suppress(self._driver.Error, DatabaseError):
            second = self._connect()
            with second, second.cursor() as cursor:
                cursor.execute(f"KILL QUERY {thread:d}")
                ended = over.wait(_KILL_WAIT) or self._kill(cursor, thread)
            self._fate = "" if ended else f"{running}, and has not yet heeded KILL {thread}; look for it there"

    def _kill(self, cursor: Any, thread: int) -> bool:
        """End a connection; return whether it is gone soon."""
        try:
            cursor.execute(f"KILL {thread:d}")
        except self._driver.Error as error:
            if error.args[0] == _NO_SUCH_THREAD:
                return True
            raise
        end = time.monotonic() + _KILL_WAIT
        while cursor.execute(f"SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = {thread:d}"):
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def abandon(self) -> None:
        """End the query that is running, because nobody waits for it any more. Called from another thread."""
        with suppress(self._driver.Error, DatabaseError):
            second = self._connect()
            with second, second.cursor() as cursor:
                cursor.execute(f"KILL {self._connection.thread_id():d}")

    def _connect(self) -> Any:
        converters = _converters(self._driver.constants.FIELD_TYPE)
        try:
            connection = self._driver.connect(
                **_keywords(self._url), conv=converters, autocommit=True, auth_plugin_map=plugins(self._url.shown)
            )
            with connection.cursor() as cursor:
                for statement in _SESSION:
                    cursor.execute(statement)
                cursor.execute("SELECT @@sql_mode")
                modes = set(cursor.fetchone()[0].split(",")) - OTHER_LANGUAGES
                cursor.execute(f"SET SESSION sql_mode = '{','.join(sorted(modes))}'")
                for wish in _WISHES:
                    with suppress(self._driver.Error):
                        cursor.execute(wish)
        except (self._driver.Error, OSError, ValueError) as error:
            raise self._url.unreachable(_said(error)) from None
        except (RuntimeError, LookupError, struct.error) as error:  # PyMySQL's for what is no MySQL, or not installed
            raise self._url.unreachable(f"its answer can't be understood ({_said(error)})") from None
        return connection

    @contextmanager
    def _our_words(self, seconds: float) -> Iterator[None]:
        """Put what the server says in our words."""
        try:
            yield
        except self._driver.Error as error:
            raise self._in_our_words(error, seconds) from None

    def _in_our_words(self, error: Exception, seconds: float) -> DatabaseError:
        number_of_error = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        message = self._url.without_secrets(_said(error))
        from_driver = number_of_error == 0 or 2000 <= number_of_error < 3000
        kind = _KINDS.get(number_of_error, "database")
        if from_driver:
            self._connection._force_close()
        if (kind == "time" and number_of_error != _LOCK_WAIT) or (from_driver and self._fate is not None):
            return QueryError(f"{took_too_long(seconds)}{self._fate or ''}", "time")
        if from_driver:
            return self._url.unreachable(message)
        if number_of_error == _HIDDEN:
            advice = "this user needs SELECT and SHOW VIEW on it and on all that it reads"
            return QueryError(f"a view can't be looked into, so it is not run: {advice}", "refused")
        return QueryError(message, kind)


def _driver(shown: str) -> Any:
    try:
        import pymysql  # type: ignore[import-untyped]
    except ImportError as error:
        raise missing_driver("PyMySQL", shown) from error
    return pymysql


def _said(error: Exception) -> str:
    """Return the sentence of an error of PyMySQL, whose text is otherwise a tuple."""
    return str(error.args[-1] if error.args else error)


def _converters(kinds: Any) -> dict[int, Callable[[str], Any]]:
    """Return what makes Python's numbers of MySQL's; all other types stay text or bytes.

    So no value fails because Python has none for it (the date 0000-00-00, the time 838:59:59).
    """
    whole = (kinds.TINY, kinds.SHORT, kinds.INT24, kinds.LONG, kinds.LONGLONG, kinds.YEAR)
    return {
        **dict.fromkeys(whole, int),
        **dict.fromkeys((kinds.FLOAT, kinds.DOUBLE), float),
        **dict.fromkeys((kinds.DECIMAL, kinds.NEWDECIMAL), number),
    }


def _keywords(url: ServerUrl) -> dict[str, Any]:
    """Return PyMySQL's keywords for an address. As for MySQL's own programs, MYSQL_PWD may hold the password."""
    said: dict[str, Any] = {
        "host": url.host,
        "port": url.port,
        "user": url.user,
        "password": url.password or os.environ.get("MYSQL_PWD"),
        "database": url.database,
        "connect_timeout": _CONNECT_SECONDS,
    }
    for name, value in url.parameters.items():
        match name:
            case "connect_timeout":
                said[name] = int(value)
            case "ssl_disabled" | "ssl_verify_cert" | "ssl_verify_identity":
                said[name] = value.lower() in ("1", "true", "yes", "on")
            case _:
                said["password" if name == "passwd" else name] = value
    chosen = {name: value for name, value in said.items() if value is not None and value != ""}
    return {**chosen, "charset": "utf8mb4", "local_infile": False}
