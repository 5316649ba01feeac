"""The HTML page of a comparison: sections, curves and answers in words, and the file.

In: a `Comparison`. Out: a `Page` of plain strings, which the template lays out and escapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from myna.errors import RunError
from myna.reports.charts import Chart, Point, Series, draw
from myna.reports.comparing.comparison import Comparison, Subject
from myna.reports.comparing.judging import JudgedAnswer
from myna.reports.comparing.tables import LossRow, Section, loss_rows, missing, refusals, sections
from myna.reports.rendering import render
from myna.reports.words import byte_unit, loss_words
from myna.runs import write_file, writing

MOST_ACROSS = 4
"""Runs that stand beside each other; more stand below each other."""
MOST_ROWS = 60
MOST_QUESTIONS = 50
MOST_CHARACTERS = 2000
"""Limits of what one page shows; what is left out is said."""
_COLOURS = 8
"""Colours of the style sheet; lines of further runs are dashed."""


@dataclass(frozen=True, slots=True)
class RunHead:
    """A run at the head of a column: its name, its colour's class, its path."""

    name: str
    style: str
    path: str


@dataclass(frozen=True, slots=True)
class AnswerCard:
    """A run's answer. verdict: `right`, `wrong` or empty; said: the verdict in words."""

    head: RunHead
    text: str
    verdict: str
    said: str


@dataclass(frozen=True, slots=True)
class QuestionCard:
    """A question with the answers of all runs that were asked."""

    where: str
    asked: str
    expected: str
    answers: tuple[AnswerCard, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the page shows, in reading order."""

    title: str
    headline: tuple[str, ...]
    warnings: tuple[str, ...]
    runs: tuple[RunHead, ...]
    across: bool
    sections: tuple[Section, ...]
    losses: tuple[Chart, ...]
    charts: tuple[Chart, ...]
    loss_rows: tuple[LossRow, ...]
    loss_rows_left_out: int
    questions: tuple[QuestionCard, ...]
    questions_left_out: int
    missing: tuple[tuple[str, str], ...]


def write_page(path: Path, comparison: Comparison) -> Path:
    """Write the page of a comparison and return its path; folders above it are made.

    Raises `RunError` when it is no `.html` file or can't be written, `ResourceError` when the disk is full.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise RunError(f"{path}: expected the name of an HTML file; end it in .html")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, render("comparison.html", compose(comparison)))
    return path


def compose(comparison: Comparison) -> Page:
    """Put the page together."""
    heads = tuple(_head(number, subject) for number, subject in enumerate(comparison.subjects))
    rows, rows_left_out = loss_rows(comparison, MOST_ROWS)
    cards = _questions(comparison, heads)
    return Page(
        title=_title([head.name for head in heads]),
        headline=tuple(_headline(comparison)),
        warnings=(
            *refusals(comparison),
            *(f"{note[:1].upper()}{note[1:]}." for note in comparison.notes),
        ),
        runs=heads,
        across=len(heads) <= MOST_ACROSS,
        sections=sections(comparison),
        losses=tuple(_loss_charts(comparison, heads)),
        charts=tuple(chart for chart in _small_charts(comparison, heads) if chart is not None),
        loss_rows=tuple(rows),
        loss_rows_left_out=rows_left_out,
        questions=cards[:MOST_QUESTIONS],
        questions_left_out=max(0, len(cards) - MOST_QUESTIONS),
        missing=tuple(missing(comparison)),
    )


def _head(number: int, subject: Subject) -> RunHead:
    again = " again" if number >= _COLOURS else ""
    return RunHead(subject.name, f"run{number % _COLOURS + 1}{again}", str(subject.run.path))


def _title(names: Sequence[str]) -> str:
    if len(names) > MOST_ACROSS:
        return f"{names[0]} and {len(names) - 1} other runs, side by side"
    return f"{', '.join(names[:-1])} and {names[-1]}, side by side"


def _headline(comparison: Comparison) -> Iterator[str]:
    """Say who is ahead, where that can be said."""
    tested = [(subject.test.loss, subject.name) for subject in comparison.subjects if subject.test is not None]
    if len(tested) > 1 and comparison.comparable("test"):
        (low, best), (high, worst) = min(tested), max(tested)
        if loss_words(low) == loss_words(high):
            yield f"All have the same test loss, {loss_words(low)}."
        else:
            yield f"{best} has the lowest test loss, {loss_words(low)}; the highest is {loss_words(high)}, of {worst}."
    judged = [(subject.name, *subject.judged) for subject in comparison.subjects if subject.judged[1]]
    if judged:
        yield f"Right answers: {', '.join(f'{name} {right} of {of}' for name, right, of in judged)}."


_LossKind: TypeAlias = Literal["train", "valid"]
_LOSS_TITLES: dict[_LossKind, str] = {"valid": "Validation loss", "train": "Train loss"}


def _loss_charts(comparison: Comparison, heads: Sequence[RunHead]) -> Iterator[Chart]:
    """Yield the curves: of all runs in one chart where they can be compared, else of each run in its own."""
    for kind, title in _LOSS_TITLES.items():
        series = [_losses(subject, head, kind) for subject, head in zip(comparison.subjects, heads, strict=True)]
        together = [("", series)] if comparison.comparable(kind) else [(f", {one.label}", [one]) for one in series]
        for of, lines in together:
            chart = draw(f"{title}{of} (nats per token)", lines, x_name="iteration", number=loss_words)
            if chart is not None:
                yield chart


def _losses(subject: Subject, head: RunHead, kind: _LossKind) -> Series:
    record = subject.run.record
    if kind == "train":
        return Series(head.name, head.style, [(one.iteration, one.train_loss) for one in record.reports])
    points = [(float(one.iteration), one.valid_loss) for one in record.evaluations]
    return Series(head.name, head.style, points, dots=True)


def _small_charts(comparison: Comparison, heads: Sequence[RunHead]) -> Iterator[Chart | None]:
    def series(value: Callable[[Subject], list[Point]]) -> list[Series]:
        return [
            Series(head.name, head.style, value(subject))
            for subject, head in zip(comparison.subjects, heads, strict=True)
        ]

    yield draw(
        "Tokens a second in training",
        series(lambda subject: [(one.iteration, one.tokens_per_second) for one in subject.run.record.reports]),
        x_name="iteration",
        number="{:,.0f}".format,
        from_zero=True,
    )
    most = max((subject.run.training_peak_bytes or 0 for subject in comparison.subjects), default=0)
    unit, size = byte_unit(most)
    yield draw(
        f"Peak memory in training ({unit})",
        series(lambda subject: [(one.iteration, one.peak_memory_bytes / size) for one in subject.run.record.reports]),
        x_name="iteration",
        number="{:,.2f}".format,
        from_zero=True,
    )


def _questions(comparison: Comparison, heads: Sequence[RunHead]) -> tuple[QuestionCard, ...]:
    answered = [
        (head, subject.answers) for head, subject in zip(heads, comparison.subjects, strict=True) if subject.answers
    ]
    if not answered:
        return ()
    return tuple(
        QuestionCard(
            "/".join(Path(question.where).parts[-2:]),
            _shortened(question.asked),
            _shortened(question.expected),
            tuple(_answer_card(head, answers[number]) for head, answers in answered),
        )
        for number, question in enumerate(comparison.questions)
    )


def _answer_card(head: RunHead, answer: JudgedAnswer) -> AnswerCard:
    verdict = "" if answer.right is None else "right" if answer.right else "wrong"
    text = answer.text or (f"(no answer: {answer.error})" if answer.error else "")
    return AnswerCard(head, _shortened(text), verdict, verdict_words(answer))


def verdict_words(answer: JudgedAnswer) -> str:
    """Return what is said of an answer: `right`, `wrong: missing condition` and the like; empty when nobody knows."""
    if answer.by == "text":
        return "in the expected words"
    if answer.right is None:
        return f"not judged: {answer.message}" if answer.message else ""
    by = "" if answer.by == "execution" else " by its SQL"
    return f"right{by}" if answer.right else f"wrong{by}: {answer.cause}"


def _shortened(text: str) -> str:
    more = len(text) - MOST_CHARACTERS
    return text if more <= 0 else f"{text[:MOST_CHARACTERS]} … ({more:,} more characters)"
