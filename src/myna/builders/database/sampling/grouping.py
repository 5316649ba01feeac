"""Questions by groups: a figure for each, the groups with most or least, those whose figure meets a bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from myna.builders.database.query import (
    Aggregate,
    ColumnOf,
    ComparisonOperator,
    Having,
    Item,
    Order,
    Query,
    Rows,
    Where,
)
from myna.builders.database.sampling.conditions import where
from myna.builders.database.sampling.draw import SELECTED, Draw
from myna.builders.database.sampling.listing import LIMITS, aggregates
from myna.builders.database.sampling.scope import Scope, any_scope
from myna.builders.database.sampling.values import rounded, threshold

_BOUNDS: Mapping[ComparisonOperator, float] = {">": 3, ">=": 3, "<": 1, "<=": 0.7, "=": 0.8}
_DEPENDENT = {"sqlite", "postgres", "mysql"}
"""Dialects in which other columns of a table may be chosen when its primary key is grouped by."""
_ROWS_OF_A_GROUP = 3
"""About so many rows a group has: what a total is compared with starts from that."""


@dataclass(frozen=True)
class _Groups:
    """What is grouped by, and the columns by which people know the groups."""

    by: tuple[ColumnOf, ...]
    shown: tuple[ColumnOf, ...]


def per_group(draw: Draw) -> Query | None:
    """A figure or more for each group, perhaps in order."""
    scope, groups, narrowed = _grouped(draw)
    if scope is None or groups is None:
        return None
    figures = _figures(draw, scope, draw.weighted({1: 0.8, 2: 0.15, 3: 0.05}))
    select: tuple[Item, ...] = (*groups.shown, *figures)
    if draw.chance(0.3) and len(groups.shown) == 1:
        select = (*figures, *groups.shown)
    order: tuple[Order, ...] = ()
    if draw.chance(0.2):
        sorted_by: list[Item] = [*figures, *figures, *groups.shown]
        order = (Order(draw.one(sorted_by), draw.chance(0.6)),)
    return Query(select, scope.subject, scope.joins, narrowed, groups.by, order_by=order)


def top_groups(draw: Draw) -> Query | None:
    """The groups whose figure is the largest or the smallest."""
    scope, groups, narrowed = _grouped(draw, any_column=True)
    if scope is None or groups is None:
        return None
    (figure,) = _figures(draw, scope, 1)
    select: tuple[Item, ...] = groups.shown if draw.chance(0.7) else (*groups.shown, figure)
    order = Order(figure, draw.chance(0.75))
    return Query(
        select, scope.subject, scope.joins, narrowed, groups.by, order_by=(order,), limit=draw.weighted(LIMITS)
    )


def bounded_groups(draw: Draw) -> Query | None:
    """The groups whose figure is above or below a bound."""
    scope, groups, narrowed = _grouped(draw)
    if scope is None or groups is None:
        return None
    (figure,) = _figures(draw, scope, 1)
    if figure.function in ("min", "max") and _is_date(draw, figure):
        return None
    having = _bound(draw, figure)
    if having is None:
        return None
    select: tuple[Item, ...] = groups.shown if draw.chance(0.8) else (*groups.shown, figure)
    return Query(select, scope.subject, scope.joins, narrowed, groups.by, having)


def _grouped(draw: Draw, *, any_column: bool = False) -> tuple[Scope | None, _Groups | None, Where | None]:
    scope = any_scope(draw)
    if scope is None:
        return None, None, None
    groups = _groups(draw, scope, any_column=any_column)
    narrowed = where(draw, scope, count=1) if draw.chance(0.3) else None
    if groups and narrowed and any(each.column in groups.by for each in narrowed.conditions):
        narrowed = None
    return scope, groups, narrowed


def _groups(draw: Draw, scope: Scope, *, any_column: bool) -> _Groups | None:
    """Groups by a column that repeats, or by the things of a joined table that rows belong to.

    In a join the columns of the finest table say nothing of the others, so the groups are the others' then.
    """
    tables = [table for table in scope.tables if table != scope.finest] or [scope.finest]
    things = [table for table in tables if table != scope.finest and _names(draw, table)]
    if things and draw.chance(0.6):
        return _things(draw, draw.one(things), named=not any_column)
    weights = {
        column: {"category": 4.0, "flag": 1.0, "key": 0.8, "name": 0.8, "date": 0.4}[profile.role]
        for column, profile in draw.columns(tables, "category", "flag", "key", "name", "date")
        if not profile.nulls and profile.distinct > 1 and (not profile.unique or scope.joins)
    }
    columns = draw.several(weights, 2 if draw.chance(0.06) else 1)
    return _Groups(tuple(columns), tuple(columns)) if columns else None


def _things(draw: Draw, table: str, *, named: bool) -> _Groups | None:
    """named: whether what is shown must tell the things apart; not of the one with the most, say."""
    key = draw.profile.tables[table].key
    names = _names(draw, table)
    telling = {column: weight for column, weight in names.items() if _tells_apart(draw, column)}
    shown = draw.several(names, draw.weighted({1: 0.55, 2: 0.35, 3: 0.1}))
    if key is None:
        one = draw.several(telling, 1)
        return _Groups(tuple(one), tuple(one)) if one else None
    if named and not any(column in telling for column in shown):
        shown = [*draw.several(telling, 1), *shown[1:]]
        if not telling:
            return None
    by = ColumnOf(table, key)
    declared = any(each.name == table and each.primary_key == (key,) for each in draw.profile.schema.tables)
    if draw.profile.dialect == "sqlite" or (declared and draw.profile.dialect in _DEPENDENT):
        return _Groups((by,), tuple(shown))
    return _Groups((by, *(column for column in shown if column != by)), tuple(shown))


def _tells_apart(draw: Draw, column: ColumnOf) -> bool:
    profile = draw.profile.column(column)
    return profile.role in ("name", "key") or (profile.unique and profile.role == "text")


def _names(draw: Draw, table: str) -> dict[ColumnOf, float]:
    found = draw.columns([table], "name", "category", "text", "key", "date", "measure")
    if not any(profile.role in ("name", "text", "key") for _, profile in found):
        return {}
    return {column: SELECTED[profile.role] * (3 if profile.role == "name" else 1) for column, profile in found}


def _figures(draw: Draw, scope: Scope, count: int) -> list[Aggregate]:
    """What is counted or measured in each group: rows of the finest table, mostly."""
    rows = Aggregate("count", Rows(scope.finest))
    if draw.chance(0.6):
        more = aggregates(draw, scope.finest, count - 1) if count > 1 else []
        return [rows, *more]
    repeating = [
        column
        for column, profile in draw.columns([scope.finest], "category", "name", "key")
        if not profile.unique and profile.distinct > 2 and not profile.nulls
    ]
    if repeating and draw.chance(0.15):
        return [Aggregate("count", draw.one(repeating), distinct=True)]
    return aggregates(draw, scope.finest, count) or [rows]


def _is_date(draw: Draw, figure: Aggregate) -> bool:
    return isinstance(figure.argument, ColumnOf) and draw.profile.column(figure.argument).role == "date"


def _bound(draw: Draw, figure: Aggregate) -> Having | None:
    operator = draw.weighted(_BOUNDS)
    if figure.function == "count":
        value = draw.weighted({1: 2, 2: 4, 3: 3, 4: 1, 5: 1, 10: 0.5})
        if operator in ("<", ">=") and value == 1:  # no group has less than one row
            value = 2
        return Having(figure, operator, value)
    if not isinstance(figure.argument, ColumnOf) or operator == "=":
        return None
    bound = threshold(draw, draw.profile.column(figure.argument))
    if figure.function == "sum" and isinstance(bound, int | float):
        bound = rounded(bound * _ROWS_OF_A_GROUP, abs(bound) * _ROWS_OF_A_GROUP)
    return None if bound is None else Having(figure, operator, bound)
