"""What a MySQL or MariaDB query runs: the functions it calls, the views it reads, and the stored functions in both.

Names go in, `QueryError` comes out when one of them may do more than read or can't be looked into. Asks the server's
information schema for the text of views and stored functions, follows what these call in turn, and knows nothing of
connections and limits. A name counts wherever it stands, so a column that shares the name of a view has that view
checked too: more may be looked at than is run, never less.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from myna.databases.tokens import Token, mysql_tokens, words_called
from myna.errors import QueryError

# Modes in which text is not cut into tokens as mysql_tokens does it, and those that contain them.
OTHER_LANGUAGES = {"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI", "ORACLE", "MSSQL", "DB2", "POSTGRESQL", "MAXDB"}

# Functions of the servers that wait, lock, read or write files, keep something or run code. MySQL 8.4 reference,
# chapter 14; MariaDB knowledge base, "Built-in functions".
_REFUSED = frozenset(
    (
        *("sleep", "benchmark", "load_file"),
        *("get_lock", "release_lock", "release_all_locks", "is_free_lock", "is_used_lock"),
        *("master_pos_wait", "source_pos_wait", "master_gtid_wait", "wait_for_executed_gtid_set"),
        *("wait_until_sql_thread_after_gtids", "group_replication_set_as_primary", "wsrep_sync_wait_upto_gtid"),
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
# Functions that run for as long as their arguments ask, while the server looks at neither KILL nor its time limit.
_ENDLESS = frozenset(
    (
        *("encrypt", "kdf", "extractvalue", "updatexml", "json_schema_valid", "json_schema_validation_report"),
        *("st_buffer", "buffer", "st_union", "st_intersection", "st_difference", "st_symdifference", "st_issimple"),
        *("issimple", "st_frechetdistance", "st_hausdorffdistance"),
    )
)
_NOT_READING = {"FOR": ("UPDATE", "SHARE"), "LOCK": ("IN",), "NEXT": ("VALUE",), "PREVIOUS": ("VALUE",)}

# How a statement in the body of a stored function may begin, and words of statements that act.
_STEPS = (
    *("RETURN", "BEGIN", "END", "DECLARE", "SET", "IF", "ELSEIF", "ELSE", "CASE", "WHEN", "WHILE", "LOOP", "REPEAT"),
    *("UNTIL", "LEAVE", "ITERATE", "SELECT", "WITH", "VALUES", "OPEN", "FETCH", "CLOSE", "SIGNAL", "RESIGNAL", "FOR"),
)
_ACTS = (
    *("ALTER", "ANALYZE", "BACKUP", "BINLOG", "CACHE", "CALL", "CHANGE", "COMMIT", "CREATE", "DEALLOCATE", "DELETE"),
    *("DROP", "DUMPFILE", "EXECUTE", "FLUSH", "GLOBAL", "GRANT", "INSERT", "INSTALL", "KILL", "LOAD", "LOCK"),
    *("OPTIMIZE", "OUTFILE", "PERSIST", "PERSIST_ONLY", "PREPARE", "PURGE", "RENAME", "REPAIR", "REPLACE", "RESET"),
    *("RESTART", "REVOKE", "ROLLBACK", "SAVEPOINT", "SESSION", "SHUTDOWN", "START", "STOP", "TRUNCATE", "UNINSTALL"),
    *("UNLOCK", "UPDATE", "XA"),
)
_SET_TOO = ("CHARACTER", "CHARSET", "NAMES", "PASSWORD", "ROLE", "TRANSACTION")  # what SET takes beside variables

_END, _OPEN = Token("symbol", ";"), Token("symbol", "(")
_ASSIGNS = (Token("symbol", "="), Token("symbol", ":="))

_LOADABLE = "SELECT name FROM mysql.func WHERE LOWER(name) IN ({names}) LIMIT 1"
_VIEWS = """
SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS
WHERE TABLE_SCHEMA IN ({schemas}) AND TABLE_NAME IN ({names})
"""
_FUNCTIONS = """
SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_DEFINITION, SQL_MODE, SQL_DATA_ACCESS, IS_DETERMINISTIC
FROM information_schema.ROUTINES WHERE ROUTINE_TYPE = 'FUNCTION' AND LOWER(ROUTINE_NAME) IN ({names})
"""
_VARIABLES = "SHOW VARIABLES WHERE Variable_name IN ({names})"
_SEE_FUNCTIONS = "GRANT SELECT ON mysql.proc (MariaDB) or GRANT SHOW_ROUTINE ON *.* (MySQL)"
_CALLED_IN_TEXT = re.compile(r"([A-Za-z0-9_$\u0080-\U0010ffff]+)`?\s*\(")


@dataclass(frozen=True, slots=True)
class _Code:
    """A query (without a name) or the text of a view or stored function, and the database whose names it uses."""

    name: str
    tokens: list[Token]
    database: str
    called: frozenset[str]
    is_view: bool = False


class CodeCheck:
    """Looks into what queries run. `ask` runs a statement and gives its rows, `quote` makes a literal of a text."""

    def __init__(
        self, ask: Callable[[str], Sequence[tuple[Any, ...]]], quote: Callable[[str], str], *, sees_loadable: bool
    ) -> None:
        self._ask = ask
        self._quote = quote
        self._sees_loadable = sees_loadable

    def check(self, tokens: list[Token], database: str) -> None:
        """Raise `QueryError` when a query in `database` may do more than read, or when that can't be found out."""
        if Token("symbol", ":=") in tokens:
            raise QueryError("the query sets a variable (:=); write it without", "refused")
        todo = [_Code("", tokens, database, _called(tokens))]
        known: set[tuple[str, str]] = set()
        while todo:
            code = todo.pop()
            _check_pairs(code)
            _check_built_in(code)
            for found in (*self._functions(code), *self._views(code)):
                if (found.name, found.database) not in known:
                    known.add((found.name, found.database))
                    todo.append(found)

    def _functions(self, code: _Code) -> Iterator[_Code]:
        """Give the stored functions that `code` calls. Raises `QueryError` when one may do more than read."""
        names = self._list(code.called)
        if not names:
            return
        if self._sees_loadable and (loadable := self._ask(_LOADABLE.format(names=names))):
            raise _refused(f"the function {loadable[0][0]}, a loadable one, may do more than read", code)
        rows = self._ask(_FUNCTIONS.format(names=names))
        _check_all_found(code, {_plain(row[1]) for row in rows})
        for schema, name, text, mode, access, is_fixed in rows:
            if access == "MODIFIES SQL DATA" or (access == "CONTAINS SQL" and is_fixed == "NO"):
                raise _refused(
                    f"the function {name} may do more than read (if it does not, declare it READS SQL DATA or NO SQL)",
                    code,
                )
            function = _read(f"the function {name}", text, _SEE_FUNCTIONS, schema, code)
            if set(mode.split(",")) & OTHER_LANGUAGES:
                raise _refused(f"the function {name} can't be checked, because its sql_mode is {mode}", code)
            variables = self._list(_assigned(function))
            if variables and (set_too := self._ask(_VARIABLES.format(names=variables))):
                raise _refused(f"{function.name} sets the server's variable {set_too[0][0]}", code)
            yield function

    def _views(self, code: _Code) -> Iterator[_Code]:
        """Give the views that `code` may read. Raises `QueryError` when the text of one is hidden."""
        names = {token.text for token in code.tokens if token.kind in ("name", "quoted")}
        schemas = self._list({code.database, *names})
        for schema, name, text in self._ask(_VIEWS.format(schemas=schemas, names=self._list(names))) if names else ():
            shown = f"the view {schema}.{name}"
            view = _read(shown, text, f"GRANT SHOW VIEW ON `{schema}`.`{name}`", schema, code)
            # In case its text was written under other rules of quoting, also what only looks like a call.
            loosely = frozenset(_plain(name) for name in _CALLED_IN_TEXT.findall(text))
            yield replace(view, called=view.called | loosely, is_view=True)

    def _list(self, names: Iterable[str]) -> str:
        return ", ".join(self._quote(name) for name in sorted(names))


def _read(shown: str, text: str | None, right: str, database: str, code: _Code) -> _Code:
    """Cut the text of a view or function that `code` uses. Raises `QueryError` when there is none, or it can't be."""
    if not text:
        raise _refused(f"{shown} can't be checked, because its text is hidden: this user needs {right}", code)
    try:
        tokens = mysql_tokens(text)
    except QueryError as error:
        raise _refused(f"{shown} can't be checked ({error})", code) from None
    return _Code(shown, tokens, database, _called(tokens))


def _check_pairs(code: _Code) -> None:
    """Raise `QueryError` for code that locks rows, or takes a sequence's next number, or a function of a package."""
    for word, after in pairwise(code.tokens):
        if any(word.is_word(first) and after.is_word(*second) for first, second in _NOT_READING.items()):
            raise QueryError(
                f"{code.name or 'the query'} does more than read ({word.text} {after.text}); write it without",
                "refused",
            )
    for place in range(len(code.tokens) - 5):
        names, signs = code.tokens[place : place + 6 : 2], code.tokens[place + 1 : place + 6 : 2]
        if [sign.text for sign in signs] == [".", ".", "("] and all(name.kind in ("name", "quoted") for name in names):
            raise _refused(f"{names[1].text}.{names[2].text}, a function of a package, can't be checked", code)


def _check_built_in(code: _Code) -> None:
    if refused := sorted(code.called & _REFUSED):
        raise _refused(f"the function {refused[0]} may do more than read", code)
    if endless := sorted(code.called & _ENDLESS):
        raise _refused(f"the function {endless[0]} may run for hours, and the server can't interrupt it", code)


def _check_all_found(code: _Code, found: set[str]) -> None:
    """Refuse a view that calls what this user may not see: the server writes stored functions in quotes, no others."""
    if not code.is_view:
        return
    for place, (token, after) in enumerate(pairwise(code.tokens)):
        is_call = token.kind == "quoted" and after == _OPEN and not _names_columns(code.tokens, place + 1)
        if is_call and _plain(token.text) not in found:
            raise _refused(f"the function {token.text} can't be checked, because this user may not see it", code)


def _names_columns(tokens: list[Token], opening: int) -> bool:
    """Return whether a WITH part's columns stand in the parentheses: `WITH x (a, b) AS (…`."""
    closing = next((place for place in range(opening, len(tokens)) if tokens[place] == Token("symbol", ")")), -1)
    after = tokens[closing + 1 : closing + 3]
    return len(after) == 2 and after[0].is_word("AS") and after[1] == _OPEN


def _assigned(function: _Code) -> set[str]:
    """Return the names that a function assigns. Raises `QueryError` when it does more than read and compute."""
    assigned: set[str] = set()
    in_set = False
    tokens = function.tokens
    around = zip([_END, *tokens], tokens, [*tokens[1:], _END], [*tokens[2:], _END, _END], strict=False)
    for before, token, after, second in around:
        begins = before == _END or before.is_word("BEGIN")
        is_step = token.is_word(*_STEPS) or token in (_OPEN, _END) or after == Token("symbol", ":")
        acts = token.is_word(*_ACTS) and before != Token("symbol", ".") and after != _OPEN
        if acts or (begins and not is_step) or (in_set and token.is_word(*_SET_TOO)):
            raise _refused(f"{function.name} may do more than read ({token.text})")
        if token.is_word("SET") and not before.is_word("CHARACTER", "CHARSET"):
            in_set = True
            if after.kind not in ("name", "quoted") or second not in _ASSIGNS:
                raise _refused(f"{function.name} sets something other than its own variables")
        elif token == _END:
            in_set = False
        elif in_set and token.kind in ("name", "quoted") and after in _ASSIGNS:
            assigned.add(token.text)
    return assigned


def _called(tokens: list[Token]) -> frozenset[str]:
    return frozenset(map(_plain, words_called(tokens)))


def _plain(name: str) -> str:
    """Return a function's name as the server finds it: it takes "ſ" for "s" and "é" for "e"."""
    letters = unicodedata.normalize("NFKD", name.replace("ß", "s")).casefold()
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _refused(why: str, user: _Code | None = None) -> QueryError:
    """Return the error for something that is refused, and say which view or function uses it."""
    return QueryError(f"{why}, so it is not run" + (f" ({user.name} uses it)" if user and user.name else ""), "refused")
