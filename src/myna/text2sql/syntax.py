"""SQL → its syntax tree, parsed once however many ask for it. Runs nothing and knows no schema."""

from __future__ import annotations

from functools import lru_cache

from sqlglot import exp

from myna.databases import statement


@lru_cache(maxsize=512)  # comparing, counting constructs and judging hardness all start from the same gold query
def parse_query(sql: str, dialect: str) -> exp.Expr:
    """Return the tree of the one query in `sql`. It is shared by all who ask: copy it before changing it.

    dialect: sqlglot's name of it. Raises `QueryError` as the database itself would: "syntax" when it can't be parsed,
    "refused" when it is not one query that only reads.
    """
    return statement.parse_query(sql, dialect)
