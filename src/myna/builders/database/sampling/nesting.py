"""Questions that ask twice: what has or lacks a partner elsewhere, what two conditions share, and calculations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Literal

from myna.builders.database.query import (
    Aggregate,
    Arithmetic,
    ColumnOf,
    Comparison,
    InQuery,
    Item,
    Join,
    Order,
    Query,
    Rows,
    SetOperation,
    Where,
)
from myna.builders.database.roles import can_be_averaged, can_be_summed, words_of
from myna.builders.database.sampling.conditions import where
from myna.builders.database.sampling.draw import Draw
from myna.builders.database.sampling.listing import LIMITS, aggregates, chosen
from myna.builders.database.sampling.scope import Scope, alone, any_scope, single
from myna.builders.database.sampling.values import rounded

_Operator = Literal["union", "intersect", "except"]
_AMOUNTS = {"price", "cost", "amount", "rate", "单价", "价格"}
_BEGINNINGS = {
    "start",
    "begin",
    "first",
    "min",
    "minimum",
    "low",
    "lowest",
    "from",
    "departure",
    "开始",
    "最低",
    "最小",
}
_ENDS = {"end", "finish", "last", "max", "maximum", "high", "highest", "to", "arrival", "结束", "最高", "最大"}
_QUANTITIES = {"quantity", "qty", "count", "units", "hours", "days", "数量"}


def partners(draw: Draw) -> Query | None:
    """Rows of a table that another one refers to, or does not."""
    join = _any_join(draw)
    if join is None:
        return None
    refers, referred = join.pairs[0]
    negated = draw.chance(0.7)
    if negated and draw.profile.column(refers).nulls:
        return None  # NOT IN a list with a NULL is true of nothing
    inner = where(draw, alone(refers.table), count=1) if draw.chance(0.45) else None
    condition = InQuery(referred, Query((refers,), refers.table, where=inner), negated)
    subject = alone(referred.table)
    select = _figure_or_columns(draw, subject)
    more = where(draw, subject, count=1) if draw.chance(0.1) else None
    return (
        Query(select, referred.table, where=Where((condition, *(more.conditions if more else ())))) if select else None
    )


def combined(draw: Draw) -> Query | None:
    """Two lists made into one: what is in either, in both, or in the first alone."""
    operator: _Operator = draw.weighted({"intersect": 4, "except": 4, "union": 2})
    ways: dict[Callable[[Draw, _Operator], Query | None], float] = {_of_one_table: 2.5, _of_joined: 3}
    if operator == "except":
        ways |= {_without_partners: 3, _keys_without_partners: 2}
    else:
        ways |= {_of_two_tables: 1.2}
    return draw.weighted(ways)(draw, operator)


def calculated(draw: Draw) -> Query | None:
    """Sums, differences and products of two measures of a row."""
    pairs = [made for table in draw.tables for made in _calculations(draw, table)]
    if not pairs:
        return None
    made = draw.one(pairs)
    table = made.left.table
    scope = alone(table)
    if draw.chance(0.3) and can_be_averaged(made.left.column):
        function: Literal["avg", "max", "min"] = draw.weighted({"avg": 2, "max": 1, "min": 1})
        return Query((Aggregate(function, made),), table, where=where(draw, scope) if draw.chance(0.5) else None)
    names = chosen(draw, scope, 1)
    names = tuple(each for each in names if each not in (made.left, made.right))
    if draw.chance(0.5) and names:
        select: tuple[Item, ...] = names if draw.chance(0.6) else (*names, made)
        return Query(select, table, order_by=(Order(made, draw.chance(0.75)),), limit=draw.weighted(LIMITS))
    if draw.chance(0.5) and names and made.operator == "-":
        bound = _bound(draw, made)
        return Query(names, table, where=Where((Comparison(made, ">", bound),))) if bound is not None else None
    if not names:
        return None
    narrowed = where(draw, scope) if draw.chance(0.6) else None
    return Query((*names, made), table, where=narrowed)


def _any_join(draw: Draw) -> Join | None:
    joins = [join for table in draw.referring for join in draw.joins(table) if len(join.pairs) == 1]
    return draw.one(joins) if joins else None


def _figure_or_columns(draw: Draw, scope: Scope) -> tuple[Item, ...]:
    if draw.chance(0.25):
        return (Aggregate("count", Rows(scope.subject)),)
    if draw.chance(0.06):
        return (Rows(scope.subject),)
    if draw.chance(0.08):
        return tuple(aggregates(draw, scope.subject, 1))
    return chosen(draw, scope, draw.weighted({1: 0.6, 2: 0.3, 3: 0.1}))


def _of_one_table(draw: Draw, operator: _Operator) -> Query | None:
    """`SELECT city … WHERE age > 60 INTERSECT SELECT city … WHERE age < 20`."""
    scope = single(draw)
    return _twice(draw, operator, scope) if scope else None


def _of_joined(draw: Draw, operator: _Operator) -> Query | None:
    """The same over a join: names of those that have one kind of partner and another."""
    scope = any_scope(draw)
    return _twice(draw, operator, scope) if scope and scope.joins else None


def _twice(draw: Draw, operator: _Operator, scope: Scope) -> Query | None:
    # Amounts that two groups share by chance say nothing.
    columns = chosen(draw, scope, 2 if draw.chance(0.15) else 1, "name", "category", "text", "key")
    columns = tuple(each for each in columns if each.table == scope.subject)
    if not columns:
        return None
    if operator != "union" and not scope.fans_out and all(draw.profile.column(each).unique for each in columns):
        return None  # no row is in both: a thing is what it is once
    first, second = (where(draw, scope, count=1) for _ in range(2))
    if first is None or second is None or first == second:
        return None
    if draw.chance(0.6):  # the same column in both halves reads best
        second = _same_column(draw, scope, first)
    if second is None or (operator == "except" and draw.chance(0.2)):
        return None
    left = Query(columns, scope.subject, scope.joins, first)
    if operator == "except" and not scope.joins and draw.chance(0.4):
        left = replace(left, where=None)
    right = Query(columns, scope.subject, scope.joins, second)
    return replace(left, set_operation=SetOperation(operator, right))


def _same_column(draw: Draw, scope: Scope, first: Where) -> Where | None:
    column = first.conditions[0].column
    for _ in range(8):
        other = where(draw, scope, count=1)
        if other is not None and other != first and other.conditions[0].column == column:
            return other
    return None


def _without_partners(draw: Draw, operator: _Operator) -> Query | None:
    """`SELECT name FROM parent EXCEPT SELECT name FROM parent JOIN child …`."""
    join = _any_join(draw)
    if join is None:
        return None
    refers, referred = join.pairs[0]
    columns = chosen(draw, alone(referred.table), draw.weighted({1: 0.7, 2: 0.25, 3: 0.05}))
    if not any(draw.profile.column(column).role in ("name", "key", "text") for column in columns):
        return None
    turned = Join(tuple((right, left) for left, right in join.pairs), join.inferred)
    inner = Scope(referred.table, refers.table, (turned,))
    further = [each for each in draw.joins(refers.table) if each.pairs[0][1].table != referred.table]
    if further and draw.chance(0.35):
        inner = replace(inner, joins=(turned, draw.one(further)))
    narrowed = where(draw, inner, count=1) if len(inner.joins) > 1 or draw.chance(0.55) else None
    right = Query(columns, referred.table, inner.joins, narrowed)
    return Query(columns, referred.table, set_operation=SetOperation(operator, right))


def _keys_without_partners(draw: Draw, operator: _Operator) -> Query | None:
    """`SELECT id FROM parent EXCEPT SELECT parent_id FROM child`."""
    join = _any_join(draw)
    if join is None:
        return None
    refers, referred = join.pairs[0]
    narrowed = where(draw, alone(refers.table), count=1) if draw.chance(0.3) else None
    right = Query((refers,), refers.table, where=narrowed)
    return Query((referred,), referred.table, set_operation=SetOperation(operator, right))


def _of_two_tables(draw: Draw, operator: _Operator) -> Query | None:
    """`SELECT name FROM students UNION SELECT name FROM teachers`: columns of one name, type and role."""
    alike = defaultdict(list)
    for column, profile in draw.columns(draw.tables, "name", "category", "date", "key"):
        if profile.role != "date" or operator == "union":
            alike[column.column.casefold(), profile.role, profile.column.type].append(column)
    several = [columns for columns in alike.values() if len(columns) > 1]
    if not several:
        return None
    first, second = draw.several(dict.fromkeys(draw.one(several), 1.0), 2)
    if first.table == second.table:
        return None
    right = Query((second,), second.table)
    return Query((first,), first.table, set_operation=SetOperation(operator, right))


def _calculations(draw: Draw, table: str) -> list[Arithmetic]:
    found = []
    columns = [column for column, profile in draw.columns([table], "measure") if not profile.nulls]
    for left, right in combinations(columns, 2):
        mine, theirs = words_of(left.column), words_of(right.column)
        if _AMOUNTS.intersection(mine) and _QUANTITIES.intersection(theirs):
            found.append(Arithmetic("*", left, right))
        elif _AMOUNTS.intersection(theirs) and _QUANTITIES.intersection(mine):
            found.append(Arithmetic("*", right, left))
        elif set(mine) & set(theirs) - _ENDS - _BEGINNINGS and set(mine) != set(theirs):
            found += _differences(left, right)
    return found


def _differences(left: ColumnOf, right: ColumnOf) -> list[Arithmetic]:
    """Of two ends the distance; of two amounts of a kind the sum, and which is more."""
    mine, theirs = words_of(left.column), words_of(right.column)
    if _ENDS.intersection(mine) or _BEGINNINGS.intersection(theirs):
        return [Arithmetic("-", left, right)]
    if _ENDS.intersection(theirs) or _BEGINNINGS.intersection(mine):
        return [Arithmetic("-", right, left)]
    both = [Arithmetic("-", left, right), Arithmetic("-", right, left)]
    return [*both, Arithmetic("+", left, right)] if can_be_summed(left.column) else both


def _bound(draw: Draw, made: Arithmetic) -> int | float | None:
    left, right = draw.profile.column(made.left), draw.profile.column(made.right)
    ends = [each for column in (left, right) for each in (column.spread[2], column.spread[6])]
    if any(isinstance(each, str) for each in ends):
        return None
    first, _, _, last = (float(each) for each in ends)
    return rounded(abs(last - first) / 2, abs(last - first)) if last != first else None
