"""Numbers in words: an amount of memory never rounds to nothing, nor into a power of ten."""

from __future__ import annotations

import pytest

from myna.reports.words import byte_words


@pytest.mark.parametrize(
    ("value", "words"),
    [(376_000, "376 kB"), (999_499, "999 kB"), (999_500, "1 MB"), (1_040_128, "1.04 MB"), (999_700_000, "1 GB")],
)
def test_bytes_are_told_in_the_unit_that_suits_them(value: int, words: str) -> None:
    assert byte_words(value) == words
