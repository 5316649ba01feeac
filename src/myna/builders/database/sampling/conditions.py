"""Conditions of a query: which rows are asked for, by the role of the column that is looked at."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from myna.builders.database.dates import YEAR_ALONE, month_of, sorts, year_of
from myna.builders.database.profile import ColumnProfile
from myna.builders.database.query import (
    AgainstAggregate,
    Aggregate,
    Between,
    ColumnOf,
    Comparison,
    ComparisonOperator,
    Condition,
    DatePart,
    Matches,
    Missing,
    OneOf,
    Value,
    Where,
)
from myna.builders.database.roles import Role
from myna.builders.database.sampling.draw import Draw
from myna.builders.database.sampling.scope import Scope
from myna.builders.database.sampling.values import cell, compares, has_clock, threshold

_COUNTS = {1: 0.66, 2: 0.28, 3: 0.06}
_LOOKED_AT: Mapping[Role, float] = {
    "category": 4,
    "measure": 3.5,
    "name": 3,
    "date": 2,
    "flag": 1,
    "text": 0.7,
    "key": 0.4,
}
_ORDERINGS: Mapping[ComparisonOperator, float] = {">": 4, "<": 3, ">=": 1.2, "<=": 1}
_STRICT: Mapping[ComparisonOperator, float] = {">": 1, "<": 1}

_PATTERNED = re.compile(r"CHAR|TEXT|CLOB|STRING", re.IGNORECASE)
"""Types that LIKE takes in every database: not enumerations, networks or UUIDs."""

Made = Condition | None
_Kind = Callable[[Draw, ColumnOf, ColumnProfile], Made]


def where(draw: Draw, scope: Scope, *, count: int | None = None) -> Where | None:
    """Conditions on the scope's columns, on joined tables first; None when no column can be looked at.

    count: of conditions; else one to three.
    """
    count = count or draw.weighted(_COUNTS)
    either = count == 2 and draw.chance(0.35)
    if either and draw.chance(0.5):
        twice = _same_column_twice(draw, scope)
        if twice is not None:
            return twice
    conditions: list[Condition] = []
    for column in draw.several(_weights(draw, scope), count):
        made = condition(draw, column)
        if made is not None:
            conditions.append(made)
    return Where(tuple(conditions), any=either and len(conditions) > 1) if conditions else None


def condition(draw: Draw, column: ColumnOf) -> Made:
    """A condition on a column, None when nothing can be said of it."""
    profile = draw.profile.column(column)
    kinds = _kinds(draw, column, profile)
    return draw.weighted(kinds)(draw, column, profile) if kinds else None


def equal(draw: Draw, column: ColumnOf, profile: ColumnProfile) -> Made:
    """`column = a cell of it`."""
    value = cell(draw, profile)
    return None if value is None else Comparison(column, "=", value)


def _weights(draw: Draw, scope: Scope) -> dict[ColumnOf, float]:
    found = draw.columns(scope.tables, *_LOOKED_AT)
    leaves, linking = scope.leaves, scope.linking
    return {
        column: _LOOKED_AT[profile.role] * draw.preference(column) * (6 if column.table in leaves else 1)
        for column, profile in found
        if (profile.distinct > 1 or profile.nulls) and column not in linking
    }


def _kinds(draw: Draw, column: ColumnOf, profile: ColumnProfile) -> dict[_Kind, float]:
    text = _PATTERNED.search(profile.column.type) and profile.role in ("name", "category", "text")
    numbers = profile.role == "measure"
    compared = compares(profile)
    repeated = profile.distinct <= max(12, draw.profile.tables[column.table].rows // 2)
    kinds: dict[_Kind, float] = {
        equal: {"measure": 1.0 if repeated else 0.2, "date": 0.6}.get(profile.role, 5.0) * (not has_clock(profile)),
        # A row without a value is neither equal nor unequal in SQL: such questions would mean two things.
        _unequal: 0.9 * (profile.role in ("category", "flag") and not profile.nulls),
        _one_of: 1.0 * (profile.role == "category" and profile.distinct > 2),
        _none_of: 0.3 * (profile.role == "category" and profile.distinct > 3 and not profile.nulls),
        _matches: 1.4 * bool(text),
        _compared: 4.0 * compared,
        _between: 1.3 * (compared and not has_clock(profile)),
        _against: 0.7 * numbers,
        _date_part: 3.0 * (profile.role == "date" and profile.date_format not in (None, YEAR_ALONE)),
        _missing: 0.6 * (profile.nulls > 0 and profile.distinct > 0),
    }
    return {kind: weight for kind, weight in kinds.items() if weight}


def _unequal(draw: Draw, column: ColumnOf, profile: ColumnProfile) -> Made:
    value = cell(draw, profile)
    return None if value is None else Comparison(column, "<>", value)


def _one_of(draw: Draw, column: ColumnOf, profile: ColumnProfile) -> Made:
    count = draw.weighted({2: 3, 3: 1})
    values = draw.several(dict.fromkeys(profile.values, 1.0), count)
    return OneOf(column, tuple(values)) if len(values) > 1 else None


def _none_of(draw: Draw, column: ColumnOf, profile: ColumnProfile) -> Made:
    found = _one_of(draw, column, profile)
    return OneOf(column, found.values, negated=True) if isinstance(found, OneOf) else None


def _matches(draw: Draw, column: ColumnOf, profile: ColumnProfile) -> Made:
    value = cell(draw, profile)
    if not isinstance(value, str) or any(sign in value for sign in "%_"):
        return None
    words = [word for word in re.findall(r"[^\W_]+", value) if len(word) > 2 or not word.isascii()]
    if not words:
        return None
    negated = not profile.nulls and draw.chance(0.12)
    if draw.chance(0.45):
        return Matches(column, "contains", draw.one(words), negated)
    if draw.chance(0.75):
        return Matches(column, "begins", value[0] if draw.chance(0.6) or not value.startswith(words[0]) else words[0])
    return Matches(column, "ends", words[-1] if value.endswith(words[-1]) else value[-1])


def _compared(draw: Draw, column: ColumnOf, profile: ColumnProfile) -> Made:
    value = threshold(draw, profile)
    # A day is before another one; "until" would leave open whether the day itself, at any time of it, belongs to them.
    operator = draw.weighted(_STRICT if has_clock(profile) else _ORDERINGS)
    return None if value is None else Comparison(column, operator, value)


def _between(draw: Draw, column: ColumnOf, profile: ColumnProfile) -> Made:
    ends = _two_thresholds(draw, profile)
    return Between(column, *ends) if ends else None


def _two_thresholds(draw: Draw, profile: ColumnProfile) -> tuple[Value, Value] | None:
    """Two different thresholds, the lower first."""
    one, other = threshold(draw, profile), threshold(draw, profile)
    if isinstance(one, str) and isinstance(other, str):
        return (min(one, other), max(one, other)) if one != other else None
    if isinstance(one, int | float) and isinstance(other, int | float):
        return (min(one, other), max(one, other)) if one != other else None
    return None


def _against(draw: Draw, column: ColumnOf, profile: ColumnProfile) -> Made:
    if draw.chance(0.6):
        return AgainstAggregate(column, draw.weighted({">": 3, "<": 2}), Aggregate("avg", column))
    function = draw.weighted({"max": 2, "min": 1})
    operator: ComparisonOperator = "=" if draw.chance(0.7) else "<" if function == "max" else ">"
    return AgainstAggregate(column, operator, Aggregate("max" if function == "max" else "min", column))


def _date_part(draw: Draw, column: ColumnOf, profile: ColumnProfile) -> Made:
    value, written = cell(draw, profile), profile.date_format
    if not isinstance(value, str) or written is None:
        return None
    native = draw.profile.dialect != "sqlite" and profile.column.kind == "date"
    year = year_of(value, written)
    if draw.chance(0.2):
        month = month_of(value, written)
        # LIKE takes no native dates: a range says their month, which is that of one year.
        return DatePart(column, "month", "=", month, *((None, year) if native else (written,)))
    if draw.chance(0.35) and sorts(written):
        return DatePart(column, "year", draw.weighted({">": 1, "<": 1, ">=": 0.5}), year, None if native else written)
    return DatePart(column, "year", "=", year, None if native else written)


def _missing(draw: Draw, column: ColumnOf, profile: ColumnProfile) -> Made:
    return Missing(column, negated=draw.chance(0.4))


def _same_column_twice(draw: Draw, scope: Scope) -> Where | None:
    """`city = 'A' OR city = 'B'`, `age < 20 OR age > 60`."""
    found = draw.columns(scope.tables, "category", "name", "measure")
    columns = [column for column, profile in found if profile.distinct > 2 and column not in scope.linking]
    if not columns:
        return None
    column = draw.one(columns)
    profile = draw.profile.column(column)
    if profile.role == "measure":
        ends = _two_thresholds(draw, profile)
        return Where((Comparison(column, "<", ends[0]), Comparison(column, ">", ends[1])), any=True) if ends else None
    values = draw.several(dict.fromkeys(profile.values, 1.0), 2)
    return Where(tuple(Comparison(column, "=", value) for value in values), any=True) if len(values) == 2 else None
