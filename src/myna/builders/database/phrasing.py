"""A query in words, said in several ways, in English or Chinese.

The same query, lexicon, side and random state give the same question. Sentences of the two sides have no form in
common. Knows neither SQL nor the database.
"""

from __future__ import annotations

import random as random_numbers

from myna.builders.database import chinese, english
from myna.builders.database.choice import Chooser, Phrasing, Side
from myna.builders.database.lexicon import Language, Lexicon
from myna.builders.database.query import Query
from myna.builders.database.reading import read

_ATTEMPTS = 6
"""Attempts for each phrasing wanted; many have the same words."""


def phrasings(
    query: Query, lexicon: Lexicon, language: Language, *, side: Side, random: random_numbers.Random, count: int
) -> tuple[Phrasing, ...]:
    """Return up to `count` different questions for `query`, of different sentence forms as far as there are such.

    None at all where a question would be ambiguous or nobody would say it.
    """
    reading = read(query, lexicon)
    if reading is None:
        return ()
    say = english.say if language == "en" else chinese.say
    found: dict[str, Phrasing] = {}
    for _ in range(count * _ATTEMPTS):
        said = say(reading, lexicon, Chooser(side, random))
        if said is None:
            break
        found.setdefault(said.text, said)
    by_form: dict[tuple[str, ...], list[Phrasing]] = {}
    for each in found.values():
        by_form.setdefault(each.forms[:1], []).append(each)
    turns = [each[turn] for turn in range(len(found)) for each in by_form.values() if turn < len(each)]
    return tuple(turns[:count])
