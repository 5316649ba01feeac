"""Dates that are kept as text: how they are written, and the SQL patterns that find a year or a month in them.

Texts go in, a format in strftime's letters comes out (`%-d` is a day without a leading zero, as in glibc). Knows no
database and no query.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Literal

YEAR_ALONE = "%Y"
_TIME = " %H:%M:%S"
"""Stands for a time of day in any common form."""
_CLOCK = r"[T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AP]M)?(Z|[+-]\d{2}(:?\d{2})?)?"
_DIGITS = {"%Y": r"(?P<y>[12]\d{3})", "%m": r"(?P<m>\d{2})", "%d": r"(?P<d>\d{2})"} | {
    "%-m": r"(?P<m>\d{1,2})",
    "%-d": r"(?P<d>\d{1,2})",
}
_DAY_AND_MONTH_FIRST = [mark.join(order) for mark in "/-." for order in (("%m", "%d", "%Y"), ("%d", "%m", "%Y"))]
_PADDED = ["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日", *_DAY_AND_MONTH_FIRST]
_UNPADDED = [each.replace("%m", "%-m").replace("%d", "%-d") for each in _PADDED]
_FORMATS = [each + time for each in (*_PADDED, *_UNPADDED) for time in ("", _TIME)]


def date_format(texts: Sequence[str]) -> str | None:
    """Return the one format that all texts have, None when there is none, or when day and month can't be told apart."""
    possible = [each for each in _FORMATS if texts and _reads(each, texts[0])]
    found = [each for each in possible if all(_reads(each, text) for text in texts)]
    # A padded format fits only where the unpadded one does too, and says more.
    fitting = [each for each in found if "%-" not in each] or found
    return fitting[0] if len(fitting) == 1 else None


def has_time(written: str) -> bool:
    """Whether texts of the format say the time of day too."""
    return written.endswith(_TIME)


def date_alone(text: str, written: str) -> str:
    """Return a text of the format without its time of day."""
    return re.split("[T ]", text, maxsplit=1)[0] if has_time(written) else text


def sorts(written: str) -> bool:
    """Whether texts of the format stand in the order of time when they are sorted."""
    return written.startswith("%Y") and "%-" not in written


def year_of(text: str, written: str) -> int:
    """Return the year in a text of the format."""
    return _part(text, written, "y")


def month_of(text: str, written: str) -> int:
    """Return the month, 1 to 12, in a text of the format."""
    return _part(text, written, "m")


def first_day(year: int, written: str, month: int = 1) -> str:
    """Return the first day of a year or of a month of it, written in a format that `sorts`, without a time."""
    return written.removesuffix(_TIME).replace("%Y", f"{year:04}").replace("%m", f"{month:02}").replace("%d", "01")


def pattern(part: Literal["year", "month"], value: int, written: str) -> str:
    """Return the LIKE pattern of the dates with this year or month."""
    bare = written.removesuffix(_TIME)
    letters = "%Y" if part == "year" else "%-m" if "%-m" in bare else "%m"
    digits = {"%Y": f"{value:04}", "%m": f"{value:02}", "%-m": f"{value}"}[letters]
    before, after = bare.split(letters)
    return ("%" + before[-1] if before else "") + digits + after[:1] + ("%" if after or has_time(written) else "")


def _reads(written: str, text: str) -> bool:
    found = _expression(written).fullmatch(text)
    return found is not None and 1 <= int(found["m"]) <= 12 and 1 <= int(found["d"]) <= 31


def _part(text: str, written: str, name: str) -> int:
    found = _expression(written).fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no date written {written}")
    return int(found[name])


@cache
def _expression(written: str) -> re.Pattern[str]:
    bare = re.escape(written.removesuffix(_TIME)).replace(r"%\-", "%-")
    for letters, digits in _DIGITS.items():
        bare = bare.replace(letters, digits)
    return re.compile(bare + (_CLOCK if has_time(written) else ""))
