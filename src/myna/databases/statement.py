"""SQL as text → one parsed query, or a sentence that says why it is not run.

The first gate, in the parent process, for good messages and a common rule on all kinds of database; no wall leans on
it. What sqlglot can't parse is not run. Knows no schema and no database.
"""

from __future__ import annotations

import re
from itertools import pairwise

from sqlglot import Dialect, ParseError, Token, TokenType, exp
from sqlglot.errors import SqlglotError

from myna.errors import QueryError

MAX_CHARACTERS = 100_000
MAX_TOKENS = 5_000  # about a tenth of a second of parsing

_BEGINNINGS = {TokenType.SELECT, TokenType.WITH, TokenType.VALUES, TokenType.FROM}
_NO_KEYWORDS = {TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING, TokenType.NUMBER}
_STATEMENTS = {
    *(
        "ABORT",
        "ANALYZE",
        "ATTACH",
        "CALL",
        "CHECKPOINT",
        "CLUSTER",
        "DEALLOCATE",
        "DECLARE",
        "DETACH",
        "DISCARD",
        "DO",
    ),
    *("EXECUTE", "EXPORT", "FLUSH", "HANDLER", "IMPORT", "INSTALL", "LISTEN", "LOAD", "LOCK", "NOTIFY", "OPTIMIZE"),
    *("PREPARE", "REINDEX", "RELEASE", "REPAIR", "RESET", "SAVEPOINT", "SHUTDOWN", "UNLISTEN", "VACUUM", "XA"),
}
_QUERIES = (exp.Query, exp.Values)
_NOT_READING: tuple[tuple[type[exp.Expr], str], ...] = (
    (exp.Into, "SELECT … INTO writes its rows somewhere"),
    (exp.Lock, "FOR UPDATE and FOR SHARE lock rows"),
    (exp.DML, "a part of it writes"),
    (exp.Create, "a part of it creates something"),
    (exp.Command, "a part of it is a command"),
)
_SUSPECTS = (*(kind for kind, _ in _NOT_READING), exp.CTE, exp.Placeholder)
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_MYSQL_CODE_IN_COMMENT = re.compile(r"/\*M?!")


def parse_query(sql: str, dialect: str) -> exp.Expr:
    """Return `sql`, which must be one query, as sqlglot's tree.

    dialect: sqlglot's name. Raises `QueryError`: "syntax" when it can't be parsed, "refused" when it is not one query
    that only reads or is too long to be checked.
    """
    if len(sql) > MAX_CHARACTERS:
        raise _refused(f"it is {len(sql):,} characters long, at most {MAX_CHARACTERS:,} are run")
    if bad := _NO_TEXT.search(sql):
        what = f"the character U+{ord(bad[0]):04X} at position {bad.start() + 1}"
        raise QueryError(f"not valid SQL: {what} can't stand in a text", "syntax")
    if dialect == "mysql" and _MYSQL_CODE_IN_COMMENT.search(sql):
        raise _refused("MySQL runs what stands in a /*! comment")
    tree = _parse(sql, dialect)
    if not isinstance(tree, _QUERIES):
        raise _refused("it is not a query")
    for node in tree.walk():
        if isinstance(node, _SUSPECTS):
            _check_node(node)
    return tree


def _parse(sql: str, dialect: str) -> exp.Expr:
    language = Dialect.get_or_raise(dialect)
    try:
        tokens = language.tokenize(sql)
        _check_tokens(tokens)
        found = [tree for tree in language.parser().parse(tokens, sql) if tree is not None]
    except RecursionError:
        raise _refused("it is nested too deeply to be checked") from None
    except ParseError as error:
        raise QueryError(_where(error), "syntax") from None
    except SqlglotError as error:
        raise QueryError(f"not valid SQL: {error}", "syntax") from None
    trees = [tree for tree in found if not isinstance(tree, exp.Semicolon)]
    if len(trees) != 1:
        raise _refused(f"{len(trees)} statements where one is run")
    return trees[0]


def _check_tokens(tokens: list[Token]) -> None:
    """Refuse by its words what need not or must not be parsed: sqlglot takes much for a command and prints warnings."""
    if len(tokens) > MAX_TOKENS:
        raise _refused(f"it has {len(tokens):,} words and signs, at most {MAX_TOKENS:,} are run")
    words = [token for token in tokens if token.token_type != TokenType.L_PAREN]
    first = words[0] if words else None
    if first is None or first.token_type == TokenType.SEMICOLON:
        raise QueryError("there is no statement; expected a query that begins with SELECT", "syntax")
    if first.token_type not in _BEGINNINGS:
        word = first.text.upper()[:40]
        if first.token_type in _NO_KEYWORDS and word not in _STATEMENTS:
            raise QueryError(f"not valid SQL: begins with {word!r}; expected a query that begins with SELECT", "syntax")
        raise _refused(f"{word} is not a query; only SELECT, WITH … SELECT and VALUES are run")
    if any(a.token_type == TokenType.REPLACE and b.token_type == TokenType.INTO for a, b in pairwise(words)):
        raise _refused("REPLACE INTO writes")
    semicolons = [place for place, token in enumerate(tokens) if token.token_type == TokenType.SEMICOLON]
    if semicolons and any(token.token_type != TokenType.SEMICOLON for token in tokens[semicolons[0] :]):
        raise _refused("more than one statement; only one is run")


def _check_node(node: exp.Expr) -> None:
    for kind, why in _NOT_READING:
        if isinstance(node, kind):
            raise _refused(why)
    if isinstance(node, exp.CTE) and not isinstance(node.this, _QUERIES):
        raise _refused("a WITH part of it is not a query")
    if isinstance(node, exp.Placeholder):
        raise QueryError(f"not valid SQL: the placeholder {node.sql()} has no value; write the value there", "syntax")


def _refused(why: str) -> QueryError:
    return QueryError(f"refused: {why}", "refused")


def _where(error: ParseError) -> str:
    if not error.errors:
        return f"not valid SQL: {error}"
    found = error.errors[0]
    near = f', near "{found["highlight"]}"' if found.get("highlight") else ""
    return f"not valid SQL, line {found.get('line')}, column {found.get('col')}{near}: {found.get('description')}"
