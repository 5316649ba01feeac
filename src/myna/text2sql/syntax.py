"""SQL → its syntax tree, parsed once however many ask for it. Runs nothing and knows no schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlglot import exp

from myna.databases import statement
from myna.errors import QueryError


@lru_cache(maxsize=512)  # comparing, counting constructs and judging hardness all start from the same gold query
def parse_query(sql: str, dialect: str) -> exp.Expr:
    """Return the tree of the one query in `sql`. It is shared by all who ask: copy it before changing it.

    dialect: sqlglot's name of it. Raises `QueryError` as the database itself would: "syntax" when it can't be parsed,
    "refused" when it is not one query that only reads.
    """
    return statement.parse_query(sql, dialect)


@contextmanager
def nesting_bounded() -> Iterator[None]:
    """Raise `QueryError` where a function that calls itself for each part of a tree meets one that is too deep for it.

    `a OR b OR c …` is parsed without recursion, as a tree as deep as it is long. Also a decorator.
    """
    try:
        yield
    except RecursionError:
        raise QueryError("the query is nested too deeply, or is too long a chain of AND, OR or +", "refused") from None
