"""A WikiSQL query → SQL text, in two styles, and the text prompt that goes with them.

`executable` is SQL that databases run: `SELECT COUNT(Name) FROM "1-10015132-16" WHERE Position = 'Guard'`, with names
quoted where they must be, as the schema in the prompt has them.
`wikisql` is the surface of the papers and of the MLX LoRA example, which no database runs: names stand bare, texts of
text columns between quotes that nothing escapes: `SELECT COUNT Name FROM 1-10015132-16 WHERE Position = 'Guard'`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from myna.errors import DataError
from myna.text2sql.identifiers import identifier
from myna.text2sql.wikisql.form import AGGREGATES, OPERATORS, Value, WikiSQLQuery, WikiSQLTable
from myna.text2sql.wikisql.papers import read_value

SqlStyle: TypeAlias = Literal["executable", "wikisql"]


def to_sql(query: WikiSQLQuery, table: WikiSQLTable, style: SqlStyle = "executable") -> str:
    """Return `query` as SQL. Raises `DataError` when it names a column that `table` does not have.

    `from_sql` gives the same query back. The `wikisql` style escapes nothing, hence three exceptions: a number in a
    text column comes back as a text, which is the same by the official rule; and two queries share one text when a
    value looks like the end of a condition and the beginning of the next, or a name like an aggregate of another name.
    """
    if query.width > len(table.header):
        raise DataError(
            f"the query names column {query.width - 1} of table {table.id}, which has {len(table.header)} columns"
        )
    aggregate, selected = AGGREGATES[query.agg], table.columns[query.sel]
    if style == "wikisql":
        head = f"SELECT {aggregate} {selected}" if aggregate else f"SELECT {selected}"
        head = f"{head} FROM {table.id}"
        conditions = [
            f"{table.columns[column]} {OPERATORS[operator]} {_bare(value, table.types[column])}"
            for column, operator, value in query.conds
        ]
    else:
        name = identifier(selected)
        head = f"SELECT {f'{aggregate}({name})' if aggregate else name} FROM {identifier(table.id)}"
        conditions = [
            f"{identifier(table.columns[column])} {OPERATORS[operator]} {quote_value(value)}"
            for column, operator, value in query.conds
        ]
    return f"{head} WHERE {' AND '.join(conditions)}" if conditions else head


def text_prompt(question: str, table: WikiSQLTable) -> str:
    r"""Return the prompt of the MLX LoRA example: `table: …\ncolumns: …\nQ: …\nA:`. A space and the SQL follow."""
    return f"table: {table.id}\ncolumns: {', '.join(table.columns)}\nQ: {' '.join(question.splitlines())}\nA:"


def quote_value(value: Value) -> str:
    """Return `value` as an SQL literal; a float has as many digits as give it back exactly."""
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def _bare(value: Value, kind: str) -> str:
    """Return a value in the papers' surface: quoted in a text column, or where it would be read as something else."""
    text = str(value)
    back = read_value(text, kind)
    same = back == value and type(back) is type(value) and text == text.strip().strip(";'") != ""
    return text if kind == "real" and same else f"'{text}'"
