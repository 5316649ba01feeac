"""A comparison in words: sections of rows with a cell for each run, and the losses iteration by iteration.

In: a `Comparison`. Out: plain strings, which the terminal and the page lay out. Marks what is best where figures can be
compared. Knows no layout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from myna.reports.comparing.comparable import LossKind
from myna.reports.comparing.comparison import Comparison, Subject
from myna.reports.words import byte_words, count_words, duration_words, loss_words, perplexity_words

NONE = "–"
UNEQUAL = "≠"
"""Stands behind the names of losses that are not over the same tokens."""
NOISE = 0.05
"""What speeds, times and memory may differ by, as a share, without one run being better: as much as between two runs of
the same recipe."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing about all runs. short: its name as a narrow column's heading. best: the runs with the best value."""

    name: str
    short: str
    cells: tuple[str, ...]
    best: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Section:
    """Rows that belong together. words: they hold words rather than figures."""

    title: str
    rows: tuple[Row, ...]
    words: bool = False


@dataclass(frozen=True, slots=True)
class LossRow:
    """The losses of all runs at an iteration; a dash where a run has none there."""

    iteration: int
    train: tuple[str, ...]
    valid: tuple[str, ...]


def sections(comparison: Comparison) -> tuple[Section, ...]:
    """Return the table of a comparison, without rows that no run has anything for."""
    subjects = comparison.subjects
    found = (
        Section("Run", tuple(_what(subjects)), words=True),
        Section("Loss", tuple(_losses(comparison))),
        Section("Speed", tuple(_speed(subjects))),
        Section("Memory", tuple(_memory(subjects))),
        Section("Size", tuple(_size(subjects))),
        Section("Answers", tuple(_answers(subjects))),
        Section("What else differs in the recipes", tuple(_differing(subjects)), words=True),
    )
    shown = (
        Section(each.title, tuple(row for row in each.rows if set(row.cells) != {NONE}), each.words) for each in found
    )
    return tuple(each for each in shown if each.rows)


def missing(comparison: Comparison) -> list[tuple[str, str]]:
    """Return what is not there, each line once, after the names of the runs that it is missing from."""
    lacking: dict[str, list[str]] = {}
    for subject in comparison.subjects:
        for line in subject.missing:
            lacking.setdefault(line, []).append(subject.name)
    count = len(comparison.subjects)
    return [("all runs" if len(names) == count else ", ".join(names), line) for line, names in lacking.items()]


def refusals(comparison: Comparison) -> list[str]:
    """Return what to say of the losses that can't be compared, behind the sign that their rows have."""
    return [f"{UNEQUAL} {each}" for each in comparison.losses if not each.comparable]


def loss_rows(comparison: Comparison, most: int) -> tuple[list[LossRow], int]:
    """Return at most about `most` iterations, evenly chosen, first and last always, and how many are left out."""
    train = [{one.iteration: one.train_loss for one in subject.run.record.reports} for subject in comparison.subjects]
    valid = [
        {one.iteration: one.valid_loss for one in subject.run.record.evaluations} for subject in comparison.subjects
    ]
    iterations = sorted({iteration for losses in (*train, *valid) for iteration in losses})
    evaluated = {iteration for losses in valid for iteration in losses}
    # an evaluated iteration says more than one that was only reported
    chosen = sorted(evaluated) if len(iterations) > most and len(evaluated) > 1 else iterations
    stride = math.ceil(len(chosen) / most)
    shown = [each for place, each in enumerate(chosen) if place % stride == 0 or place == len(chosen) - 1]
    rows = [
        LossRow(
            each,
            tuple(_words(losses.get(each), loss_words) for losses in train),
            tuple(_words(losses.get(each), loss_words) for losses in valid),
        )
        for each in shown
    ]
    return rows, len(iterations) - len(rows)


def _what(subjects: Sequence[Subject]) -> Iterator[Row]:
    yield Row("Base model", "base model", tuple(Path(subject.run.recipe.model).name for subject in subjects))
    weights = tuple(subject.run.base.weights if subject.run.base else NONE for subject in subjects)
    yield Row("Base weights", "weights", weights)
    yield Row("Data", "data", tuple(Path(subject.run.recipe.data).name for subject in subjects))
    yield Row("Method", "method", tuple(subject.run.method for subject in subjects))
    yield Row("Layers trained", "layers", tuple(map(_layers, subjects)))
    yield Row("Trained with", "trained with", tuple(subject.run.device or NONE for subject in subjects))
    yield Row("State", "state", tuple(map(_state, subjects)))


def _layers(subject: Subject) -> str:
    if subject.run.layers is None:
        return NONE
    return f"{subject.run.layers} of {subject.run.base.layers}" if subject.run.base else str(subject.run.layers)


def _state(subject: Subject) -> str:
    record = subject.run.record
    if record.finished is not None:
        return f"{record.finished.iteration:,} iterations{', stopped early' if record.finished.stopped_early else ''}"
    planned = f" of {record.started[-1].iterations:,}" if record.started else ""
    return f"unfinished, {record.iteration:,}{planned}"


def _losses(comparison: Comparison) -> Iterator[Row]:
    subjects = comparison.subjects

    def row(kind: LossKind, name: str, short: str, values: list[float | None], write: Callable[[float], str]) -> Row:
        comparable = comparison.comparable(kind)
        sign = "" if comparable else f" {UNEQUAL}"
        return _row(f"{name}{sign}", f"{short}{sign}", values, write, best="low" if comparable else None)

    reports = [subject.run.record.reports for subject in subjects]
    yield row(
        "train", "Train loss, last", "train", [each[-1].train_loss if each else None for each in reports], loss_words
    )
    best = [subject.run.record.best for subject in subjects]
    losses = [each.valid_loss if each else None for each in best]
    yield row("valid", "Validation loss, best", "valid", losses, loss_words)
    yield _row("at iteration", "at", [each.iteration if each else None for each in best], "{:,}".format)
    tests = [subject.test.loss if subject.test else None for subject in subjects]
    yield row("test", "Test loss", "test", tests, loss_words)
    yield row("test", "Test perplexity", "test ppl", tests, perplexity_words)


def _speed(subjects: Sequence[Subject]) -> Iterator[Row]:
    runs = [subject.run for subject in subjects]
    rate = "{:,.0f}".format
    yield _row(
        "Training, tokens/s", "all tok/s", [run.tokens_per_second for run in runs], rate, best="high", noise=NOISE
    )
    yield _row(
        "of these trained", "trained", [run.trained_tokens_per_second for run in runs], rate, best="high", noise=NOISE
    )
    yield _row("Time in training", "time", [run.seconds for run in runs], duration_words, best="low", noise=NOISE)
    generating = [subject.generating for subject in subjects]
    prompts = [each.prompt_tokens_per_second if each else None for each in generating]
    answers = [each.generated_tokens_per_second if each else None for each in generating]
    yield _row("Prompt, tokens/s", "prompt", prompts, rate, best="high", noise=NOISE)
    yield _row("Answer, tokens/s", "answer", answers, rate, best="high", noise=NOISE)


def _memory(subjects: Sequence[Subject]) -> Iterator[Row]:
    training = [subject.run.training_peak_bytes for subject in subjects]
    testing = [subject.test.peak_memory_bytes if subject.test else None for subject in subjects]
    yield _row("Peak in training", "training", training, byte_words, best="low", noise=NOISE)
    yield _row("Peak in testing", "testing", testing, byte_words, best="low", noise=NOISE)


def _size(subjects: Sequence[Subject]) -> Iterator[Row]:
    runs = [subject.run for subject in subjects]
    yield _row("Trained parameters", "trained", [run.trained_parameters for run in runs], count_words)
    yield _row("of all parameters", "share", [run.trained_share for run in runs], "{:.2%}".format)
    yield _row("Adapter on disk", "adapter", [run.adapter_bytes for run in runs], byte_words, best="low")
    bases = [run.base for run in runs]
    fused = [base.fused_bytes if base else None for base in bases]
    yield _row("Fused model on disk", "fused", fused, byte_words, best="low")
    unpacked = [base.unpacked_bytes if base else None for base in bases]
    yield _row("fused with --dequantize", "dequantised", unpacked, byte_words)


def _answers(subjects: Sequence[Subject]) -> Iterator[Row]:
    counts = [subject.judged for subject in subjects]
    rights = [right if of else None for right, of in counts]
    cells = tuple(f"{right} of {of}" if of else NONE for right, of in counts)
    yield Row("Right answers", "right", cells, _best(rights, cells, "high"))
    same = [sum(answer.by == "text" for answer in subject.answers) for subject in subjects]
    if any(same):
        shown = tuple(str(count) if subject.answers else NONE for count, subject in zip(same, subjects, strict=True))
        yield Row("In the expected words", "as expected", shown)


_SAID_ABOVE = frozenset({"model", "data", "fine_tune_type", "num_layers", "adapter_path", "lora_parameters.rank"})


def _differing(subjects: Sequence[Subject]) -> Iterator[Row]:
    settings = [dict(_flat(subject.run.recipe.model_dump(mode="json"))) for subject in subjects]
    for key in dict.fromkeys(key for each in settings for key in each):
        cells = tuple(each.get(key, NONE) for each in settings)
        if key not in _SAID_ABOVE and len(set(cells)) > 1:
            yield Row(key, key.rpartition(".")[2], cells)


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{above}.{key}" if above else key
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        elif isinstance(value, list):
            yield name, ", ".join(map(str, value))
        elif value is not None:
            yield name, str(value).lower() if isinstance(value, bool) else str(value)


def _row(
    name: str,
    short: str,
    values: Sequence[float | None],
    write: Callable[[Any], str],
    *,
    best: Literal["low", "high"] | None = None,
    noise: float = 0.0,
) -> Row:
    cells = tuple(_words(value, write) for value in values)
    return Row(name, short, cells, frozenset() if best is None else _best(values, cells, best, noise))


def _best(
    values: Sequence[float | None], cells: Sequence[str], kind: Literal["low", "high"], noise: float = 0.0
) -> frozenset[int]:
    """Return the best values and those that read the same or are no further off than `noise`, as a share of the best.

    None where that is all of them.
    """
    known = {place: value for place, value in enumerate(values) if value is not None and math.isfinite(value)}
    if not known:
        return frozenset()
    best = (min if kind == "low" else max)(known.values())
    wanted = {cells[place] for place, value in known.items() if abs(value - best) <= noise * abs(best)}
    chosen = frozenset(place for place in known if cells[place] in wanted)
    return frozenset() if len(chosen) == len(known) else chosen


def _words(value: float | None, write: Callable[[Any], str]) -> str:
    return NONE if value is None else write(value)
