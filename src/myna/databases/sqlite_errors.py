"""What SQLite says → our errors: of which kind, in a sentence, with the name that was probably meant."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable

from myna.databases.query import took_too_long, took_too_much_memory
from myna.databases.sqlite_names import double_quoted_names
from myna.errors import DatabaseError, QueryError, QueryErrorKind, did_you_mean

_UNKNOWN = re.compile(r"no such (column|table): (.*)", re.DOTALL)
_SYNTAX = re.compile(r"syntax error|unrecognized token|incomplete input|null character|embedded null|bindings supplied")
_DENIED = re.compile(r"not authorized|is prohibited|one statement at a time")
_UNFINISHED = (
    "has an unfinished transaction of a program that ended; open it once with a program that may write, which "
    "completes or undoes it"
)
_BY_CODE: dict[str, tuple[QueryErrorKind, str]] = {
    "SQLITE_TOOBIG": ("memory", "a text or blob is longer than the memory limit allows; ask for less of it (substr)"),
    "SQLITE_AUTH": ("refused", "refused, only reading is allowed"),
    "SQLITE_READONLY": ("refused", "refused, only reading is allowed"),
    "SQLITE_READONLY_ROLLBACK": ("database", _UNFINISHED),
    "SQLITE_READONLY_RECOVERY": ("database", _UNFINISHED),
    "SQLITE_BUSY": ("database", "the database is locked by a program that writes to it; try again when it is done"),
    "SQLITE_LOCKED": ("database", "the database is locked by a program that writes to it; try again when it is done"),
    "SQLITE_CORRUPT": ("database", "the database file is damaged; restore it, or save what can be read (.recover)"),
    "SQLITE_NOTADB": ("database", "not an SQLite database, or an encrypted one"),
    "SQLITE_CANTOPEN": ("database", "the database file can't be opened; it was removed, or its rights were changed"),
}


def query_error(error: Exception, sql: str, seconds: float, connection: sqlite3.Connection) -> QueryError:
    """Return `error`, which SQLite raised for `sql`, as one of ours. `seconds` is the time limit."""
    said = str(error)
    code = _code(error)
    if code == "SQLITE_INTERRUPT":
        return took_too_long(seconds)
    if code == "SQLITE_NOMEM":
        return took_too_much_memory()
    if known := _known(code):
        kind, sentence = known
        return QueryError(f"{sentence}: {said}" if kind == "refused" else sentence, kind)
    if found := _UNKNOWN.search(said):
        what, name = found.groups()
        if what == "column":
            return QueryError(f"{said}{_column_hint(name, sql, connection)}", "unknown column")
        return QueryError(f"{said}{did_you_mean(name.removeprefix('main.'), _tables(connection))}", "unknown table")
    kind, sentence = _by_words(error)
    return QueryError(f"{sentence}: {said}", kind)


def _by_words(error: Exception) -> tuple[QueryErrorKind, str]:
    said = str(error)
    if _DENIED.search(said):
        return "refused", "refused, only reading is allowed"
    if isinstance(error, UnicodeEncodeError) or _SYNTAX.search(said):
        return "syntax", "not valid SQL for SQLite"
    return "database", "SQLite says"


def open_error(error: Exception, shown: str) -> DatabaseError:
    """Return `error`, which SQLite raised when it opened the database, as one of ours."""
    known = _known(_code(error))
    return DatabaseError(f"{shown}: {known[1]}" if known else f"{shown}: can't be opened; SQLite says: {error}")


def _code(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "SQLITE_NOMEM"
    return str(getattr(error, "sqlite_errorname", ""))


def _known(code: str) -> tuple[QueryErrorKind, str] | None:
    """Look up an extended code, then the plain one it extends: SQLITE_BUSY_SNAPSHOT, SQLITE_BUSY."""
    return _BY_CODE.get(code) or _BY_CODE.get("_".join(code.split("_")[:2]))


def _column_hint(name: str, sql: str, connection: sqlite3.Connection) -> str:
    suggestion = did_you_mean(name.rsplit(".", 1)[-1], _columns(sql, connection))
    if not suggestion and name in double_quoted_names(sql):
        return f" (double quotes are for names; a text stands in single quotes: '{name}')"
    return suggestion


def _tables(connection: sqlite3.Connection) -> list[str]:
    try:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    except sqlite3.Error:
        return []
    return [name for (name,) in rows]


def _columns(sql: str, connection: sqlite3.Connection) -> Iterable[str]:
    """Give the columns of all tables that `sql` can mean: those whose name stands somewhere in it."""
    lowered = sql.lower()
    named = [table for table in _tables(connection) if table.lower() in lowered]
    for table in named:
        try:
            yield from (row[0] for row in connection.execute(f"SELECT name FROM pragma_table_info({_text(table)})"))
        except sqlite3.Error:  # a view over something that is gone
            continue


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
