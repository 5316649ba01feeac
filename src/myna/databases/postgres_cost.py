"""Calls that PostgreSQL computes at a stretch, deaf to its own time limit and to being cancelled.

A server process looks for a cancellation between rows and in some loops, not in all: `translate` and `trim` compare
every character of one text with every character of another, and run for hours on texts of a few hundred megabytes. With
constant arguments they do so while the query is planned. So what they look for has to be written out, and short, and
texts can't be made long by a number. What remains is said in docs/security.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from myna.databases.tokens import Token
from myna.errors import QueryError

_LONGEST_BUILT = 10_000
_LONGEST_SET = 256
_BUILDERS = frozenset({"repeat", "lpad", "rpad"})
_QUADRATIC = frozenset({"translate", "trim", "btrim", "ltrim", "rtrim"})
_WIDTH = re.compile(r"%(?:\d+\$)?-?(\d+|\*)")


def check_can_be_interrupted(tokens: list[Token]) -> None:
    """Raise `QueryError` ("refused") for calls that PostgreSQL computes at a stretch, deaf to every time limit.

    tokens: of a query, as PostgreSQL cuts it.
    """
    for place, token in enumerate(tokens[:-1]):
        if token.kind not in ("name", "quoted") or tokens[place + 1] != Token("symbol", "("):
            continue
        name = token.text.lower()
        if name in _BUILDERS:
            inside = list(_inside(tokens, place + 1))
            counts = _parts(inside)[1:2]
            if not all(map(_is_small, counts)) or any(t.text.lower() in _BUILDERS for t in inside if t.kind == "name"):
                raise QueryError(
                    f"{name} needs a number of at most {_LONGEST_BUILT:,} written out, and not within another one: "
                    "PostgreSQL can't be interrupted while it builds long texts",
                    "refused",
                )
        elif name in _QUADRATIC:
            parts = _parts(list(_inside(tokens, place + 1)))
            if sum(not _is_short_text(part) for part in parts) > 1:
                raise QueryError(
                    f"{name} needs the characters that it looks for written out, at most {_LONGEST_SET} of them: "
                    "PostgreSQL can't be interrupted while it compares long texts",
                    "refused",
                )
        elif name == "format":
            widths = (w for t in _inside(tokens, place + 1) if t.kind == "string" for w in _WIDTH.findall(t.text))
            if any(width == "*" or not _is_small_number(width) for width in widths):
                raise QueryError(f"format needs widths of at most {_LONGEST_BUILT:,}, written out", "refused")


def _inside(tokens: list[Token], opening: int) -> Iterator[Token]:
    """Give the tokens within the parentheses that begin at `opening`."""
    depth = 0
    for token in tokens[opening:]:
        if token.kind == "symbol" and token.text in "([":
            depth += 1
        elif token.kind == "symbol" and token.text in ")]":
            depth -= 1
        if depth == 0:
            return
        if depth > 1 or token != Token("symbol", "("):
            yield token


def _parts(inside: list[Token]) -> list[list[Token]]:
    """Return the arguments of a call: what commas, and the FROM of TRIM(x FROM y), separate on the outermost level."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in inside:
        if token.kind == "symbol" and token.text in "([":
            depth += 1
        elif token.kind == "symbol" and token.text in ")]":
            depth -= 1
        if depth == 0 and (token == Token("symbol", ",") or token.is_word("FROM")):
            parts.append([])
        elif not (depth == 0 and token.is_word("BOTH", "LEADING", "TRAILING")):
            parts[-1].append(token)
    return parts


def _is_small(count: list[Token]) -> bool:
    return len(count) == 1 and count[0].kind == "number" and _is_small_number(count[0].text)


def _is_small_number(digits: str) -> bool:
    return len(digits) <= len(str(_LONGEST_BUILT)) and int(digits) <= _LONGEST_BUILT


def _is_short_text(part: list[Token]) -> bool:
    """Whether this is one literal, as 'abc' or E'abc', or nothing (TRIM(FROM x))."""
    texts = part[1:] if part and part[0].is_word("E") else part
    return not texts or (len(texts) == 1 and texts[0].kind == "string" and len(texts[0].text) <= _LONGEST_SET + 2)
