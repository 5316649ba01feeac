"""Promises of rates and their intervals."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.text2sql.scoring.intervals import Rate

COUNTS = st.integers(1, 10**6).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [
        # From the formula in Wilson (1927), computed by hand with z = 1.959964 to four digits.
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
        (5543, 6824, 0.8028, 0.8214),
    ],
)
def test_intervals_are_those_of_wilson(right: int, of: int, low: float, high: float) -> None:
    assert Rate(right, of).interval == pytest.approx((low, high), abs=5e-5)


@given(COUNTS)
def test_an_interval_solves_the_equation_it_is_defined_by(counts: tuple[int, int]) -> None:
    """Its ends are the shares p for which the observed share lies 1.96 standard errors of p away."""
    rate = Rate(*counts)
    assert rate.share is not None
    assert rate.interval is not None
    for end in rate.interval:
        distance = abs(rate.share - end)
        assert distance == pytest.approx(1.959963984540054 * math.sqrt(end * (1 - end) / rate.of), abs=1e-9)


@given(COUNTS)
def test_an_interval_holds_its_share_and_stays_between_0_and_1(counts: tuple[int, int]) -> None:
    rate = Rate(*counts)
    assert rate.share is not None
    assert rate.interval is not None
    low, high = rate.interval
    assert 0 <= low <= rate.share <= high <= 1
    assert high - low > 0


@given(COUNTS, st.integers(2, 50))
def test_more_questions_narrow_an_interval(counts: tuple[int, int], times: int) -> None:
    right, of = counts
    few, many = Rate(right, of).interval, Rate(right * times, of * times).interval
    assert few is not None
    assert many is not None
    assert many[1] - many[0] < few[1] - few[0]


def test_of_nothing_there_is_no_share() -> None:
    assert Rate(0, 0).as_dict() == {"share": None, "interval": None, "right": 0, "of": 0}
