"""SQL → its syntax tree, or a `QueryError` that says what is wrong with it. Runs nothing and knows no schema."""

from __future__ import annotations

from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from myna.errors import QueryError

_SHOWN = 200
"""Characters of a query that a message repeats."""


@lru_cache(maxsize=512)  # comparing, counting constructs and judging hardness all start from the same gold query
def parse_query(sql: str, dialect: str) -> exp.Expr:
    """Return the tree of the one statement in `sql`. It is shared by all who ask: copy it before changing it.

    dialect: sqlglot's name of it. Raises `QueryError` (syntax).
    """
    shown = sql if len(sql) <= _SHOWN else f"{sql[:_SHOWN]}…"
    try:
        statements = [tree for tree in sqlglot.parse(sql, read=dialect) if tree is not None]
    except (SqlglotError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is nested too deeply"
        raise QueryError(f"can't be parsed as {dialect} SQL: {reason} The statement: {shown}", "syntax") from error
    if len(statements) != 1 or isinstance(statements[0], exp.Semicolon):
        raise QueryError(f"expected one statement, found {len(statements)}: {shown!r}", "syntax")
    return statements[0]
