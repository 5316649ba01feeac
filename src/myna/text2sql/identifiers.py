"""How the names of tables and columns are written in SQL: plainly where that is safe, else quoted.

A name and a dialect go in, its spelling comes out. What is plain here is read by the database and by sqlglot as that
very name: a word that one of them keeps for itself is quoted. Knows no schema.
"""

from __future__ import annotations

import re
from functools import cache

from sqlglot.dialects.dialect import Dialect

_WORD = re.compile(r"[^\W\d]\w*\Z")
_FOLDED = frozenset({"postgres"})
"""Dialects in which an unquoted name is read in lower case."""
_HARMLESS = "COMMENT DATE DATETIME FILE FORMAT LIST LONG NAME NUMBER OBJECT STRING TEXT TIME TIMESTAMP"
"""Words that sqlglot knows as types or options, and that both it and the databases read as names all the same."""
_SQLITE = """
    ABORT ACTION ADD AFTER ALL ALTER ALWAYS ANALYZE AND AS ASC ATTACH AUTOINCREMENT BEFORE BEGIN BETWEEN BY CASCADE
    CASE CAST CHECK COLLATE COLUMN COMMIT CONFLICT CONSTRAINT CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIME
    CURRENT_TIMESTAMP DATABASE DEFAULT DEFERRABLE DEFERRED DELETE DESC DETACH DISTINCT DO DROP EACH ELSE END ESCAPE
    EXCEPT EXCLUDE EXCLUSIVE EXISTS EXPLAIN FAIL FILTER FIRST FOLLOWING FOR FOREIGN FROM FULL GENERATED GLOB GROUP
    GROUPS HAVING IF IGNORE IMMEDIATE IN INDEX INDEXED INITIALLY INNER INSERT INSTEAD INTERSECT INTO IS ISNULL JOIN
    KEY LAST LEFT LIKE LIMIT MATCH MATERIALIZED NATURAL NO NOT NOTHING NOTNULL NULL NULLS OF OFFSET ON OR ORDER OTHERS
    OUTER OVER PARTITION PLAN PRAGMA PRECEDING PRIMARY QUERY RAISE RANGE RECURSIVE REFERENCES REGEXP REINDEX RELEASE
    RENAME REPLACE RESTRICT RETURNING RIGHT ROLLBACK ROW ROWS SAVEPOINT SELECT SET TABLE TEMP TEMPORARY THEN TIES TO
    TRANSACTION TRIGGER UNBOUNDED UNION UNIQUE UPDATE USING VACUUM VALUES VIEW VIRTUAL WHEN WHERE WINDOW WITH WITHOUT
"""
"""https://www.sqlite.org/lang_keywords.html"""
_ELSEWHERE = """
    ANALYSE ANY ARRAY ASYMMETRIC AUTHORIZATION BOTH CONNECT_BY_ROOT CURRENT_CATALOG CURRENT_ROLE CURRENT_SCHEMA
    CURRENT_USER FALSE FETCH GRANT LATERAL LEADING LOCALTIME LOCALTIMESTAMP MOD ONLY OVERLAPS PLACING PRIOR RANK
    SESSION_USER SOME SYMMETRIC TRAILING TRUE USER VARIADIC XOR YEAR_MONTH
"""
"""Words kept by PostgreSQL, MySQL or sqlglot's grammar that stand in no list of theirs that can be asked."""


def identifier(name: str, dialect: str = "sqlite") -> str:
    """Return how a column's name is written: `name`, or `"Position held"`. dialect: sqlglot's name of it."""
    return name if is_plain(name, dialect) else quoted(name, dialect)


def table_identifier(name: str, dialect: str = "sqlite") -> str:
    """Return how the name of a `Table` is written; a schema in front of it is a name of its own."""
    return ".".join(identifier(part, dialect) for part in table_parts(name, dialect))


def quoted(name: str, dialect: str = "sqlite") -> str:
    """Return a name in the dialect's quotes, those within it doubled."""
    quote = quote_of(dialect)
    return quote + name.replace(quote, quote * 2) + quote


def quote_of(dialect: str) -> str:
    """Return the character that quotes names."""
    return "`" if dialect == "mysql" else '"'


def table_parts(name: str, dialect: str) -> list[str]:
    """Split what `Table.name` says into schema and table. In SQLite a dot is part of a table's name."""
    return [name] if dialect == "sqlite" else name.split(".", 1)


def is_plain(name: str, dialect: str = "sqlite") -> bool:
    """Tell whether a name may stand in SQL as it is."""
    if not _WORD.match(name) or (dialect in _FOLDED and name != name.lower()):
        return False
    return name.upper() not in _kept(dialect)


@cache
def _kept(dialect: str) -> frozenset[str]:
    words = frozenset(Dialect.get_or_raise(dialect).tokenizer_class.KEYWORDS)
    return words.difference(_HARMLESS.split()).union(_SQLITE.split(), _ELSEWHERE.split())
