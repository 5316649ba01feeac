"""Verdicts → the score: rates with intervals, by construct, difficulty and database, and what went wrong how often.

Knows nothing of how verdicts were found or how a score is shown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myna.text2sql.constructs import CONSTRUCTS
from myna.text2sql.scoring.causes import CAUSES, NOT_JUDGED
from myna.text2sql.scoring.intervals import Rate
from myna.text2sql.scoring.questions import Question
from myna.text2sql.scoring.verdict import PLAIN, Verdict

_DIFFICULTIES = (
    *("easy", "medium", "hard", "extra"),
    *("no conditions", "1 condition", "2 conditions", "3 conditions", "4 conditions"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A question, the whole answer that was given to it, and the verdict."""

    question: Question
    text: str
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """Return all that is known, for a line of `answers.jsonl`."""
        facts = self.question.facts
        asked = {"where": self.question.where, "question": self.question.asked, "database": facts.database}
        return {**asked, "gold_sql": facts.gold, "answer": self.text, **self.verdict.as_dict()}


@dataclass(frozen=True, slots=True)
class Rates:
    """How many of some answers are right, by each measure; where there is no database, execution and valid are of 0."""

    execution: Rate
    exact: Rate
    valid: Rate

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> Rates:
        """Count."""
        return cls(
            execution=_rate(verdict.execution for verdict in verdicts),
            exact=_rate(verdict.exact for verdict in verdicts),
            valid=_rate(verdict.valid for verdict in verdicts),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the rates for JSON."""
        return {"execution": self.execution.as_dict(), "exact": self.exact.as_dict(), "valid": self.valid.as_dict()}


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """The score of one model, or one file of predictions, on one data folder.

    name: what was scored. rates: of all answers but those to questions that can't be scored. groups: the same by
    `construct`, `difficulty` and `database`, of which a question may have several. causes: why answers are wrong.
    notes: what a person should know, a sentence each. output: the folder of the results, when there is one.
    """

    name: str
    data: str
    rates: Rates
    groups: Mapping[str, Mapping[str, Rates]]
    causes: Mapping[str, int]
    answers: tuple[Answer, ...]
    notes: tuple[str, ...]
    output: Path | None

    @classmethod
    def of(
        cls, name: str, data: str, answers: Sequence[Answer], notes: Sequence[str], output: Path | None
    ) -> ScoreResult:
        """Summarise `answers`."""
        scored = [answer for answer in answers if not answer.verdict.left_out]
        causes = Counter(answer.verdict.cause for answer in scored if not answer.verdict.right)
        return cls(
            name=name,
            data=data,
            rates=Rates.of([answer.verdict for answer in scored]),
            groups={
                "construct": _grouped(scored, lambda each: each.verdict.constructs, (PLAIN, *CONSTRUCTS)),
                "difficulty": _grouped(scored, lambda each: [each.verdict.difficulty], _DIFFICULTIES),
                "database": _grouped(scored, lambda each: [each.question.facts.database]),
            },
            causes={cause: causes[cause] for cause in CAUSES if causes[cause]},
            answers=tuple(answers),
            notes=(
                *notes,
                *_left_out_notes(answers),
                *_unexecuted_notes(scored),
                *_double_quote_notes(scored),
                *_failure_notes(scored),
            ),
            output=output,
        )

    @property
    def examples(self) -> int:
        """Questions that were scored."""
        return self.rates.exact.of

    @property
    def wrong(self) -> tuple[Answer, ...]:
        """The wrong answers, in the order of the data."""
        return tuple(answer for answer in self.answers if not answer.verdict.right and not answer.verdict.left_out)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of execution accuracy, or of exact match where nothing can be executed."""
        return (self.rates.execution if self.rates.execution.of else self.rates.exact).interval

    def as_dict(self) -> dict[str, Any]:
        """Return the score for JSON, without the single answers."""
        interval = self.interval
        return {
            "execution_accuracy": self.rates.execution.share,
            "exact_match": self.rates.exact.share,
            "valid": self.rates.valid.share,
            "examples": self.examples,
            "interval": None if interval is None else list(interval),
            "name": self.name,
            "data": self.data,
            "rates": self.rates.as_dict(),
            "groups": {
                kind: {name: rates.as_dict() for name, rates in groups.items()} for kind, groups in self.groups.items()
            },
            "causes": dict(self.causes),
            "left_out": sum(bool(answer.verdict.left_out) for answer in self.answers),
            "notes": list(self.notes),
            "output": None if self.output is None else str(self.output),
        }


def _rate(outcomes: Iterable[bool | None]) -> Rate:
    known = [outcome for outcome in outcomes if outcome is not None]
    return Rate(sum(known), len(known))


def _grouped(
    answers: Sequence[Answer], names_of: Callable[[Answer], Iterable[str]], order: Sequence[str] = ()
) -> dict[str, Rates]:
    groups: defaultdict[str, list[Verdict]] = defaultdict(list)
    for answer in answers:
        for name in names_of(answer):
            groups[name].append(answer.verdict)
    places = {name: place for place, name in enumerate(order)}
    names = sorted((name for name in groups if name), key=lambda name: (places.get(name, len(places)), name))
    return {name: Rates.of(groups[name]) for name in names}


def _left_out_notes(answers: Sequence[Answer]) -> list[str]:
    left_out = [answer for answer in answers if answer.verdict.left_out]
    if not left_out:
        return []
    first = f"{left_out[0].question.where}: {left_out[0].verdict.left_out}"
    return [f"{_questions(len(left_out))} left out of the score; the first: {first}"]


def _unexecuted_notes(answers: Sequence[Answer]) -> list[str]:
    count = sum(answer.verdict.execution is None for answer in answers)
    if not count:
        return []
    return [f"{_questions(count)} without a database: judged by exact match alone, nothing was executed"]


def _double_quote_notes(answers: Sequence[Answer]) -> list[str]:
    """Say where this score may be lower than that of Spider's own evaluator, which lets SQLite read as it does."""
    count = sum(
        answer.question.facts.source == "spider"
        and answer.verdict.cause == "unknown column"
        and '"' in (answer.verdict.sql or "")
        for answer in answers
    )
    if not count:
        return []
    return [
        f"{count:,} of the answers with an unknown column have names in double quotes: invalid here, while Spider's "
        "own evaluator runs them, because SQLite takes a double-quoted name that is no column for a text"
    ]


def _failure_notes(answers: Sequence[Answer]) -> list[str]:
    failed = [answer for answer in answers if answer.verdict.cause == NOT_JUDGED]
    if not failed:
        return []
    first = f"{failed[0].question.where}: {failed[0].verdict.message}"
    return [f"{_questions(len(failed))} could not be judged, which counts as wrong; the first: {first}"]


def _questions(count: int) -> str:
    return "1 question" if count == 1 else f"{count:,} questions"
