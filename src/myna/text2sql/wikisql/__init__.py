"""WikiSQL: its tables and queries, their SQL in two styles and back, its databases and its official scoring rule."""

from myna.text2sql.wikisql.databases import (
    schema_of,
    stored_rows,
    tables_of,
    write_database,
    write_official_database,
)
from myna.text2sql.wikisql.form import (
    AGGREGATES,
    OPERATORS,
    WikiSQLQuery,
    WikiSQLQuestion,
    WikiSQLTable,
    parse_question,
    parse_table,
    read_questions,
    read_tables,
)
from myna.text2sql.wikisql.official import official_line, official_sql, official_table, same_answer, same_query
from myna.text2sql.wikisql.reading import from_sql
from myna.text2sql.wikisql.writing import SqlStyle, text_prompt, to_sql

__all__ = [
    "AGGREGATES",
    "OPERATORS",
    "SqlStyle",
    "WikiSQLQuery",
    "WikiSQLQuestion",
    "WikiSQLTable",
    "from_sql",
    "official_line",
    "official_sql",
    "official_table",
    "parse_question",
    "parse_table",
    "read_questions",
    "read_tables",
    "same_answer",
    "same_query",
    "schema_of",
    "stored_rows",
    "tables_of",
    "text_prompt",
    "to_sql",
    "write_database",
    "write_official_database",
]
