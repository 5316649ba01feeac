"""MySQL and MariaDB behind walls that don't lean on each other: nothing is written, whatever SQL arrives.

1. Every query runs in `START TRANSACTION READ ONLY`, in a session that is read-only by default, and is rolled back.
2. It must begin as a query does, hold neither INTO nor a locking read, and be a statement that EXPLAIN takes, which
   the server itself decides; the protocol carries one statement (no CLIENT.MULTI_STATEMENTS, no LOCAL INFILE).
3. What a read-only transaction does not stop are functions that act outside of it. So a query may call no function
   of the list below, no loadable one, and no stored one that its owner declared to change data or said nothing about.
4. Time is limited by the server and, should it not keep to it, by KILL QUERY from a second connection; rows and bytes
   by an unbuffered cursor; temporary tables by their size.

A URL goes in; rows and a schema come out. Numbers and bytes are Python's, all other values the text that the server
writes for them.
"""

from __future__ import annotations

import os
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any

from myna.databases.address import Address
from myna.databases.numbers import number
from myna.databases.query import Limits, Result, took_too_long
from myna.databases.rows import collect
from myna.databases.schema import Schema
from myna.databases.server_url import ServerUrl, missing_driver
from myna.databases.tokens import Token, check_is_one_query, mysql_tokens, words_called
from myna.errors import DatabaseError, QueryError, QueryErrorKind

_CONNECT_SECONDS = 10
_PREPARE_SECONDS = 10.0
_SCHEMA_SECONDS = 60.0
_KILL_AFTER = 0.2  # seconds behind the server's own limit
_EXPLAIN_ROWS = 1000
_LOCK_WAIT = 1205

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

# Modes in which text is not cut into tokens as mysql_tokens does it, and those that contain them.
_OTHER_LANGUAGES = {"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI", "ORACLE", "MSSQL", "DB2", "POSTGRESQL", "MAXDB"}

# Functions of the servers that wait, lock, read or write files, keep something or run code. MySQL 8.4 reference,
# chapter 14; MariaDB knowledge base, "Built-in functions".
_REFUSED = frozenset(
    (
        *("sleep", "benchmark", "load_file"),
        *("get_lock", "release_lock", "release_all_locks", "is_free_lock", "is_used_lock"),
        *("master_pos_wait", "source_pos_wait", "master_gtid_wait", "wait_for_executed_gtid_set"),
        *("wait_until_sql_thread_after_gtids", "group_replication_set_as_primary"),
        *("nextval", "lastval", "setval", "last_insert_id", "asynchronous_connection_failover_add_source"),
        *("asynchronous_connection_failover_delete_source", "asynchronous_connection_failover_add_managed"),
        *("asynchronous_connection_failover_delete_managed", "asynchronous_connection_failover_reset"),
        *("sys_exec", "sys_eval", "sys_get", "sys_set", "lib_mysqludf_sys_info", "http_get", "http_post"),
        *("service_get_read_locks", "service_get_write_locks", "service_release_locks"),
        *("version_tokens_set", "version_tokens_edit", "version_tokens_delete", "version_tokens_lock_exclusive"),
        *("keyring_key_generate", "keyring_key_store", "keyring_key_remove", "mysql_firewall_flush_status"),
        *("audit_log_rotate", "audit_log_filter_set_filter", "audit_log_filter_flush", "audit_log_read"),
        *("spider_direct_sql", "spider_bg_direct_sql", "spider_copy_tables", "spider_flush_table_mon_cache"),
        *("spider_ping_table", "mysql_query_attribute_string", "load_rewrite_rules", "flush_rewrite_cache"),
    )
)
_NOT_READING = {"FOR": ("UPDATE", "SHARE"), "LOCK": ("IN",), "NEXT": ("VALUE",), "PREVIOUS": ("VALUE",)}
_LOADABLE = "SELECT name FROM mysql.func WHERE LOWER(name) IN ({names}) LIMIT 1"
_STORED = """
SELECT ROUTINE_NAME FROM information_schema.ROUTINES
WHERE ROUTINE_TYPE = 'FUNCTION' AND LOWER(ROUTINE_NAME) IN ({names})
  AND (SQL_DATA_ACCESS = 'MODIFIES SQL DATA' OR SQL_DATA_ACCESS = 'CONTAINS SQL' AND IS_DETERMINISTIC = 'NO') LIMIT 1
"""
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
        self._is_mariadb = "MariaDB" in self._connection.get_server_info()
        self._catalogs = tuple(self._readable(_STORED, _LOADABLE))

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
        """Describe the tables and views of the address's database. Raises `DatabaseError`."""
        from myna.databases.inspection import inspect_schema

        with self._our_words(_SCHEMA_SECONDS):
            return inspect_schema("mysql+pymysql://", self._connect)

    def close(self) -> None:
        """Close it; harmless when called twice."""
        self._connection._force_close()

    @contextmanager
    def _checked(self, sql: str, seconds: float) -> Iterator[None]:
        """Check `sql` and open a read-only transaction for it, which is rolled back at the end."""
        tokens = mysql_tokens(sql)
        check_is_one_query(tokens)
        _check_reads_only(tokens)
        with self._our_words(seconds):
            if not self._connection.open:
                self._connection = self._connect()
            self._check_functions({_plain(name) for name in words_called(tokens)})
            self._ask("START TRANSACTION READ ONLY")
            try:
                with self._time_limit(seconds, _EXPLAIN_ROWS):
                    self._ask(f"EXPLAIN {sql}")
                yield
            finally:
                if self._connection.open:
                    self._connection.rollback()

    def _check_functions(self, called: set[str]) -> None:
        """Raise `QueryError` when one of these functions may do more than read."""
        refused = sorted(called & _REFUSED)
        if called and not refused:
            names = ", ".join(self._connection.escape(name) for name in sorted(called))
            refused = [name for question in self._catalogs for (name,) in self._ask(question.format(names=names))]
        if refused:
            raise QueryError(
                f"the function {refused[0]} may do more than read, so it is not run "
                "(a stored one of your own can be declared READS SQL DATA or NO SQL)",
                "refused",
            )

    def _readable(self, *questions: str) -> Iterator[str]:
        """Give the questions that this user may ask. Who may not see mysql.func can't be told of loadable functions."""
        for question in questions:
            with suppress(self._driver.Error):
                self._ask(question.format(names="''"))
                yield question

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
        limit = (
            f"max_statement_time = {seconds:.3f}"
            if self._is_mariadb
            else f"max_execution_time = {round(1000 * seconds)}"
        )
        self._ask(f"SET SESSION sql_select_limit = {rows}, {limit}")
        timer = threading.Timer(seconds + _KILL_AFTER, self._kill_query, [self._connection.thread_id()])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _kill_query(self, thread: int) -> None:
        with suppress(self._driver.Error, DatabaseError):
            killer = self._connect()
            with killer, killer.cursor() as cursor:
                cursor.execute(f"KILL QUERY {thread:d}")

    def _connect(self) -> Any:
        converters = _converters(self._driver.constants.FIELD_TYPE)
        try:
            connection = self._driver.connect(**_keywords(self._url), conv=converters, autocommit=True)
            with connection.cursor() as cursor:
                for statement in _SESSION:
                    cursor.execute(statement)
                cursor.execute("SELECT @@sql_mode")
                modes = set(cursor.fetchone()[0].split(",")) - _OTHER_LANGUAGES
                cursor.execute(f"SET SESSION sql_mode = '{','.join(sorted(modes))}'")
                for wish in _WISHES:
                    with suppress(self._driver.Error):
                        cursor.execute(wish)
        except (self._driver.Error, OSError, ValueError) as error:
            raise self._url.unreachable(_said(error)) from None
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
        if number_of_error == 0 or 2000 <= number_of_error < 3000:  # the driver's, not the server's
            self._connection._force_close()
            return self._url.unreachable(message)
        kind = _KINDS.get(number_of_error, "database")
        if kind == "time" and number_of_error != _LOCK_WAIT:
            return took_too_long(seconds)
        return QueryError(message, kind)


def _driver(shown: str) -> Any:
    try:
        import pymysql  # type: ignore[import-untyped]
    except ImportError as error:
        raise missing_driver("PyMySQL", shown) from error
    return pymysql


def _check_reads_only(tokens: list[Token]) -> None:
    """Raise `QueryError` for a query that locks rows, sets variables or takes the next number of a sequence."""
    if Token("symbol", ":=") in tokens:
        raise QueryError("the query sets a variable (:=); write it without", "refused")
    for word, after in pairwise(tokens):
        if any(word.is_word(first) and after.is_word(*second) for first, second in _NOT_READING.items()):
            raise QueryError(f"the query does more than read ({word.text} {after.text}); write it without", "refused")


def _plain(name: str) -> str:
    """Return a function's name as the server finds it: it takes "ſ" for "s" and "é" for "e"."""
    letters = unicodedata.normalize("NFKD", name.replace("ß", "s")).casefold()
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


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
    return {**{name: value for name, value in said.items() if value is not None and value != ""}, "charset": "utf8mb4"}
