"""How names and values are spelt: WikiSQL's training tables are lower-cased and tokenised, people's are not.

Knows no data set and no prompt.
"""

from __future__ import annotations

import random
import re

_GLUED = (
    (re.compile(r"\s*/\s*"), "/"),
    (re.compile(r"\(\s+"), "("),
    (re.compile(r"\s+\)"), ")"),
    (re.compile(r"\s+([,.:;%'])"), r"\1"),
    (re.compile(r"([#$£€])\s+"), r"\1"),
    (re.compile(r"(\d)\s+-\s+(\d)"), r"\1-\2"),
)
_SMALL = frozenset(
    {"a", "an", "and", "as", "at", "by", "for", "from", "in", "of", "on", "or", "per", "the", "to", "vs"}
)
_WORD = re.compile(r"[^\W\d_]+")


def restored(text: str) -> str:
    """Return a lower-cased, tokenised text as a person would write it: `School/Club Team`."""
    for pattern, replacement in _GLUED:
        text = pattern.sub(replacement, text)
    first = True

    def cased(match: re.Match[str]) -> str:
        nonlocal first
        word, first_here = match[0], first
        first = False
        if word in _SMALL and not first_here:
            return word
        return word.upper() if len(word) <= 3 and not re.search("[aeiouy]", word) else word.capitalize()

    return _WORD.sub(cased, text)


def snake(text: str) -> str:
    """Return a name as programmers write it: `school_club_team`."""
    return re.sub(r"_+", "_", re.sub(r"\W+", "_", text.lower())).strip("_") or "c"


def camel(text: str) -> str:
    """Return a name as other programmers write it: `schoolClubTeam`."""
    first, *others = re.sub(r"\W+", " ", text.lower()).split() or ["c"]
    return first + "".join(word.capitalize() for word in others)


def same_words(one: str, other: str) -> bool:
    """Return whether two texts differ in case and spaces only."""
    return "".join(one.casefold().split()) == "".join(other.casefold().split())


def table_name(nouns: list[str], chance: random.Random) -> str:
    """Return a made-up name of a table: a word or two, or what WikiSQL calls its tables."""
    kind = chance.random()
    if kind < 0.35:
        return f"{chance.randint(1, 2)}-{chance.randint(1000000, 29999999)}-{chance.randint(1, 40)}"
    words = chance.sample(nouns, 1 if kind < 0.75 else 2)
    return chance.choice((snake, snake, camel, lambda text: restored(text).replace(" ", "")))(" ".join(words))
