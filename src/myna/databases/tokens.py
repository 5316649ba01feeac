"""SQL text → its tokens, as PostgreSQL and MySQL themselves cut it: what is a name and what only stands in a string.

The servers' walls look up every name that a query calls, so the cut must never see a string or comment where the
server sees code. What could be cut in two ways is refused (`QueryError`), and the sessions are set so that few such
things are left. Needs no library, so that a worker process starts fast. Knows no grammar beyond this.

Sources: PostgreSQL's documentation, 4.1 Lexical Structure; MySQL's, 11.1 Literal Values, 11.2 Schema Object Names, 11.7
Comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias, cast

from myna.errors import QueryError

_NAME = r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*"
_POSTGRES = re.compile(
    rf"""(?P<space>[ \t\r\n\f\v]+|--[^\r\n]*)
    | (?P<comment>/\*)
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<name>{_NAME})
    | (?P<number>[0-9]+)
    | (?P<symbol>.)""",
    re.VERBOSE | re.DOTALL,
)
# A session without ANSI_QUOTES and NO_BACKSLASH_ESCAPES: "x" is a string, and a backslash escapes.
_MYSQL = re.compile(
    r"""(?P<space>[ \t\r\n\f\v]+|\#[^\n]*|--(?=[\x00-\x20\x7f])[^\n]*|--\Z)
    | (?P<comment>/\*)
    | (?P<string>'(?:[^'\\]|''|\\.)*'|"(?:[^"\\]|""|\\.)*")
    | (?P<quoted>`(?:[^`]|``)*`)
    | (?P<name>[A-Za-z0-9_$\u0080-\U0010ffff]+)
    | (?P<symbol>:=|.)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")

TokenKind: TypeAlias = Literal["name", "quoted", "string", "number", "symbol"]


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL. `text` of a quoted name is without its quotes; unquoted names keep their case."""

    kind: TokenKind
    text: str

    def is_word(self, *words: str) -> bool:
        """Return whether this is one of `words` (upper case), unquoted."""
        return self.kind == "name" and self.text.upper() in words


def postgres_tokens(sql: str) -> list[Token]:
    """Cut `sql` as a PostgreSQL session with `standard_conforming_strings=on, backslash_quote=off` does.

    Raises `QueryError` for what is not closed. What it can't read at all, `check_can_be_read` refuses.
    """
    return list(_tokens(sql, _POSTGRES, nested=True))


def mysql_tokens(sql: str) -> list[Token]:
    """Cut `sql` as a MySQL or MariaDB session without ANSI_QUOTES and NO_BACKSLASH_ESCAPES does.

    Raises `QueryError` for what is not closed, and for comments that the server executes.
    """
    return list(_tokens(sql, _MYSQL, nested=False))


def words_called(tokens: list[Token]) -> set[str]:
    """Return the names that stand before "(": every function that the query calls, and some keywords."""
    return {
        _folded(token)
        for token, after in pairwise(tokens)
        if token.kind in ("name", "quoted") and after.text == "(" and after.kind == "symbol"
    }


def names_in(tokens: list[Token]) -> set[str]:
    """Return every name and keyword, as a server looks it up."""
    return {_folded(token) for token in tokens if token.kind in ("name", "quoted")}


def words_after_dots(tokens: list[Token]) -> set[str]:
    """Return the names that stand after ".": PostgreSQL reads `(x).f` as `f(x)` where x has no field f."""
    return {
        _folded(token)
        for before, token in pairwise(tokens)
        if before.text == "." and before.kind == "symbol" and token.kind in ("name", "quoted")
    }


def check_can_be_read(tokens: list[Token]) -> None:
    """Raise `QueryError` where PostgreSQL reads what `postgres_tokens` does not: U&"…" names and dollar quotes."""
    for before, symbol, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if before.is_word("U") and symbol.text == "&" and after.kind == "quoted":
            raise _refused('a name written as U&"…"')
    if Token("symbol", "$") in tokens:
        raise _refused("a dollar sign outside of quotes (a dollar-quoted string, or a parameter)")


def check_is_one_query(tokens: list[Token]) -> None:
    """Raise `QueryError` unless the first word begins a query, there is one statement, and nothing goes INTO anything.

    INTO is a reserved word of both servers, and in neither has a query that only reads a use for it.
    """
    words = iter(tokens)
    first = next((token for token in words if token.text != "("), None)
    if first is None or not first.is_word("SELECT", "WITH", "VALUES", "TABLE"):
        begins = f"this begins with {first.text[:40]!r}" if first else "this is empty"
        raise QueryError(f"only a query can be run, SELECT, WITH or VALUES; {begins}", "refused")
    if any(token.is_word("INTO") for token in tokens):
        raise _refused("INTO, which writes somewhere")
    semicolon = Token("symbol", ";")
    if any(before == semicolon != after for before, after in pairwise(tokens)):
        raise _refused("more than one statement")


def _folded(token: Token) -> str:
    """Return the name as a server looks it up, in lower case unless it is quoted. PostgreSQL cuts after 63 bytes."""
    name = token.text if token.kind == "quoted" else re.sub("[A-Z]+", lambda letters: letters[0].lower(), token.text)
    return name.encode("utf-8", "replace")[:63].decode("utf-8", "ignore")


def _tokens(sql: str, pattern: re.Pattern[str], nested: bool) -> Iterator[Token]:
    if "\0" in sql:
        raise _refused("a NUL character")
    place = 0
    while place < len(sql):
        match = pattern.match(sql, place)
        assert match is not None  # "symbol" takes any character
        place = match.end()
        kind, text = match.lastgroup, match[0]
        if kind == "comment":
            place = _end_of_comment(sql, match.start(), nested)
        elif kind == "quoted":
            yield Token("quoted", text[1:-1].replace(text[0] * 2, text[0]))
        elif kind == "symbol" and text in "'\"`":
            raise QueryError(f"a {text} is not closed", "syntax")
        elif kind != "space":
            yield Token(cast(TokenKind, kind), text)


def _end_of_comment(sql: str, start: int, nested: bool) -> int:
    """Return the place after the comment at `start`. PostgreSQL's nest, MySQL's with a "!" are code."""
    if not nested and re.match(r"/\*M?!", sql[start : start + 4]):
        raise _refused("a comment that the server executes, /*! … */")
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge[0] == "/*" and (nested or depth == 0) else -1 if edge[0] == "*/" else 0
        if depth == 0:
            return edge.end()
    raise QueryError("a /* comment is not closed", "syntax")


def _refused(what: str) -> QueryError:
    return QueryError(f"the query holds {what}; write it without", "refused")
