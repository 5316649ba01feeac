"""Charts: marks that enclose the data, curves that keep their ends, nothing drawn from nothing."""

from __future__ import annotations

import itertools
import math

from hypothesis import assume, given
from hypothesis import strategies as st

from myna.reports.charts import EXTENT, MOST_POINTS, Series, draw, nice_marks, thinned

numbers = st.floats(-1e9, 1e9, allow_nan=False).filter(lambda value: value == 0 or abs(value) > 1e-9)


@given(numbers, numbers, st.integers(2, 8))
def test_marks_enclose_the_data_in_even_round_steps(one: float, other: float, most: int) -> None:
    low, high = sorted((one, other))
    assume(high - low > 1e-6 * max(abs(low), abs(high)))
    marks = nice_marks(low, high, most=most)
    step = marks[1] - marks[0]
    slack = 1e-6 * step
    assert marks[0] <= low + slack
    assert marks[-1] >= high - slack
    assert len(marks) <= most + 1
    assert all(math.isclose(b - a, step, rel_tol=1e-6) for a, b in itertools.pairwise(marks))
    digits = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(digits - nice) for nice in (1, 2, 5)) < 1e-6


@given(numbers)
def test_one_value_alone_has_marks_around_it(value: float) -> None:
    marks = nice_marks(value, value, most=5)
    assert marks[0] <= value <= marks[-1]
    assert marks[0] < marks[-1]


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=3 * MOST_POINTS))
def test_a_thinned_curve_keeps_its_ends_and_stays_within_its_values(points: list[tuple[float, float]]) -> None:
    kept = thinned(points)
    assert len(kept) <= MOST_POINTS
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    slack = 1e-6 * max(abs(y) for _, y in points)
    assert min(y for _, y in points) - slack <= min(y for _, y in kept)
    assert max(y for _, y in kept) <= max(y for _, y in points) + slack


def test_the_highest_value_is_drawn_above_the_lowest() -> None:
    chart = draw("Loss", [Series("Train", "train", [(0, 1.0), (10, 3.0)])], x_name="iteration", number=str)
    assert chart is not None
    assert chart.lines[0].path == f"M0 {EXTENT}L{EXTENT} 0"
    assert [tick.label for tick in chart.y_ticks] == ["1.0", "1.5", "2.0", "2.5", "3.0"]
    assert [tick.label for tick in chart.x_ticks] == ["0", "2", "4", "6", "8", "10"]


def test_a_single_point_is_drawn_as_a_dot() -> None:
    chart = draw("Loss", [Series("Train", "train", [(10, 2.5)])], x_name="iteration", number=str)
    assert chart is not None
    assert [dot.words for dot in chart.lines[0].dots] == ["Train 2.5 at iteration 10"]


def test_values_that_are_no_numbers_are_not_drawn() -> None:
    points = [(1, 2.0), (2, math.nan), (3, math.inf), (4, 1.0)]
    chart = draw("Loss", [Series("Train", "train", points)], x_name="iteration", number=str)
    assert chart is not None
    assert chart.lines[0].path.count("L") == 1
    assert draw("Loss", [Series("Train", "train", points[1:3])], x_name="iteration", number=str) is None


def test_small_numbers_on_an_axis_can_be_told_apart() -> None:
    points = [(step, 1e-5 * (1 - step / 1000)) for step in range(0, 1000, 100)]
    chart = draw("Rate", [Series("Rate", "plain", points)], x_name="iteration", number=str, from_zero=True)
    assert chart is not None
    labels = [tick.label for tick in chart.y_ticks]
    assert labels == ["0", "5e-06", "1e-05"]
