"""SQL text in any of our surfaces → a WikiSQL query."""

from __future__ import annotations

import re

from myna.errors import QueryError
from myna.text2sql.wikisql.form import WikiSQLQuery, WikiSQLTable
from myna.text2sql.wikisql.papers import read_papers
from myna.text2sql.wikisql.standard import read_standard

_BARE_TABLE = re.compile(r"""\bFROM\s+(?![A-Za-z_]\w*(?:[\s;]|$))(?=[^\s"`\[(])""", re.IGNORECASE)
"""A table's name without quotes that is no SQL identifier, as `1-10015132-16`."""


def from_sql(sql: str, table: WikiSQLTable) -> WikiSQLQuery:
    """Return the query that `sql` asks of `table`, whether it is SQL that databases run or the papers' surface.

    Where a text can be read as both, it is SQL. Raises `QueryError` that says why the likelier of the two fails.
    """
    readers = (read_papers, read_standard) if _BARE_TABLE.search(sql) else (read_standard, read_papers)
    try:
        return readers[0](sql, table)
    except QueryError as likelier:
        try:
            return readers[1](sql, table)
        except QueryError:
            raise likelier from None
