"""Questions for rows, for how many there are, and for totals and extremes over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from myna.builders.database.query import (
    Aggregate,
    AggregateName,
    ColumnOf,
    InQuery,
    Missing,
    Order,
    Query,
    Rows,
    Where,
)
from myna.builders.database.roles import Role, can_be_averaged, can_be_summed
from myna.builders.database.sampling.conditions import equal, where
from myna.builders.database.sampling.draw import SELECTED, Draw
from myna.builders.database.sampling.scope import Scope, alone, any_scope, reordered, single
from myna.builders.database.sampling.values import orders

LIMITS: Mapping[int, float] = {1: 6, 3: 2, 5: 1.2, 2: 0.6, 10: 0.4}
_WITH_NULLS = 0.4
"""How often columns with NULLs may be sorted by, where there are any."""
_COLUMNS: Mapping[int, float] = {1: 0.5, 2: 0.32, 3: 0.14, 4: 0.04}


def listing(draw: Draw) -> Query | None:
    """Columns of the rows that meet conditions, perhaps in order, perhaps the first few only."""
    scope = any_scope(draw)
    if scope is None:
        return None
    narrowed = where(draw, scope) if draw.chance(0.72) else None
    select = chosen(draw, scope, draw.weighted(_COLUMNS))
    if not select:
        return None
    unique = not scope.fans_out and any(draw.profile.column(column).unique for column in select)
    distinct = not unique and draw.chance(0.65 if scope.fans_out else 0.35 if len(select) == 1 else 0.06)
    order, limit = ordering(draw, scope, select if distinct else None, narrowed) if draw.chance(0.3) else ((), None)
    narrowed = all_known(draw, narrowed, order)
    return Query(select, scope.subject, scope.joins, narrowed, order_by=order, limit=limit, distinct=distinct)


def looking_up(draw: Draw) -> Query | None:
    """What is told of the one thing that has a name: what people ask most of a table with names."""
    named = draw.columns(draw.tables, "name")
    if not named:
        return None
    column, described = draw.one(named)
    scope, made = alone(column.table), equal(draw, column, described)
    select = (Rows(scope.subject),) if draw.chance(0.15) else chosen(draw, scope, draw.weighted(_COLUMNS))
    return Query(select, scope.subject, where=Where((made,))) if made is not None and select else None


def everything(draw: Draw) -> Query | None:
    """All columns of the rows that meet conditions, or of the first ones in an order."""
    scope = single(draw)
    if scope is None:
        return None
    rows = Rows(scope.subject)
    if draw.chance(0.25):
        order, limit = ordering(draw, scope, None, always_cut=True)
        known = all_known(draw, None, order)
        return Query((rows,), scope.subject, where=known, order_by=order, limit=limit) if order else None
    narrowed = where(draw, scope)
    return Query((rows,), scope.subject, where=narrowed) if narrowed else None


def counting(draw: Draw) -> Query | None:
    """How many rows meet conditions, or how many different values of a column they have."""
    scope = any_scope(draw)
    if scope is None:
        return None
    narrowed = where(draw, scope) if draw.chance(0.8) else None
    counted: Aggregate = Aggregate("count", Rows(scope.finest))
    repeating = [
        column
        for column, profile in draw.columns(scope.tables, "category", "name", "key", "text")
        if not profile.unique and profile.distinct > 1
    ]
    if repeating and draw.chance(0.28):
        counted = Aggregate("count", draw.one(repeating), distinct=True)
    elif scope.fans_out:
        scope = _with_subject_finest(scope)
    return Query((counted,), scope.subject, scope.joins, narrowed)


def measuring(draw: Draw) -> Query | None:
    """Total, mean or extremes of measures, over all rows or those that meet conditions."""
    scope = any_scope(draw)
    if scope is None:
        return None
    measured = aggregates(draw, scope.finest, draw.weighted({1: 0.7, 2: 0.2, 3: 0.1}))
    if not measured:
        return None
    scope = _with_subject_finest(scope)
    narrowed = where(draw, scope) if scope.joins or draw.chance(0.6) else None
    return Query(tuple(measured), scope.subject, scope.joins, narrowed)


def chosen(draw: Draw, scope: Scope, count: int, *roles: Role) -> tuple[ColumnOf, ...]:
    """Up to `count` columns that people want to see, the subject's more than others', names first.

    roles: only these. With one column of a thing that has a name, the name comes along more often than not.
    """
    linking = scope.linking
    weights = {
        column: SELECTED[profile.role] * draw.preference(column) * (1.0 if column.table == scope.subject else 0.25)
        for column, profile in draw.columns(scope.tables, *(roles or SELECTED))
        if column not in linking or column.table == scope.subject
    }
    found = draw.several(weights, count)
    names = [column for column in weights if draw.profile.column(column).role == "name"]
    if names and not any(column in names for column in found) and draw.chance(0.4):
        found = [draw.one(names), *found[1:]]
    return tuple(sorted(found, key=lambda column: (scope.tables.index(column.table), _place(draw, column))))


def ordering(
    draw: Draw,
    scope: Scope,
    among: Sequence[ColumnOf] | None,
    narrowed: Where | None = None,
    *,
    always_cut: bool = False,
) -> tuple[tuple[Order, ...], int | None]:
    """An order of the rows and how many of them to keep; nothing when there is no column to sort by.

    among: the only columns that may be sorted by. Those with NULLs are for rows with few conditions, `narrowed`, that
    take one more: `all_known`.
    """
    tables = [table for table in scope.tables if table == scope.subject or not scope.fans_out]
    sortable = [
        (column, profile)
        for column, profile in draw.columns(tables, "measure", "date", "name")
        if profile.distinct > 1 and orders(profile) and (among is None or column in among)
    ]
    if any(profile.nulls for _, profile in sortable):
        open_to_one_more = narrowed is None or len(narrowed.conditions) == 1
        if not open_to_one_more or not draw.chance(_WITH_NULLS):
            sortable = [each for each in sortable if not each[1].nulls]
    telling = [column for column, profile in sortable if profile.role != "name"]
    if telling and (always_cut or draw.chance(0.6)):
        order = Order(draw.one(telling), draw.chance(0.65))
        return (order,), draw.weighted(LIMITS)
    columns = draw.several(dict.fromkeys((column for column, _ in sortable), 1.0), 2 if draw.chance(0.08) else 1)
    if always_cut or not columns:
        return (), None
    return tuple(Order(column, draw.chance(0.4)) for column in columns), None


def all_known(draw: Draw, narrowed: Where | None, order: Sequence[Order]) -> Where | None:
    """The conditions, and that what rows are sorted by is known: each database puts NULL where it likes.

    narrowed: at most one condition where a column to sort by has NULLs.
    """
    conditions = narrowed.conditions if narrowed else ()
    # Whatever is said of a column's value is true of no NULL.
    held = {each.column for each in conditions if not isinstance(each, InQuery)}
    unheld = [
        Missing(each.item, negated=True)
        for each in order
        if isinstance(each.item, ColumnOf) and draw.profile.column(each.item).nulls and each.item not in held
    ]
    return Where((*conditions, *unheld)) if unheld else narrowed


def aggregates(draw: Draw, table: str, count: int) -> list[Aggregate]:
    """Different aggregates of a table's measures (of one of them, mostly); dates and years have extremes only."""
    found = draw.columns([table], "measure", "date")
    found = [(column, profile) for column, profile in found if orders(profile) and profile.minimum != profile.maximum]
    if not found:
        return []
    columns = [column for column, _ in found if draw.profile.column(column).role == "measure" or draw.chance(0.3)]
    if not columns:
        return []
    one = draw.one(columns)
    if count > 1 and len(columns) > 1 and draw.chance(0.3):
        return [made for column in draw.several(dict.fromkeys(columns, 1.0), count) for made in _of(draw, column, 1)]
    return _of(draw, one, count)


def _of(draw: Draw, column: ColumnOf, count: int) -> list[Aggregate]:
    measure = draw.profile.column(column).role == "measure"
    weights: dict[AggregateName, float] = {
        "avg": 4.0 * (measure and can_be_averaged(column.column)),
        "sum": 2.5 * (measure and can_be_summed(column.column)),
        "max": 2.0,
        "min": 1.5,
    }
    return [Aggregate(function, column) for function in draw.several(weights, count)]


def _with_subject_finest(scope: Scope) -> Scope:
    """The same tables, asked about from the finest on: what is counted or added up is its rows."""
    if scope.subject == scope.finest:
        return scope
    return reordered(scope, scope.finest)


def _place(draw: Draw, column: ColumnOf) -> tuple[bool, int]:
    columns = draw.profile.tables[column.table].columns
    return columns[column.column].role != "name", list(columns).index(column.column)
