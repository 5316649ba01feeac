"""Queries with made-up values: `--values private` lets an adapter be shared without the data it was made from.

A `Query` goes in and comes out with every literal replaced by one of the same type and shape; the same value always
becomes the same made-up one. Limits, counts and months stay: they are the question's own. Knows no words.
"""

from __future__ import annotations

import random
import re
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from myna.builders.database.query import Between, Comparison, DatePart, Having, Matches, OneOf, Order, Value

_SYLLABLES = ("ba", "co", "da", "fe", "gi", "ho", "ka", "le", "mi", "no", "pa", "ra", "se", "ti", "vo", "zu")
_SURNAMES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张"
_DIGITS = re.compile(r"\d")
_WORD = re.compile(r"[^\W\d_]+")
_CHINESE = re.compile(r"[一-鿿]")
_ATTEMPTS = 1_000
"""To make up a value that is neither the real one nor another one's."""
_Part = TypeVar("_Part")


class Disguise:
    """Made-up values for those of one database."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._known: dict[tuple[type, Value], Value] = {}
        self._given: set[tuple[type, Value]] = set()

    def of(self, part: _Part) -> _Part:
        """Return a query, or a part of one, with made-up values."""
        if isinstance(part, tuple):
            return tuple(self.of(each) for each in part)  # type: ignore[return-value]  # it is a tuple of the same parts
        if not is_dataclass(part) or isinstance(part, Order):
            return part
        changed: dict[str, Any] = {each.name: self.of(getattr(part, each.name)) for each in fields(part)}
        match part:
            case Comparison():
                changed["value"] = self._value(part.value)
            case Having() if part.aggregate.function != "count":
                changed["value"] = self._value(part.value)
            case DatePart() if part.part == "year":
                changed["value"] = self._value(part.value)
            case DatePart() if part.of is not None:
                changed["of"] = self._value(part.of)
            case Between():
                low, high = self._value(part.low), self._value(part.high)
                changed["low"], changed["high"] = sorted((low, high), key=lambda value: (isinstance(value, str), value))
            case Matches():
                changed["text"] = self._value(part.text)
            case OneOf():
                changed["values"] = tuple(self._value(value) for value in part.values)
            case _:
                pass
        return replace(part, **changed)  # type: ignore[type-var]  # a dataclass, as asked above

    def _value(self, value: Value) -> Value:
        key = (type(value), value)
        if key not in self._known:
            made = self._made_up(value)
            for _ in range(0 if isinstance(value, bool) else _ATTEMPTS):
                if made != value and (type(made), made) not in self._given:
                    break
                made = made + 1 if isinstance(made, int) else self._made_up(value)
            self._given.add((type(made), made))
            self._known[key] = made
        return self._known[key]

    def _made_up(self, value: Value) -> Value:
        if isinstance(value, bool):
            return value
        if isinstance(value, int):
            return self._number(value)
        if isinstance(value, float):
            return round(value * self._random.uniform(0.6, 1.6), 2)
        return _WORD.sub(self._word, _DIGITS.sub(lambda _: str(self._random.randrange(1, 10)), value))

    def _number(self, value: int) -> int:
        """Return a number of as many digits; years stay years."""
        if 1900 <= value <= 2100:
            return self._random.randint(1950, 2030)
        size = abs(value)
        return (1 if value >= 0 else -1) * self._random.randint(max(1, size // 2), max(2, size * 2))

    def _word(self, found: re.Match[str]) -> str:
        word = found[0]
        if _CHINESE.search(word):
            return "".join(self._random.choice(_SURNAMES) for _ in word)
        made = "".join(self._random.choice(_SYLLABLES) for _ in range((len(word) + 1) // 2))[: len(word)]
        return made.upper() if word.isupper() else made.capitalize() if word[0].isupper() else made
