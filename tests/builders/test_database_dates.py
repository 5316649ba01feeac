"""Dates kept as text: their format is found, and the patterns made of it find exactly the year or month meant."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.builders.database.dates import (
    date_alone,
    date_format,
    first_day,
    has_time,
    month_of,
    pattern,
    sorts,
    year_of,
)

WRITTEN = {
    "%Y-%m-%d": lambda day: f"{day:%Y-%m-%d}",
    "%Y/%m/%d": lambda day: f"{day:%Y/%m/%d}",
    "%d.%m.%Y": lambda day: f"{day:%d.%m.%Y}",
    "%m/%d/%Y": lambda day: f"{day:%m/%d/%Y}",
    "%-m/%-d/%Y": lambda day: f"{day.month}/{day.day}/{day.year}",
    "%Y年%m月%d日": lambda day: f"{day:%Y年%m月%d日}",
    "%Y-%m-%d %H:%M:%S": lambda day: f"{day:%Y-%m-%d} 10:20:30",
}
DAYS = st.dates(date(1900, 1, 1), date(2099, 12, 31))
TELLING = [date(2020, 1, 25), date(1999, 11, 5)]
"""Days that leave no doubt which number is the month and whether there are leading zeros."""


@pytest.mark.parametrize("written", WRITTEN)
def test_the_one_format_of_all_texts_is_found(written: str) -> None:
    assert date_format([WRITTEN[written](day) for day in TELLING]) == written


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["2020-01-25", "25.01.2020"],
        ["01/02/2020", "03/04/2020"],  # the second of January or the first of February
        ["2020-13-01"],
        ["25 January 2020"],
        ["10:20:30"],
    ],
)
def test_texts_without_one_sure_format_are_no_dates(texts: list[str]) -> None:
    assert date_format(texts) is None


@pytest.mark.parametrize("written", WRITTEN)
@given(day=DAYS, other=DAYS)
def test_a_pattern_matches_the_dates_of_its_year_or_month_and_no_others(written: str, day: date, other: date) -> None:
    texts = [WRITTEN[written](each) for each in (day, other)]
    assert [year_of(text, written) for text in texts] == [day.year, other.year]
    assert [month_of(text, written) for text in texts] == [day.month, other.month]
    assert like(texts[1], pattern("year", day.year, written)) == (other.year == day.year)
    assert like(texts[1], pattern("month", day.month, written)) == (other.month == day.month)


@given(day=DAYS, year=st.integers(1900, 2099))
def test_the_first_day_of_a_year_parts_texts_that_sort(day: date, year: int) -> None:
    for written in filter(sorts, WRITTEN):
        text = WRITTEN[written](day)
        assert (text >= first_day(year, written)) == (day.year >= year)


def test_a_time_of_day_is_seen_and_taken_off() -> None:
    assert has_time("%Y-%m-%d %H:%M:%S")
    assert date_alone("2020-01-25 10:20:30", "%Y-%m-%d %H:%M:%S") == "2020-01-25"
    assert date_alone("2020年01月25日", "%Y年%m月%d日") == "2020年01月25日"


def like(text: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("%"))), text) is not None
