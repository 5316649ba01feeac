"""A result of one category and one number → horizontal bars, or the reason why there are none.

Knows no terminal; names come as `cells.cell_text` shows them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from myna.cli.cells import cell_text, is_number

if TYPE_CHECKING:
    from myna.databases import Result

MOST_BARS = 40
_SHORTEST = 4
"""Cells that the longest bar has at least."""
_EIGHTHS = " ▏▎▍▌▋▊▉"


def reason_against(result: Result) -> str | None:
    """Say why a result can't be drawn as bars, None when it can."""
    if len(result.columns) != 2:
        return f"a chart needs one category and one number, and the result has {_count(len(result.columns), 'column')}"
    if len(result.rows) < 2:
        return f"a chart compares rows, and the result has {_count(len(result.rows), 'row')}"
    if len(result.rows) > MOST_BARS or result.truncated:
        return f"a chart of bars takes at most {MOST_BARS} rows, and the result has {len(result.rows):,}"
    if _number_column(result) is None:
        return "a chart needs one column of numbers, and the result has none without gaps"
    return None


def bars(result: Result, *, width: int) -> list[str]:
    """Return a line for each row: its category, a bar, its number. `reason_against` says nothing of this result."""
    from rich.cells import cell_len, set_cell_size

    place = _number_column(result)
    assert place is not None
    numbers = [float(row[place]) for row in result.rows]
    names = [cell_text(row[1 - place]) for row in result.rows]
    figures = [cell_text(row[place]) for row in result.rows]
    beside = max(map(cell_len, figures)) + 3
    widest_name = min(max(map(cell_len, names)), max(width // 3, 4), max(width - beside - _SHORTEST, 1))
    room = max(width - widest_name - beside, _SHORTEST)
    lines = []
    for name, figure, bar in zip(names, figures, _bars(numbers, room), strict=True):
        label = name if cell_len(name) <= widest_name else set_cell_size(name, widest_name - 1) + "…"
        lines.append(f"{set_cell_size(label, widest_name)} │{bar} {figure}")
    return lines


def _bars(numbers: Sequence[float], room: int) -> list[str]:
    """Return bars from one common zero; where some are negative, that lies within, and bars are whole blocks."""
    low, high = min(0.0, *numbers), max(0.0, *numbers)
    span = (high - low) or 1.0
    if low == 0.0:
        return [_bar(number / span * room) for number in numbers]
    zero = round(-low / span * room)
    drawn = []
    for number in numbers:
        length = round(abs(number) / span * room)
        drawn.append(" " * (zero - length) + "█" * length if number < 0 else " " * zero + "█" * length)
    return drawn


def _bar(length: float) -> str:
    whole, part = divmod(round(length * 8), 8)
    return "█" * whole + (_EIGHTHS[part] if part else "")


def _number_column(result: Result) -> int | None:
    """Return the column of numbers; of two, the second, as in "year, count"."""
    for place in (1, 0):
        if all(is_number(row[place]) and _is_finite(row[place]) for row in result.rows):
            return place
    return None


def _is_finite(number: Any) -> bool:
    return math.isfinite(number)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}" if number else f"no {what}s"
