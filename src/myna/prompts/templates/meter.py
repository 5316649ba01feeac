"""The budget of a rendering, and what values cost.

A unit is about the time of one simple step (some 30 ns). A character that is made costs half a unit and an element of a
list twenty, so that the budget bounds memory as well. Knows no templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MappingView, Set
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.utils import Namespace

STEP, ELEMENT = 10, 20
BASE_UNITS = 10_000_000
_UNITS_PER_CHARACTER = 30
_UNITS_PER_VALUE = 2_000
"""What a template may do: this much, and more for each character and each value that it is given. Templates of
published models take a few hundred units a message."""

_DIGITS = re.compile(r"\d+")
_NESTED_FIELD = re.compile(r"\{[^{}]*\{")


class TooMuchWork(Exception):  # noqa: N818
    """A template needs more than its budget."""


def budget(values: Iterable[Any]) -> int:
    """Return the units for a template that is given `values`: strings, numbers, lists and mappings."""
    units, waiting = BASE_UNITS, list(values)
    while waiting:
        value = waiting.pop()
        units += _UNITS_PER_VALUE
        if isinstance(value, str):
            units += _UNITS_PER_CHARACTER * len(value)
        elif isinstance(value, dict):
            waiting += value
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return units


def outer_size(value: Any) -> int:
    """Return the units of making a value whose elements are there already."""
    if isinstance(value, str):
        return STEP + (len(value) >> 1)
    if isinstance(value, list | tuple | dict):
        return STEP + ELEMENT * len(value)
    return 0


class Meter:
    """The budget of one rendering. left: units; set it before the rendering."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = 0

    def spend(self, units: int) -> None:
        """Take units from the budget. Raises `TooMuchWork` when there are not so many left."""
        self.left -= units
        if self.left < 0:
            raise TooMuchWork

    def weigh(self, *values: Any) -> None:
        """Pay for reading all of these values, as printing, comparing and hashing do.

        A list that holds another one many times costs it many times. Payment goes along with looking, so that even
        2¹⁰⁰ references to one list are not followed for long.
        """
        for value in values:
            if isinstance(value, str):
                self.left -= STEP + (len(value) >> 1)
                if self.left < 0:
                    raise TooMuchWork
            elif isinstance(value, int):
                self.spend(STEP + (value.bit_length() >> 3))
            elif isinstance(value, Mapping):
                self.spend(ELEMENT)
                for key, item in value.items():
                    self.weigh(key, item)
            elif isinstance(value, list | tuple | Set | MappingView):
                self.spend(ELEMENT)
                self.weigh(*value)  # type: ignore[misc]  # all views are iterable
            elif isinstance(value, range):
                self.spend(STEP * len(value))
            elif isinstance(value, Namespace):
                self.spend(ELEMENT)
                self.weigh(object.__getattribute__(value, "_Namespace__attrs"))
            else:
                self.spend(ELEMENT)

    def iterate(self, values: Iterable[Any], units: int = ELEMENT) -> Iterator[Any]:
        """Yield what is in `values`; each costs so many units."""
        for value in values:
            self.left -= units
            if self.left < 0:
                raise TooMuchWork
            yield value

    def settled(self, value: Any) -> Any:
        """Return a list of what an iterator yields, so that it can be read twice; other values as they are."""
        return list(self.iterate(value)) if isinstance(value, Iterator) else value

    def paid(self, result: Any) -> Any:
        """Pay for a result that was just made, or for each of its elements when it is still to be made."""
        if isinstance(result, Iterator):
            return self.iterate(result)
        self.spend(outer_size(result))
        return result

    def hashing(self, keys: Iterable[Any]) -> None:
        """Pay for a table of `keys`. Strings have hashes that nobody can foresee; of other keys (numbers, say) all may
        be chosen to have the same one, so that each is compared with each."""
        self.spend(4 * sum(not isinstance(key, str) for key in keys) ** 2)

    def replacing(self, text: str, old: str, new: str) -> None:
        """Pay for `text.replace(old, new)`."""
        self.spend(STEP + (len(text) + text.count(old) * len(new) >> 1))

    def formatting(self, pattern: str, sign: str, values: Any) -> None:
        """Pay for formatting by a pattern whose places begin with `sign`: `%`, or `{` of `str.format`.

        Every value may stand in every place, and any number in the pattern may be a width.
        """
        before = self.left
        self.weigh(values)
        places = pattern.count(sign) + 1
        self.spend((before - self.left) * places + (len(pattern) >> 1))
        if sign == "{" and _NESTED_FIELD.search(pattern):
            raise SecurityError("chat templates can't use a format within a format here")
        for number in _DIGITS.findall(pattern):
            self.spend(int(number[-20:]) if not number[:-20].strip("0") else self.left + 1)
        if "*" in pattern:  # a width may be one of the values
            given = values.values() if isinstance(values, Mapping) else values
            self.spend(places * sum(abs(value) for value in given if isinstance(value, int)))
