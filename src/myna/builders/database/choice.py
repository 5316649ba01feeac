"""Forms of sentences and clauses, each of which belongs to training or to testing, and the choice among them.

A side and a random generator go in. What is chosen is kept, so that what a question was made of can be told: no form of
a test question is ever in a training question. Its words are, in other forms, where they decide what is compared: what
"no less than" means can't be found out, it has to be told. Knows no language.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

Side: TypeAlias = Literal["train", "test"]
_Anything = TypeVar("_Anything")


@dataclass(frozen=True, slots=True)
class Forms:
    """Ways to say the same, with `{slots}`: those of training and those of testing."""

    train: tuple[str, ...]
    test: tuple[str, ...]

    def of(self, side: Side) -> tuple[str, ...]:
        """Return the forms of a side."""
        return self.train if side == "train" else self.test


@dataclass(frozen=True, slots=True)
class Phrasing:
    """A question, and the forms it was made of, the sentence's own first."""

    text: str
    forms: tuple[str, ...]


@dataclass
class Chooser:
    """Chooses forms of one side. `used` are those of the question that is being made."""

    side: Side
    random: random.Random
    used: list[str] = field(default_factory=list)
    hints: dict[str, str] = field(default_factory=dict)
    """What the question may say of values that it calls by another name, by that name."""

    def form(self, *forms: Forms, **slots: str) -> str:
        """Choose a form of this side among several sets and fill its slots."""
        chosen = self.one([form for each in forms for form in each.of(self.side)])
        self.used.append(chosen)
        return chosen.format(**slots)

    def one(self, among: Sequence[_Anything]) -> _Anything:
        """Choose anything."""
        return among[self.random.randrange(len(among))]

    def usual(self, among: Sequence[_Anything]) -> _Anything:
        """Choose the first more often than each of the others."""
        return among[0] if self.chance(0.6) else self.one(among)

    def chance(self, share: float) -> bool:
        """Decide with a probability."""
        return self.random.random() < share
