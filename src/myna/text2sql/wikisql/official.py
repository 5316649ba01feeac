"""The published scoring rule of WikiSQL: its logical form, and execution on its own database.

In: queries, and the `Result`s that `Database` gives for their SQL. Out: verdicts, and the lines of a predictions file
that the data set's `evaluate.py` reads. Rule: the data set's README and evaluator (run under `LC_ALL=C`):

- the official database has a table `table_<id with - as _>` with columns `col0`, `col1` …, all text lower-cased;
- texts in conditions are lower-cased; in a `real` column a text becomes the number that it is (commas dropped), else
  the first number in it; a text without one can't be run;
- a column's value is bound by the column's name: of two conditions on one column, both get the last one's value;
- an answer is right when it is the same list, in order; a query is right when column, aggregate and the *set* of
  conditions are the same, values compared as lower-cased text (so `5` is `'5'` but not `5.0`).
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal, InvalidOperation

from myna.databases.query import Result
from myna.errors import QueryError, excerpt
from myna.text2sql.identifiers import quoted
from myna.text2sql.wikisql.form import AGGREGATES, OPERATORS, Value, WikiSQLQuery, WikiSQLTable
from myna.text2sql.wikisql.writing import quote_value

_NUMBER = re.compile(r"[-+]?\d*\.\d+|\d+")
"""A sign counts only before a number with a point: that is the published rule."""


def official_table(table_id: str) -> str:
    """Return the name that a table has in the official database."""
    return f"table_{table_id.replace('-', '_')}"


def official_sql(query: WikiSQLQuery, table: WikiSQLTable) -> str:
    """Return the SQL that asks the official database what the evaluator would ask it.

    Raises `QueryError` for a query that the evaluator can't run: a column that the table has not, or a condition
    that compares a `real` column with a text that holds no number.
    """
    if query.width > len(table.types):
        raise QueryError(f"table {table.id} has no column {query.width - 1}, only {len(table.types)}", "unknown column")
    values = {column: _literal(value, table.types[column]) for column, _, value in query.conds}
    conditions = [f"col{column} {OPERATORS[operator]} {values[column]}" for column, operator, _ in query.conds]
    aggregate, selected = AGGREGATES[query.agg], f"col{query.sel}"
    head = f"SELECT {f'{aggregate}({selected})' if aggregate else selected} FROM {quoted(official_table(table.id))}"
    return f"{head} WHERE {' AND '.join(conditions)}" if conditions else head


def same_answer(gold: Result, predicted: Result) -> bool:
    """Whether two answers of the official database are the same, row by row in order."""
    return gold.rows == predicted.rows and gold.truncated == predicted.truncated


def same_query(gold: WikiSQLQuery, predicted: WikiSQLQuery) -> bool:
    """Whether two queries are the same logical form."""
    return (gold.sel, gold.agg) == (predicted.sel, predicted.agg) and _conditions(gold) == _conditions(predicted)


def official_line(answer: WikiSQLQuery | Exception | str) -> str:
    """Return the line (without its end) that stands in a predictions file for a query, or for why there is none.

    A line has an empty `"error"` beside its query, because older versions of the evaluator ask for that key.
    """
    if isinstance(answer, WikiSQLQuery):
        return json.dumps({"query": answer.official(), "error": ""}, ensure_ascii=False)
    return json.dumps({"error": str(answer) or "no query"}, ensure_ascii=False)


def _conditions(query: WikiSQLQuery) -> set[tuple[int, int, str]]:
    return {(column, operator, str(value).lower()) for column, operator, value in query.conds}


def _literal(value: Value, kind: str) -> str:
    if isinstance(value, str):
        value = value.lower()
        if kind == "real":
            return _float_literal(_number_in(value))
        return quote_value(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise QueryError(f"{excerpt(value)} is no number that SQLite can hold; expected one of 64 bits", "database")
    return _float_literal(value) if isinstance(value, float) else quote_value(value)


def _number_in(text: str) -> float:
    try:
        return float(Decimal(text.replace(",", "")))
    except (InvalidOperation, ValueError):  # ValueError: a signalling NaN
        found = _NUMBER.findall(text)
    if not found:
        raise QueryError(f"a real column is compared with {excerpt(text)}, which holds no number", "database")
    return float(found[0])


def _float_literal(number: float) -> str:
    """SQLite binds NaN as NULL and has no name for infinity, but reads a number too large as one."""
    if math.isnan(number):
        return "NULL"
    return f"{'-' if number < 0 else ''}9e999" if math.isinf(number) else quote_value(number)
