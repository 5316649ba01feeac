"""The papers' surface of WikiSQL → a query: `SELECT COUNT Name FROM 1-10015132-16 WHERE Position = Guard`.

Nothing in it is escaped and names stand bare, so the table's own header decides where a name ends: the longest name
that fits is taken. A condition begins only where ` AND `, a name and an operator stand together, and a value that
opens with a quote goes on until such a place that follows a quote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from myna.errors import QueryError, did_you_mean, excerpt
from myna.text2sql.wikisql.form import AGGREGATES, OPERATORS, Condition, Value, WikiSQLQuery, WikiSQLTable

_SHOWN = 300
"""Characters of names that a message repeats: headers can be whole sentences."""
_INTEGER = re.compile(r"-?\d{1,4000}", re.ASCII)
_FLOAT = re.compile(r"-?\d+\.\d+(e[+-]?\d+)?|-?\d+e[+-]?\d+", re.ASCII | re.IGNORECASE)
_CALL = re.compile(rf"({'|'.join(AGGREGATES[1:])})\s*\((.*)\)", re.IGNORECASE | re.DOTALL)


def read_papers(sql: str, table: WikiSQLTable) -> WikiSQLQuery:
    """Return the query that `sql` writes in the papers' surface. Raises `QueryError`."""
    text = sql.strip().rstrip(";").rstrip()
    start = re.match(r"SELECT\s+", text, re.IGNORECASE)
    if start is None:
        raise QueryError(f"expected SELECT … FROM {table.id}, found {text[:80]!r}", "syntax")
    origin = rf"(?<!\s)\s+FROM\s+{re.escape(table.id)}(?:\s+WHERE\s+|$)"
    heads = [(text[start.end() : found.start()], found.end()) for found in re.finditer(origin, text, re.IGNORECASE)]
    if not heads:
        raise _no_table(text, table)
    for head, end in heads:  # a name may hold " FROM ", so the first that leaves a known column counts
        if (selected := _selected(head, table)) is not None:
            return WikiSQLQuery(table.id, *selected, tuple(_conditions(text[end:], table)))
    raise unknown_column(heads[0][0], table)


def read_value(text: str, kind: str) -> Value:
    """Return what a value means in a column of this kind (`text` or `real`); quotes around it are taken off."""
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1]
    if kind == "real" and _INTEGER.fullmatch(text):
        return int(text)
    if kind == "real" and _FLOAT.fullmatch(text):
        return float(text)
    return text


def unknown_column(name: str, table: WikiSQLTable) -> QueryError:
    """Return the error that says which columns there are."""
    columns = ", ".join(table.columns)
    hint = did_you_mean(name, table.columns)
    shown = columns if len(columns) <= _SHOWN else f"{columns[:_SHOWN]}…"
    return QueryError(f"table {table.id} has no column {name[:_SHOWN]!r} (columns: {shown}){hint}", "unknown column")


def _selected(head: str, table: WikiSQLTable) -> tuple[int, int] | None:
    """Return column and aggregate. A name may begin with what looks like an aggregate: exact case goes first."""
    words = head.split(maxsplit=1)
    called = _CALL.fullmatch(head)
    if head in table.columns:
        return table.columns.index(head), 0
    if len(words) == 2 and words[0] in AGGREGATES and words[1] in table.columns:
        return table.columns.index(words[1]), AGGREGATES.index(words[0])
    if (whole := table.positions.get(head.casefold())) is not None:
        return whole, 0
    if called is not None:
        words = [called[1], called[2].strip()]
    if len(words) == 2 and words[0].upper() in AGGREGATES and words[1].casefold() in table.positions:
        return table.positions[words[1].casefold()], AGGREGATES.index(words[0].upper())
    return None


def _conditions(text: str, table: WikiSQLTable) -> Iterator[Condition]:
    if not text:
        return
    names = "|".join(re.escape(name) for name in sorted(table.columns, key=len, reverse=True))
    begin = re.compile(rf"(?:^|(?<!\s)\s+AND\s+)({names})\s+([{''.join(OPERATORS)}])\s+", re.IGNORECASE)
    current = begin.match(text)
    if current is None:
        raise unknown_column(re.split(r"(?<!\s)\s+[=<>]\s+", text)[0], table)
    while current is not None:
        column = table.positions.get(current[1].casefold())
        if column is None:  # regular expressions hold more letters for the same than case folding does
            raise unknown_column(current[1], table)
        value = text[current.end() :]
        following = None
        for candidate in begin.finditer(text, current.end()):
            piece = text[current.end() : candidate.start()]
            if not piece.startswith("'") or (len(piece) > 1 and piece.endswith("'")):
                value, following = piece, candidate
                break
        yield column, OPERATORS.index(current[2]), read_value(value, table.types[column])
        current = following


def _no_table(text: str, table: WikiSQLTable) -> QueryError:
    named = re.search(r"(?<!\s)\s+FROM\s+(\S+)", text, re.IGNORECASE)
    if named is None:
        return QueryError(f"expected FROM {table.id}, found no FROM in {text[:80]!r}", "syntax")
    if named[1].casefold() == table.id.casefold():
        return QueryError(
            f"expected WHERE or the end after FROM {table.id}, found {text[named.end() :][:80]!r}", "syntax"
        )
    return QueryError(f"there is no table {excerpt(named[1])}, expected {excerpt(table.id)}", "unknown table")
