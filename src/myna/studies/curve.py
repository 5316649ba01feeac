"""A learning curve: what was learnt from how many examples, and from which size on more stops paying.

The rule: a size is enough when no larger one beats it by more than chance. Two sizes are compared on the questions that
only one of them answers right; if both knew the same, each of these would fall to either like a fair coin. The larger
one wins when so many or more fall to it with a probability of at most 5 % (exact one-sided McNemar test; Q. McNemar,
Note on the sampling error of the difference between correlated proportions, Psychometrika 12, 1947). Knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myna.text2sql.scoring.intervals import Rate

CHANCE = 0.05
RULE = (
    "Enough is the smallest size that no larger one beats by more than chance: on the questions that only one of the "
    "two answers right, an exact McNemar test at 5 %."
)


@dataclass(frozen=True, slots=True)
class Point:
    """One size.

    examples: trained on; 0 is the model as it is. right: of each question in order. seconds: of training alone.
    peak_memory_bytes: of this process or its device while it trained. The last four are None for 0 examples.
    """

    examples: int
    right: tuple[bool, ...]
    iterations: int | None = None
    seconds: float | None = None
    peak_memory_bytes: int | None = None
    run: Path | None = None

    @property
    def accuracy(self) -> Rate:
        """Execution accuracy, or exact match where nothing can be executed."""
        return Rate(sum(self.right), len(self.right))

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON shows of it."""
        rate = self.accuracy.as_dict()
        return {
            "examples": self.examples,
            "execution_accuracy": rate["share"],
            "interval": rate["interval"],
            "right": rate["right"],
            "of": rate["of"],
            "iterations": self.iterations,
            "seconds": self.seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
            "run": None if self.run is None else str(self.run),
        }


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The points in order of their sizes, the first at 0 examples. report: the HTML page."""

    points: tuple[Point, ...]
    folder: Path
    report: Path

    @property
    def enough(self) -> int | None:
        """The smallest size by `RULE`, None when that is the largest one: then nothing says that more won't help."""
        return enough(self.points)

    @property
    def finding(self) -> str:
        """Say in a sentence how many examples are enough."""
        return finding(self.points)

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` shows."""
        return {
            "points": [point.as_dict() for point in self.points],
            "enough": self.enough,
            "finding": self.finding,
            "rule": RULE,
            "folder": str(self.folder),
            "report": str(self.report),
        }


def enough(points: Sequence[Point]) -> int | None:
    """Return the smallest size that no larger one beats by more than chance, None when only the largest is such."""
    for number, point in enumerate(points[:-1]):
        if not any(beats(larger.right, point.right) for larger in points[number + 1 :]):
            return point.examples
    return None


def finding(points: Sequence[Point]) -> str:
    """Say in a sentence how many examples are enough."""
    found, last = enough(points), points[-1]
    if found is None:
        return f"More examples still pay: {last.examples:,} beat every smaller size by more than chance."
    if found == 0:
        return "Training shows no effect: no size beats the untrained model by more than chance."
    return f"{found:,} examples are enough: no larger size, up to {last.examples:,}, beats them by more than chance."


def beats(one: Sequence[bool], other: Sequence[bool]) -> bool:
    """Whether `one` is better than `other` by more than chance. Both: right or not, question by question."""
    won = sum(mine and not theirs for mine, theirs in zip(one, other, strict=True))
    lost = sum(theirs and not mine for mine, theirs in zip(one, other, strict=True))
    return won > lost and _heads_or_more(won, won + lost) <= CHANCE


def _heads_or_more(heads: int, throws: int) -> float:
    """Return the probability of at least so many heads of a fair coin."""
    ways = all_ways = math.comb(throws, heads)
    for count in range(heads, throws):
        ways = ways * (throws - count) // (count + 1)
        all_ways += ways
    return all_ways / (1 << throws)
