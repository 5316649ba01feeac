"""What learning came to: the scores of both adapters, question by question, and which of the two is kept.

The adapter that is right more often on the original test and the held-out corrections is kept. Where both are right
equally often, the new one is kept if it is right on more of all corrections, else the old one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from myna.text2sql.learning.checking import LeftOut
from myna.text2sql.learning.mixing import GROUPS, Asked, Group
from myna.text2sql.scoring.intervals import Rate
from myna.text2sql.scoring.result import Answer, ScoreResult

Kept: TypeAlias = Literal["old", "new"]
Kind: TypeAlias = Literal["fixed", "still wrong", "newly wrong", "still right"]

_KINDS: Mapping[tuple[bool, bool], Kind] = {
    (False, True): "fixed",
    (False, False): "still wrong",
    (True, False): "newly wrong",
    (True, True): "still right",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One question and both answers to it: the SQL in them, or the whole answer where there is none."""

    kind: Kind
    group: Group
    where: str
    question: str
    gold: str
    before: str
    after: str

    def as_dict(self) -> dict[str, str]:
        """Return the fields for JSON."""
        return {
            "kind": self.kind,
            "group": self.group,
            "where": self.where,
            "question": self.question,
            "gold": self.gold,
            "before": self.before,
            "after": self.after,
        }


@dataclass(frozen=True, slots=True)
class Both:
    """How often the old and the new adapter are right."""

    before: Rate
    after: Rate

    def as_dict(self) -> dict[str, Any]:
        """Return both rates for JSON."""
        return {"before": self.before.as_dict(), "after": self.after.as_dict()}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which adapter is kept, and why, in a sentence without its full stop."""

    kept: Kept
    why: str


@dataclass(frozen=True, slots=True)
class LearnResult:
    """What a learning came to.

    run: the new run's folder. adapter: the kept one, in it. changes_file: all of this as JSON. source: the old run.
    scores: by group of questions; a group without questions has none. changes: every question that was asked, in order.
    left_out: corrections that can't be learnt. repeats: how often each trained correction was learnt. replayed: lines
    of the original data. notes: for a person, a sentence each.
    """

    run: Path
    adapter: Path
    changes_file: Path
    source: Path
    verdict: Verdict
    scores: Mapping[Group, Both]
    changes: tuple[Change, ...]
    left_out: tuple[LeftOut, ...]
    repeats: int
    replayed: int
    iterations: int
    learning_rate: float
    notes: tuple[str, ...]

    def changed(self, kind: Kind) -> tuple[Change, ...]:
        """Return the questions of one kind."""
        return tuple(change for change in self.changes if change.kind == kind)

    def as_dict(self) -> dict[str, Any]:
        """Return all for JSON; of the questions that stayed right only the count."""
        return {
            "run": str(self.run),
            "adapter": str(self.adapter),
            "source": str(self.source),
            "kept": self.verdict.kept,
            "why": self.verdict.why,
            "scores": {group: both.as_dict() for group, both in self.scores.items()},
            "fixed": [change.as_dict() for change in self.changed("fixed")],
            "still_wrong": [change.as_dict() for change in self.changed("still wrong")],
            "newly_wrong": [change.as_dict() for change in self.changed("newly wrong")],
            "still_right": len(self.changed("still right")),
            "left_out": [each.as_dict() for each in self.left_out],
            "repeats": self.repeats,
            "replayed": self.replayed,
            "iterations": self.iterations,
            "learning_rate": self.learning_rate,
            "notes": list(self.notes),
        }


def compare(asked: Sequence[Asked], before: ScoreResult, after: ScoreResult) -> tuple[Change, ...]:
    """Return what became of every question that can be scored."""
    return tuple(_changes(asked, before, after))


def rates(changes: Sequence[Change]) -> dict[Group, Both]:
    """Count how often both adapters are right, by groups that have questions."""
    return {group: both for group in GROUPS if (both := _both(changes, group)).before.of}


def decide(changes: Sequence[Change]) -> Verdict:
    """Choose by the rule above."""
    unseen, corrections = _both(changes, "test", "held out"), _both(changes, "held out", "trained")
    questions = f"{unseen.after.of:,} questions ({_counted(changes)})"
    if unseen.before.right != unseen.after.right:
        kept: Kept = "new" if unseen.after.right > unseen.before.right else "old"
        return Verdict(kept, f"{_right(unseen, kept)} of {questions}")
    even = f"both are right on {unseen.after.right:,} of {questions}"
    if corrections.after.right > corrections.before.right:
        return Verdict("new", f"{even}, but {_right(corrections, 'new')} of {corrections.after.of:,} corrections")
    return Verdict("old", f"{even}, and the new one is not right on more corrections")


def _right(both: Both, kept: Kept) -> str:
    better, other = (both.after, both.before) if kept == "new" else (both.before, both.after)
    return f"it is right on {better.right:,} instead of {other.right:,}"


def _counted(changes: Sequence[Change]) -> str:
    groups = {change.group for change in changes}
    words: Mapping[Group, str] = {"test": "the test", "held out": "held-out corrections"}
    return " and ".join(said for group, said in words.items() if group in groups)


def _both(changes: Sequence[Change], *groups: Group) -> Both:
    mine = [change.kind for change in changes if change.group in groups]
    before = sum(kind in ("newly wrong", "still right") for kind in mine)
    after = sum(kind in ("fixed", "still right") for kind in mine)
    return Both(Rate(before, len(mine)), Rate(after, len(mine)))


def _changes(asked: Sequence[Asked], before: ScoreResult, after: ScoreResult) -> Iterator[Change]:
    for each, old, new in zip(asked, before.answers, after.answers, strict=True):
        if old.verdict.left_out or new.verdict.left_out:
            continue
        yield Change(
            kind=_KINDS[old.verdict.right, new.verdict.right],
            group=each.group,
            where=each.where,
            question=old.question.asked,
            gold=old.question.facts.gold,
            before=_sql(old),
            after=_sql(new),
        )


def _sql(answer: Answer) -> str:
    return answer.verdict.sql if answer.verdict.sql is not None else answer.text
