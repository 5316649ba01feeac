"""A question's meaning: the query that is asked and said in words, as plain frozen values.

The sampler makes one, `sql.py` writes it in the database's dialect, `english.py` and `chinese.py` say it. Whatever can
be made must be sayable: a construct enters here, and then in all of them. Knows no database and no words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Literal, TypeAlias

AggregateName: TypeAlias = Literal["count", "sum", "avg", "min", "max"]
ComparisonOperator: TypeAlias = Literal["=", "<>", "<", ">", "<=", ">="]
Value: TypeAlias = str | int | float
"""A constant; booleans are among the integers, as in Python."""


@dataclass(frozen=True, slots=True)
class ColumnOf:
    """A column of one of the query's tables. `table` is the table's name as the schema has it."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table as such: what `*` selects and `COUNT(*)` counts."""

    table: str


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`function(argument)`; COUNT alone takes `Rows` or DISTINCT."""

    function: AggregateName
    argument: ColumnOf | Rows | Arithmetic
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A calculation between two columns of the same table."""

    operator: Literal["+", "-", "*", "/"]
    left: ColumnOf
    right: ColumnOf


Item: TypeAlias = ColumnOf | Rows | Aggregate | Arithmetic
"""What can be selected or ordered by."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`column operator value`."""

    column: ColumnOf | Arithmetic
    operator: ComparisonOperator
    value: Value


@dataclass(frozen=True, slots=True)
class Between:
    """`column BETWEEN low AND high`, both included."""

    column: ColumnOf
    low: Value
    high: Value


@dataclass(frozen=True, slots=True)
class Matches:
    """`column LIKE`: text at the beginning, at the end, or anywhere."""

    column: ColumnOf
    where: Literal["begins", "ends", "contains"]
    text: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class OneOf:
    """`column IN (values)`."""

    column: ColumnOf
    values: tuple[Value, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """`column IS NULL`, or IS NOT NULL when `negated`."""

    column: ColumnOf
    negated: bool = False


@dataclass(frozen=True, slots=True)
class AgainstAggregate:
    """`column operator (SELECT aggregate FROM the same table)`: "taller than average"."""

    column: ColumnOf
    operator: ComparisonOperator
    aggregate: Aggregate


@dataclass(frozen=True, slots=True)
class InQuery:
    """`column IN (SELECT …)`: rows that have, or with `negated` have no, partner in another table."""

    column: ColumnOf
    query: Query
    negated: bool = False


@dataclass(frozen=True, slots=True)
class DatePart:
    """`the year (or month) of column = value`; only a year is ever compared otherwise.

    format: how texts that are dates are written (`dates.py`); None for a column of the database's own date type.
    of: the year that a month belongs to; None for this month of any year, which only texts are asked for.
    """

    column: ColumnOf
    part: Literal["year", "month"]
    operator: Literal["=", "<", ">", "<=", ">="]
    value: int
    format: str | None = None
    of: int | None = None


Condition: TypeAlias = Comparison | Between | Matches | OneOf | Missing | AgainstAggregate | InQuery | DatePart


@dataclass(frozen=True, slots=True)
class Where:
    """Conditions that all hold, or with `any` of which one holds. Never mixed: words can't bracket."""

    conditions: tuple[Condition, ...]
    any: bool = False


@dataclass(frozen=True, slots=True)
class Join:
    """`JOIN right.table ON left = right`; `left` belongs to a table named before.

    pairs: one, or several for a key of several columns. inferred: no foreign key is declared, names and values show it.
    """

    pairs: tuple[tuple[ColumnOf, ColumnOf], ...]
    inferred: bool = False


@dataclass(frozen=True, slots=True)
class Having:
    """`HAVING aggregate operator value`."""

    aggregate: Aggregate
    operator: ComparisonOperator
    value: Value


@dataclass(frozen=True, slots=True)
class Order:
    """`ORDER BY item`."""

    item: Item
    descending: bool


@dataclass(frozen=True, slots=True)
class SetOperation:
    """`query UNION | INTERSECT | EXCEPT right`."""

    operator: Literal["union", "intersect", "except"]
    right: Query


@dataclass(frozen=True, slots=True)
class Query:
    """One query. `table` is where it starts; `joins` add one table each, in order."""

    select: tuple[Item, ...]
    table: str
    joins: tuple[Join, ...] = ()
    where: Where | None = None
    group_by: tuple[ColumnOf, ...] = ()
    having: Having | None = None
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    distinct: bool = False
    set_operation: SetOperation | None = None

    @property
    def tables(self) -> tuple[str, ...]:
        """Its tables in the order of FROM, without those of queries within it."""
        return (self.table, *(join.pairs[0][1].table for join in self.joins))


def columns_of(query: Query) -> tuple[ColumnOf, ...]:
    """Return all columns that a query names outside its joins, as often as it does, those of inner queries included."""
    return tuple(_columns_in(query))


def _columns_in(part: object) -> Iterator[ColumnOf]:
    if isinstance(part, ColumnOf):
        yield part
    elif isinstance(part, tuple):
        for each in part:
            yield from _columns_in(each)
    elif is_dataclass(part) and not isinstance(part, type):
        for field in fields(part):
            if field.name != "joins":
                yield from _columns_in(getattr(part, field.name))
