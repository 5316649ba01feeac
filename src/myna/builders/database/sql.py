"""`Query` → SQL in a database's dialect, in the one surface that decoding is constrained to.

What comes out is what `text2sql.surface.canonical` would make of it: bare columns where there is one table, `AS T1`,
`AS T2` … where tables are joined. Knows names and values only as the query has them, and no database.
"""

from __future__ import annotations

from typing import assert_never

from myna.builders.database.dates import first_day, pattern, sorts
from myna.builders.database.query import (
    AgainstAggregate,
    Aggregate,
    Arithmetic,
    Between,
    ColumnOf,
    Comparison,
    Condition,
    DatePart,
    InQuery,
    Item,
    Matches,
    Missing,
    OneOf,
    Query,
    Rows,
    Value,
    Where,
)
from myna.text2sql.grammar import literal_text
from myna.text2sql.identifiers import identifier, table_identifier

_ISO = "%Y-%m-%d"
_SET_OPERATORS = {"union": "UNION", "intersect": "INTERSECT", "except": "EXCEPT"}


def to_sql(query: Query, dialect: str = "sqlite") -> str:
    """Return the SQL of a query. dialect: sqlglot's name of the database's SQL.

    Raises `ValueError` for a query that can't be said in SQL: a year is before another one in dates that don't sort, or
    a month of any year in dates that are no texts.
    """
    return _Writer(query, dialect).text()


class _Writer:
    """One SELECT, with the aliases of its tables."""

    def __init__(self, query: Query, dialect: str) -> None:
        self._query = query
        self._dialect = dialect
        joined = len(query.tables) > 1
        self._aliases = {table: f"T{number}." if joined else "" for number, table in enumerate(query.tables, 1)}

    def text(self) -> str:
        query = self._query
        distinct = "DISTINCT " if query.distinct else ""
        parts = [f"SELECT {distinct}{', '.join(map(self._item, query.select))} FROM {self._source()}"]
        if query.where:
            parts.append(f"WHERE {self._where(query.where)}")
        if query.group_by:
            parts.append(f"GROUP BY {', '.join(map(self._column, query.group_by))}")
        if query.having:
            having = query.having
            parts.append(f"HAVING {self._item(having.aggregate)} {having.operator} {self._value(having.value)}")
        if query.order_by:
            keys = (self._item(order.item) + (" DESC" if order.descending else "") for order in query.order_by)
            parts.append(f"ORDER BY {', '.join(keys)}")
        if query.limit is not None:
            parts.append(f"LIMIT {query.limit}")
        if query.set_operation:
            operation = query.set_operation
            parts.append(f"{_SET_OPERATORS[operation.operator]} {to_sql(operation.right, self._dialect)}")
        return " ".join(parts)

    def _source(self) -> str:
        names = [table_identifier(table, self._dialect) for table in self._query.tables]
        if len(names) == 1:
            return names[0]
        text = f"{names[0]} AS T1"
        for number, (name, join) in enumerate(zip(names[1:], self._query.joins, strict=True), 2):
            on = " AND ".join(f"{self._column(left)} = {self._column(right)}" for left, right in join.pairs)
            text += f" JOIN {name} AS T{number} ON {on}"
        return text

    def _column(self, column: ColumnOf) -> str:
        return self._aliases[column.table] + identifier(column.column, self._dialect)

    def _value(self, value: Value) -> str:
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        return literal_text(value, self._dialect)

    def _item(self, item: Item) -> str:
        match item:
            case ColumnOf():
                return self._column(item)
            case Rows():
                return f"{self._aliases[item.table]}*"
            case Aggregate(argument=Rows()):
                return "COUNT(*)"
            case Aggregate():
                distinct = "DISTINCT " if item.distinct else ""
                return f"{item.function.upper()}({distinct}{self._item(item.argument)})"
            case Arithmetic():
                return f"{self._column(item.left)} {item.operator} {self._column(item.right)}"
        assert_never(item)

    def _where(self, where: Where) -> str:
        return (" OR " if where.any else " AND ").join(map(self._condition, where.conditions))

    def _condition(self, condition: Condition) -> str:
        return f"{self._item(condition.column)} {self._test(condition)}"

    def _test(self, condition: Condition) -> str:  # noqa: PLR0911 -- one return for each kind of condition
        """What a condition says of its column, which stands before it."""
        match condition:
            case Comparison():
                return f"{condition.operator} {self._value(condition.value)}"
            case Between():
                return f"BETWEEN {self._value(condition.low)} AND {self._value(condition.high)}"
            case Matches():
                before, after = "%" * (condition.where != "begins"), "%" * (condition.where != "ends")
                return f"{_no(condition.negated)}LIKE {self._value(before + condition.text + after)}"
            case OneOf():
                return f"{_no(condition.negated)}IN ({', '.join(map(self._value, condition.values))})"
            case Missing():
                return f"IS {_no(condition.negated)}NULL"
            case AgainstAggregate():
                return f"{condition.operator} ({self._aggregate_query(condition.aggregate)})"
            case InQuery():
                return f"{_no(condition.negated)}IN ({to_sql(condition.query, self._dialect)})"
            case DatePart():
                return self._date_test(condition)
        assert_never(condition)

    def _aggregate_query(self, aggregate: Aggregate) -> str:
        argument = aggregate.argument
        table = argument.left.table if isinstance(argument, Arithmetic) else argument.table
        return to_sql(Query((aggregate,), table), self._dialect)

    def _date_test(self, condition: DatePart) -> str:
        written, value, of = condition.format, condition.value, condition.of
        if condition.operator == "=" and written is not None and of is None:
            return f"LIKE {self._value(pattern(condition.part, value, written))}"
        if (condition.part == "month" and of is None) or (written is not None and not sorts(written)):
            raise ValueError(f"no SQL of the subset says {condition}")
        months = ((value, 1), (value + 1, 1)) if of is None else ((of, value), (of + value // 12, value % 12 + 1))
        begin, end = (self._value(first_day(year, written or _ISO, month)) for year, month in months)
        after = {"<": f"< {begin}", ">=": f">= {begin}", "<=": f"< {end}", ">": f">= {end}"}
        if condition.operator == "=":  # a half-open range takes in every time of the last day
            return f">= {begin} AND {self._column(condition.column)} < {end}"
        return after[condition.operator]


def _no(negated: bool) -> str:
    return "NOT " if negated else ""
