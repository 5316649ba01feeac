"""Line charts as plain numbers that a page draws: ticks with their labels, paths, dots.

In: named points. Out: positions from 0 to 1000 on both axes (0 is left and top), so that a page may stretch a
chart to any width while its labels keep their size. Knows nothing of HTML, runs or losses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]

EXTENT = 1000
MOST_POINTS = 400
"""More can't be told apart on a screen, and would make a long run's page large."""


@dataclass(frozen=True, slots=True)
class Series:
    """Points `(x, y)` in order of x, drawn as a line in the page's colour for `style`.

    dots: mark each point as well. best: the point that stands out. upper: as many points above these; then what lies
    between is filled, and no line is drawn.
    """

    label: str
    style: str
    points: Sequence[Point]
    dots: bool = False
    best: Point | None = None
    upper: Sequence[Point] = ()


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis."""

    position: int
    label: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A marked point, with the words that are shown when it is pointed at."""

    x: int
    y: int
    words: str
    best: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One drawn series: `path` is an SVG path of straight pieces, `best` names the point that stands out."""

    label: str
    style: str
    path: str
    dots: tuple[Dot, ...]
    best: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart ready to be drawn. `words` says in a sentence what it shows, for those who can't see it."""

    title: str
    words: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def draw(
    title: str,
    series: Sequence[Series],
    *,
    x_name: str,
    number: Callable[[float], str],
    from_zero: bool = False,
) -> Chart | None:
    """Lay out a chart of all finite points, or return None when there are none. The x axis starts at 0.

    number: how a value of y is written in words; the axis takes the digits that its marks need.
    from_zero: the y axis starts at 0, for amounts whose size matters rather than their change.
    """
    drawn = [one for one in map(_finite, series) if one.points]
    if not drawn:
        return None
    xs = [x for one in drawn for x, _ in one.points]
    ys = [y for one in drawn for _, y in (*one.points, *one.upper)]
    x_marks = nice_marks(0.0, max(xs), most=6)
    y_marks = nice_marks(0.0 if from_zero else min(ys), max(ys), most=5)
    x_axis = _Axis(0.0, max(xs))
    y_axis = _Axis(y_marks[0], y_marks[-1])
    write_mark = _written_like(y_marks)

    def dot(point: Point, one: Series) -> Dot:
        words = f"{one.label} {number(point[1])} at {x_name} {point[0]:,.0f}"
        return Dot(x_axis.place(point[0]), EXTENT - y_axis.place(point[1]), words, best=point == one.best)

    lines = tuple(
        Line(
            label=one.label,
            style=one.style,
            path=_path([*thinned(one.points), *reversed(thinned(one.upper))], x_axis, y_axis),
            dots=tuple(dot(point, one) for point in _dotted(one)),
            best=f"best {number(one.best[1])} at {x_name} {one.best[0]:,.0f}" if one.best else "",
        )
        for one in drawn
    )
    return Chart(
        title=title,
        words="; ".join(_sentence(one, x_name, number) for one in drawn),
        lines=lines,
        x_ticks=tuple(Tick(x_axis.place(mark), f"{mark:,.0f}") for mark in x_marks if x_axis.holds(mark)),
        y_ticks=tuple(Tick(EXTENT - y_axis.place(mark), write_mark(mark)) for mark in y_marks),
    )


def nice_marks(low: float, high: float, *, most: int) -> list[float]:
    """Return round marks that enclose `low` and `high`.

    There are at most `most` + 1 of them, 1, 2 or 5 times a power of ten apart.
    """
    if high - low <= abs(high) * 1e-9:  # one value: give it room on both sides
        reach = abs(high) / 2 or 1.0
        low, high = (low - reach, high + reach) if low else (0.0, reach)
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [mark * step for mark in range(first, last + 1)]


def thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most `MOST_POINTS` points: the means of runs of neighbours, the first and last point kept."""
    if len(points) <= MOST_POINTS:
        return list(points)
    inner = points[1:-1]
    size = math.ceil(len(inner) / (MOST_POINTS - 2))
    runs = (inner[start : start + size] for start in range(0, len(inner), size))
    return [points[0], *map(_mean, runs), points[-1]]


def _mean(points: Sequence[Point]) -> Point:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float

    def place(self, value: float) -> int:
        span = self.high - self.low
        return round(EXTENT * (value - self.low) / span) if span else EXTENT // 2

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def _finite(series: Series) -> Series:
    points = [(x, y) for x, y in series.points if math.isfinite(y)]
    upper = [(x, y) for x, y in series.upper if math.isfinite(y)]
    return Series(series.label, series.style, points, series.dots, series.best, upper)


def _dotted(series: Series) -> list[Point]:
    shown = thinned(series.points) if series.dots or len(series.points) == 1 else []
    return [*(point for point in shown if point != series.best), *([series.best] if series.best else [])]


def _path(points: Sequence[Point], x_axis: _Axis, y_axis: _Axis) -> str:
    places = [f"{x_axis.place(x)} {EXTENT - y_axis.place(y)}" for x, y in points]
    return "M" + "L".join(places)


def _written_like(marks: Sequence[float]) -> Callable[[float], str]:
    """Write marks in no more digits than it takes to tell them apart."""
    step = marks[1] - marks[0]
    if max(abs(mark) for mark in marks) < 1e-2:
        return lambda value: "0" if value == 0 else f"{value:.3g}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return lambda value: f"{value:,.{decimals}f}"


def _sentence(series: Series, x_name: str, write: Callable[[float], str]) -> str:
    (first_x, first), (last_x, last) = series.points[0], series.points[-1]
    if series.upper:
        at_first, at_last = (f"{write(low)}–{write(series.upper[end][1])}" for end, low in ((0, first), (-1, last)))
        return f"{series.label} {at_first} at {x_name} {first_x:,.0f}, {at_last} at {x_name} {last_x:,.0f}"
    best = f", best {write(series.best[1])} at {x_name} {series.best[0]:,.0f}" if series.best else ""
    return (
        f"{series.label} from {write(first)} at {x_name} {first_x:,.0f} "
        f"to {write(last)} at {x_name} {last_x:,.0f}{best}"
    )
