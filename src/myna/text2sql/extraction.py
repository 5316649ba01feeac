"""The SQL within a model's answer, by one stated rule. Knows no schema and runs nothing.

The rule:

1. What stands before a closing `</think>` is not the answer.
2. A statement begins at the first line that begins with SELECT, with WITH … AS (, or with another statement's verb in
   capitals (such an answer is refused later, but can be shown); else at the first of these after a colon (`SQL:`,
   `Answer:`, "Here it is:"); else at the first SELECT in capitals. What stands before it is dropped. Without any of
   these there is no SQL in the answer.
3. Where the answer begins with a statement that parses, that is it. Otherwise, with Markdown fences, it is taken from
   the first fenced block that holds a statement (a fence never closed goes to the end), then from the first inline code
   that begins with one, then from the whole answer.
4. A statement of several lines is the longest run of whole lines that parses; when none does, all up to a blank line, a
   fence or a line with a label (`Note: …`). A statement within one line is that line.
5. What follows a semicolon is dropped when the statement before it parses or a line ends there, and when no other
   statement follows: two statements stay two, and are refused as such. Semicolons within quotes and comments end
   nothing.
6. White space and semicolons at both ends are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlglot import exp

from myna.databases.statement import Steps, parse_statements
from myna.errors import QueryError

_MOST_STEPS = 100_000
"""What all parsing of one answer may cost, about a second: after that nothing parses. Usual answers cost hundreds."""

_MOST_LINES = 100
"""Lines of a statement that are looked at: a model that repeats itself for thousands of lines has said it by then."""

_VERBS = (
    "INSERT|UPDATE|DELETE|REPLACE|MERGE|CREATE|DROP|ALTER|TRUNCATE|PRAGMA|ATTACH|DETACH|VACUUM|REINDEX|EXPLAIN|VALUES"
    "|GRANT|REVOKE|COPY|CALL|SET|BEGIN|COMMIT|ROLLBACK"
)
_QUERY = r"""\(*(?:
    (?i:select)\b
  | (?i:with)\s+(?:(?i:recursive)\s+)?[\w"`\[\]]+\s*(?:\([^()]*\)\s*)?(?i:as)\s*(?:(?i:not\s+)?(?i:materialized)\s*)?\(
)"""
_STATEMENT = rf"(?:{_QUERY}|(?:{_VERBS})\b)"
_BEGINS_AS_QUERY = re.compile(_QUERY, re.VERBOSE)
_BEGINS = re.compile(_STATEMENT, re.VERBOSE)
_AT_LINE_START = re.compile(rf"^[^\S\n]*(?={_STATEMENT})", re.VERBOSE | re.MULTILINE)
_AFTER_COLON = re.compile(rf":[*_`\s]*(?={_STATEMENT})", re.VERBOSE)
_CAPITAL_SELECT = re.compile(r"\bSELECT\b")
_FENCE = re.compile(r"(?:```|~~~)(?:[^\S\n]*+[\w+-]*+[^\S\n]*+\n)?(.*?)(?:```|~~~|\Z)", re.DOTALL)
_INLINE_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_ENDING_LINE = re.compile(r"\s*+(?:$|```|~~~|[*_#>-]*+\s*+[A-Za-z][\w ]{0,30}[*_]*:(?:\s|$))")
_NEXT_STATEMENT = re.compile(rf"\s*+{_STATEMENT}", re.VERBOSE)
_REST_OF_LINE_IS_EMPTY = re.compile(r"[^\S\n]*+(?:\n|\Z)")
# A quote that is never closed is passed over, a comment goes to the end of the text then.
_QUOTED_OR_SEMICOLON = re.compile(
    r"""
    '(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \[[^\[\]\n]*\]  # literals and identifiers
  | --[^\n]* | /\*(?:.*?\*/|.*)                              # comments
  | (?P<semicolon>;)
    """,
    re.VERBOSE | re.DOTALL,
)


def sql_from_answer(text: str) -> str | None:
    """Return the SQL in `text` by the rule of this module, None when there is none. Never raises."""
    answer = text.rpartition("</think>")[2].strip()
    steps = Steps(_MOST_STEPS)
    if not _begins_with_what_parses(answer, steps):
        for part in _code(answer):
            begin = _begin(part)
            if begin is not None:
                return _statement(part[begin:], steps)
    begin = _begin(answer)
    return _statement(answer[begin:], steps) if begin is not None else None


def _begins_with_what_parses(answer: str, steps: Steps) -> bool:
    if not _BEGINS.match(answer):
        return False
    return _parses(_statement(re.split("```|~~~", answer, maxsplit=1)[0], steps), steps)


def _code(answer: str) -> Iterator[str]:
    """Yield what stands in fences, then what stands in inline code."""
    for fence in _FENCE.finditer(answer):
        yield fence[1]
    for span in _INLINE_CODE.finditer(answer):
        if _BEGINS.match(span[1].strip()):
            yield span[1]


def _begin(part: str) -> int | None:
    for pattern in (_AT_LINE_START, _AFTER_COLON):
        found = pattern.search(part)
        if found:
            return found.end()
    found = _CAPITAL_SELECT.search(part)
    return found.start() if found else None


def _statement(part: str, steps: Steps) -> str:
    """Return the statement that `part` begins with."""
    part = _until_semicolon(part, steps)
    lines = part.rstrip().split("\n")
    if len(lines) > 1:
        part = "\n".join(lines[: _length(lines, steps)])
    return part.strip().strip(";").strip()


def _until_semicolon(part: str, steps: Steps) -> str:
    """Drop what follows a semicolon, unless it is another statement."""
    for token in _QUOTED_OR_SEMICOLON.finditer(part):
        if token["semicolon"] is None or _NEXT_STATEMENT.match(part, token.end()):
            continue
        if _REST_OF_LINE_IS_EMPTY.match(part, token.end()) or _parses(part[: token.start()], steps):
            return part[: token.start()]
    return part


def _length(lines: list[str], steps: Steps) -> int:
    """Return how many of the lines, at least one, belong to the statement."""
    most = min(len(lines), _MOST_LINES)
    for count in range(most, 0, -1):
        if _parses("\n".join(lines[:count]), steps):
            return count
    return next((count for count in range(1, most) if _ENDING_LINE.match(lines[count])), most)


def _parses(sql: str, steps: Steps) -> bool:
    """Whether `sql` is one or more statements. Of statements that are no queries none is looked at closely."""
    if not _BEGINS_AS_QUERY.match(sql.lstrip()):
        return "\n" not in sql.strip()
    try:
        statements = parse_statements(sql, "sqlite", steps)
    except QueryError:
        return False
    return all(isinstance(statement, exp.Query) for statement in statements)
