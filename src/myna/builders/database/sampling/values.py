"""Values that people would compare a column with: real cells, and round thresholds for measures."""

from __future__ import annotations

import math

from myna.builders.database.dates import YEAR_ALONE, date_alone, has_time, sorts
from myna.builders.database.profile import ColumnProfile
from myna.builders.database.query import Value
from myna.builders.database.sampling.draw import Draw

_FREQUENT = 25


def cell(draw: Draw, column: ColumnProfile) -> Value | None:
    """One of the column's values, the frequent ones more often."""
    if not column.values:
        return None
    return draw.one(column.values[:_FREQUENT] if draw.chance(0.7) else column.values)


def threshold(draw: Draw, column: ColumnProfile) -> Value | None:
    """A value that parts the rows: round for a measure, a day or year for a date."""
    if not column.spread or column.minimum == column.maximum:
        return None
    value = draw.one(column.spread)
    if isinstance(value, str):
        return date_alone(value, column.date_format or YEAR_ALONE)
    if column.date_format == YEAR_ALONE:
        return value
    return rounded(value, float(column.spread[-1]) - float(column.spread[0]))  # spread of a measure: numbers only


def rounded(value: float, spread: float) -> int | float:
    """A number near `value` as people would say it, fine enough for numbers that lie within `spread`."""
    if isinstance(value, int) and spread <= 20:
        return value
    step = 10.0 ** math.floor(math.log10(spread / 3 if spread > 0 else max(abs(value), 1.0)))
    found = round(value / step) * step
    if step >= 1 or found.is_integer():
        return int(found)
    return round(found, max(0, -math.floor(math.log10(step))))


def compares(column: ColumnProfile) -> bool:
    """Whether `<`, `>` and BETWEEN say something of the column's values."""
    if column.role == "measure":
        return bool(column.spread) and column.minimum != column.maximum
    return column.role == "date" and bool(column.spread) and orders(column)


def orders(column: ColumnProfile) -> bool:
    """Whether the column's values stand in their order when SQL sorts them."""
    if column.role == "date":
        return column.date_format is None or column.date_format == YEAR_ALONE or sorts(column.date_format)
    return column.role in ("measure", "name", "category", "text")


def has_clock(column: ColumnProfile) -> bool:
    """Whether a date comes with a time of day, which nobody names exactly."""
    return column.date_format is not None and has_time(column.date_format)
