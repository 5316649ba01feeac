"""What in a MySQL or MariaDB query could run for hours without the server looking at KILL or a time limit.

Between two rows the servers look; within one they search a text for another, match a regular expression and measure
shapes to the end, and EXPLAIN does so too when it computes constants. All of these take long only for long texts or
for patterns that can match in very many ways. So a query may build no long text, and its patterns must stand in it and
be simple. That is a rule of thumb and no proof: what is longest in a column is not known here, nor is text that grows
by CONCAT from one subquery to the next; such a query is ended by its connection's KILL where the server heeds it.

Measured on MariaDB 10.11, one processor: LIKE with 10,000 characters in 20,000 takes 1.3 s, REGEXP_REPLACE of 20,000
characters 0.3 s and of 200,000 more than 14 s, `(a+)+[bd]` on 420 characters 3 s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from myna.databases.tokens import Token
from myna.errors import QueryError

_MOST = 20_000  # characters
_MOST_WITH_SHAPES = 5_000
_MOST_WITH_PATTERNS = 1_000
_MOST_REPEATS = 3  # unbounded ones in one pattern: with n characters n ** 3 steps at each place
_MOST_WAYS = 1_000

_LENGTH_IN_SECOND = ("repeat", "lpad", "rpad")
_LENGTHENS = {"hex": 2, "quote": 2, "to_base64": 2, "json_quote": 2, "export_set": 64, "uncompress": 1_000}
_PATTERN_FUNCTIONS = ("regexp_like", "regexp_replace", "regexp_instr", "regexp_substr")
_SHAPES = re.compile(r"(st_|mbr)\w+|\w*from(text|wkb)|linestring|polygon|multi\w+|geometrycollection")
# A regular expression as PCRE and ICU cut it. What can't be cut so, such as (?x), (?R), (*…) and \Q, is refused.
_PIECE = re.compile(
    r"""(?P<open> \( (?: \?: | \?<?[=!] | (?![?*]) ) ) | (?P<close> \) ) | (?P<or> \| )
    | (?P<times> (?: [*+] | (?P<maybe> \? ) | \{ (?P<least>\d+) (?P<comma>,)? (?P<most>\d*) \} ) [+?]? )
    | \(\?i\) | \\[^QE] | \[ \^? \]? (?: \[:\w+:\] | \\. | [^\]\\] )* \] | [^\[\\(]""",
    re.VERBOSE | re.DOTALL,
)
_NAMES = ("name", "quoted")
_OPEN, _CLOSE = Token("symbol", "("), Token("symbol", ")")


@dataclass(slots=True)
class _Part:
    """What stands in one pair of parentheses, and how many times longer a text may leave it than it enters."""

    factor: int = 1
    """Of the call whose arguments these are."""
    is_query: bool = False
    longest: int = 1
    """The largest factor of the calls in here, which stand beside each other."""
    queries: int = 1
    """The product of the factors of the queries in here, because each may read what another makes."""

    def take(self, part: _Part) -> None:
        whole = part.factor * part.longest * part.queries
        if part.is_query:
            self.queries *= whole
        else:
            self.longest = max(self.longest, whole)


def check_cost(tokens: list[Token]) -> None:
    """Raise `QueryError` when a query builds long texts or matches patterns that could take hours."""
    most, longest = _MOST, 1
    parts = [_Part()]
    for place, token in enumerate(tokens):
        before, after = tokens[place - 1 : place], tokens[place + 1 : place + 2]
        if token.kind == "string":
            longest = max(longest, len(token.text) - 2)
        elif token.is_word("REGEXP", "RLIKE"):
            most = min(most, _MOST_WITH_PATTERNS)
            _check_pattern(list(_operand(tokens[place + 1 :])))
        elif token == _OPEN:
            part = _Part(is_query=bool(after) and after[0].is_word("SELECT", "WITH", "VALUES", "TABLE"))
            if before and before[0].kind in _NAMES:
                name, given = before[0].text.casefold(), _arguments(tokens, place + 1)
                if name in _PATTERN_FUNCTIONS:
                    most = min(most, _MOST_WITH_PATTERNS)
                    _check_pattern(given[1] if len(given) > 1 else [])
                elif _SHAPES.fullmatch(name):
                    most = min(most, _MOST_WITH_SHAPES)
                length = _length(name, given)
                part.factor = max(1, length) if name == "repeat" else _growth(name, given)
                longest = max(longest, 1 if name == "repeat" else length)
            parts.append(part)
        elif token == _CLOSE and len(parts) > 1:
            last = parts.pop()
            parts[-1].take(last)
    if longest * parts[0].longest * parts[0].queries > most:
        raise QueryError(
            f"the query could build a text of more than {most:,} characters, and what works on such a text can't be "
            "interrupted on the server; build a shorter one",
            "refused",
        )


def _length(name: str, given: list[list[Token]]) -> int:
    """Return how long a text a call asks for, in its own argument; 0 for other functions. Raises `QueryError`."""
    if name in _LENGTH_IN_SECOND and len(given) > 1:
        number = given[1]
    elif name == "space" and given:
        number = given[0]
    else:
        one = given[0] if len(given) == 1 else []
        return int(one[0].text) if name == "binary" and _is_number(one) else 0
    if number and number[0].is_word("LEAST"):
        number = next((part for part in _arguments(number, 2) if _is_number(part)), [])
    if not _is_number(number):
        raise QueryError(
            f"how long a text {name} makes must stand in the query as a number (or as LEAST(…, a number)), because "
            "what works on a very long text can't be interrupted on the server",
            "refused",
        )
    return int(number[0].text)


def _growth(name: str, given: list[list[Token]]) -> int:
    """Return how many times longer than its longest argument a call's text may be."""
    if name in ("concat", "concat_ws"):
        return max((given.count(part) for part in given if any(token.kind in _NAMES for token in part)), default=1)
    if name in ("replace", "regexp_replace") and len(given) > 2 and [token.kind for token in given[2]] == ["string"]:
        searched = len(given[1][0].text) - 2 if name == "replace" and given[1] else 1
        return -(-max(1, len(given[2][0].text) - 2) // max(1, searched))
    return _LENGTHENS.get(name, 1)


def _is_number(part: list[Token]) -> bool:
    return len(part) == 1 and part[0].kind == "name" and re.fullmatch("[0-9]{1,18}", part[0].text) is not None


def _arguments(tokens: list[Token], place: int) -> list[list[Token]]:
    """Return the arguments of the call whose first argument begins at `place`."""
    parts: list[list[Token]] = [[]]
    depth = 1
    for token in tokens[place:]:
        if token.kind == "symbol":
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            if depth == 0:
                break
            if depth == 1 and token.text == ",":
                parts.append([])
                continue
        parts[-1].append(token)
    return parts


def _operand(tokens: list[Token]) -> Iterator[Token]:
    """Give what stands behind REGEXP: one text, as far as can be told from what follows it."""
    for token in tokens:
        ends = token.kind == "name" or (token.kind == "symbol" and token.text in "),;=<>&")
        if ends and not token.is_word("BINARY"):
            return
        if not token.is_word("BINARY"):
            yield token


@dataclass(slots=True)
class _Ways:
    """In how many ways a part of a pattern can match the same text, and how many unbounded repeats are in it."""

    ways: int = 1
    repeats: int = 0
    before: int = 0
    """The ways of the alternatives before this one."""

    def take(self, part: _Ways) -> None:
        self.ways *= part.ways
        self.repeats += part.repeats


def _check_pattern(given: list[Token]) -> None:
    """Raise `QueryError` when a pattern is no text in the query, or can match in so many ways that it takes hours."""
    if [token.kind for token in given] != ["string"]:
        raise QueryError("a pattern must stand in the query as one text, so that it can be checked", "refused")
    pattern = re.sub(r"\\(.)|''|\"\"", lambda pair: pair[1] or pair[0][0], given[0].text[1:-1], flags=re.DOTALL)
    groups, last = [_Ways()], _Ways()
    place = 0
    while place < len(pattern):
        piece = _PIECE.match(pattern, place)
        if piece is None or (piece["close"] and len(groups) == 1):
            raise _pattern_refused(pattern, f"it can't be checked from {pattern[place : place + 10]!r} on")
        place = piece.end()
        if piece["times"]:
            last = _repeated(last, piece, pattern)
            continue
        groups[-1].take(last)
        last = _Ways()
        if piece["open"]:
            groups.append(_Ways())
        elif piece["or"]:
            groups[-1] = _Ways(repeats=groups[-1].repeats, before=groups[-1].before + groups[-1].ways)
        elif piece["close"]:
            group = groups.pop()
            last = _Ways(group.ways + group.before, group.repeats)
    groups[-1].take(last)
    whole = groups[-1]
    if whole.ways + whole.before > _MOST_WAYS or whole.repeats > _MOST_REPEATS:
        raise _pattern_refused(pattern, f"it has too many repeats; at most {_MOST_REPEATS} without a bound are run")


def _repeated(part: _Ways, piece: re.Match[str], pattern: str) -> _Ways:
    if piece["maybe"]:
        return _Ways(part.ways + 1, part.repeats)
    if piece["least"] and (piece["most"] or not piece["comma"]):
        least = int(piece["least"])
        most = min(int(piece["most"] or least), 64)
        return _Ways(part.ways**most * max(1, most - least + 1), part.repeats * most)
    if part.ways > 1 or part.repeats:
        raise _pattern_refused(pattern, "a repeated group holds a repeat or alternatives")
    return _Ways(repeats=1)


def _pattern_refused(pattern: str, why: str) -> QueryError:
    return QueryError(
        f"the pattern {pattern[:40]!r} could take hours, and the server can't interrupt it: {why}", "refused"
    )
