"""SQL that databases run → a WikiSQL query, where WikiSQL's form can say it: one table, one column or aggregate of a
column, conditions `=`, `>`, `<` joined by AND.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from sqlglot import exp

from myna.errors import QueryError, excerpt
from myna.text2sql.syntax import nesting_bounded, parse_query
from myna.text2sql.wikisql.form import AGGREGATES, OPERATORS, Condition, Value, WikiSQLQuery, WikiSQLTable
from myna.text2sql.wikisql.papers import unknown_column

_AGGREGATES: dict[type[exp.Expr], int] = {
    kind: AGGREGATES.index(kind.__name__.upper()) for kind in (exp.Max, exp.Min, exp.Count, exp.Sum, exp.Avg)
}
_COMPARISONS: dict[type[exp.Expr], str] = {exp.EQ: "=", exp.GT: ">", exp.LT: "<"}
_TURNED = {"=": "=", ">": "<", "<": ">"}


@nesting_bounded()
def read_standard(sql: str, table: WikiSQLTable) -> WikiSQLQuery:
    """Return the query that `sql` writes. Raises `QueryError`: its kind is `refused` for SQL beyond the form."""
    select = _select(sql)
    origin, where = select.find(exp.From), select.find(exp.Where)
    for name, part in select.args.items():
        if part and name != "expressions" and part is not origin and part is not where:
            raise _beyond(f"no {name.strip('_').replace('_', ' ').upper()}")
    names = _names(origin, table)
    if len(select.expressions) != 1:
        raise _beyond(f"exactly one column, found {len(select.expressions)}")
    column, aggregate = _selected(select.expressions[0].unalias(), names, table)
    conditions = tuple(_conditions(where.this, names, table)) if where is not None else ()
    return WikiSQLQuery(table.id, column, aggregate, conditions)


def _select(sql: str) -> exp.Select:
    tree = parse_query(sql, "sqlite")
    if not isinstance(tree, exp.Select):
        raise _beyond("one SELECT and nothing else")
    return tree


def _names(origin: exp.Expr | None, table: WikiSQLTable) -> set[str]:
    """Return what may stand before a column's name; raise when the query is not on this table alone."""
    source = origin.this if origin is not None else None
    if not isinstance(source, exp.Table):
        raise _beyond(f"FROM one table, {excerpt(table.id)}")
    if source.name.casefold() != table.id.casefold():
        raise QueryError(f"there is no table {excerpt(source.name)}, expected {excerpt(table.id)}", "unknown table")
    if source.args.get("joins"):
        raise _beyond("no JOIN")
    return {"", source.alias_or_name.casefold()}


def _selected(expression: exp.Expr, names: set[str], table: WikiSQLTable) -> tuple[int, int]:
    expression = expression.unnest()
    aggregate = _AGGREGATES.get(type(expression), 0)
    if not aggregate:
        return _column(expression, names, table), 0
    if expression.args.get("expressions"):
        raise _beyond("one column in an aggregate")
    return _column(expression.this, names, table), aggregate


def _column(expression: exp.Expr, names: set[str], table: WikiSQLTable) -> int:
    expression = expression.unnest()
    if not isinstance(expression, exp.Column) or isinstance(expression.this, exp.Star):
        raise _beyond(f"a column, found {expression.key.upper()}")
    number = table.positions.get(expression.name.casefold())
    if number is None or expression.table.casefold() not in names:
        raise unknown_column(expression.name, table)
    return number


def _conditions(expression: exp.Expr, names: set[str], table: WikiSQLTable) -> Iterator[Condition]:
    expression = expression.unnest()
    if isinstance(expression, exp.And):
        for part in expression.flatten():
            yield from _conditions(part, names, table)
        return
    operator = _COMPARISONS.get(type(expression))
    if operator is None or not isinstance(expression, exp.Binary):
        raise _beyond(f"conditions with =, > or < joined by AND, found {expression.key.upper()}")
    left, right = expression.left.unnest(), expression.right.unnest()
    if isinstance(right, exp.Column) and not isinstance(left, exp.Column):
        left, right, operator = right, left, _TURNED[operator]
    yield _column(left, names, table), OPERATORS.index(operator), _value(right, names, table)


def _value(expression: exp.Expr, names: set[str], table: WikiSQLTable) -> Value:
    sign = 1
    if isinstance(expression, exp.Neg):
        sign, expression = -1, expression.this.unnest()
    if isinstance(expression, exp.Literal) and expression.is_string and sign == 1:
        return str(expression.this)
    if isinstance(expression, exp.Column):
        _column(expression, names, table)  # an unknown name is the plainer thing to say
    try:
        number = _number(expression.this) if isinstance(expression, exp.Literal) else math.inf
        usable = math.isfinite(number)
    except (ValueError, OverflowError):  # hexadecimal, or more digits than a float has room for
        usable = False
    if not usable:
        raise _beyond(f"a text or number to compare with, found {expression.key.upper()}")
    return sign * number


def _number(text: str) -> int | float:
    return int(text) if text.isdecimal() else float(text)


def _beyond(expected: str) -> QueryError:
    return QueryError(f"WikiSQL's form can't say this query: it has {expected}", "refused")
