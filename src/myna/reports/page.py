"""What the report of a run says: numbers of a `RunRecord` turned into words, rows and charts.

In: a record. Out: a `Page` of plain strings, which the template lays out and escapes. Knows no HTML.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from myna.reports.charts import Chart, Series, draw
from myna.reports.record import RunRecord
from myna.reports.scored import Scores
from myna.reports.words import (
    byte_unit,
    byte_words,
    count_words,
    duration_words,
    loss_words,
    perplexity_words,
)
from myna.training.events import DataRead, Generated

MOST_ROWS = 60
MOST_SAMPLES = 8
MOST_CHARACTERS = 1200
MOST_REMARKS = 30
MOST_LINE_CHARACTERS = 300
"""Limits of what one page shows; what is left out is said."""

Row: TypeAlias = tuple[str, str]
"""A name and what there is to say about it."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure that matters, with a line below it."""

    name: str
    figure: str
    below: str


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One row of the table of evaluations."""

    iteration: str
    valid_loss: str
    perplexity: str
    checkpoint: str
    kept: bool


@dataclass(frozen=True, slots=True)
class SampleCard:
    """One prompt and its answers: the data's, the model's before training and after it."""

    prompt: str
    expected: str
    before: str
    after: str
    after_title: str


@dataclass(frozen=True, slots=True)
class DataRow:
    """One split of the data in numbers."""

    split: str
    examples: str
    samples: str
    tokens: str
    trained: str
    longest: str


@dataclass(frozen=True, slots=True)
class Page:
    """Everything a report shows, in reading order."""

    title: str
    headline: str
    state: str
    finished: bool
    tiles: tuple[Tile, ...]
    loss: Chart | None
    charts: tuple[Chart, ...]
    scores: Scores | None
    evaluations: tuple[EvaluationRow, ...]
    evaluations_left_out: int
    samples: tuple[SampleCard, ...]
    samples_left_out: int
    data: tuple[DataRow, ...]
    remarks: tuple[str, ...]
    commands: tuple[Row, ...]
    recipe: str
    environment: tuple[Row, ...]


def compose(record: RunRecord, scores: Scores | None = None) -> Page:
    """Put a run's page together, with scores that belong to its story."""
    rows = _evaluation_rows(record)
    shown_rows = _spread(rows)
    cards = _sample_cards(record)
    return Page(
        title=f"{Path(record.recipe.model).name} on {Path(record.recipe.data).name}",
        headline=_headline(record),
        state=_state(record),
        finished=record.finished is not None,
        tiles=tuple(_tiles(record)),
        loss=_loss_chart(record),
        charts=tuple(chart for chart in _small_charts(record) if chart is not None),
        scores=scores,
        evaluations=tuple(shown_rows),
        evaluations_left_out=len(rows) - len(shown_rows),
        samples=tuple(cards[:MOST_SAMPLES]),
        samples_left_out=max(0, len(cards) - MOST_SAMPLES),
        data=tuple(_data_row(split) for split in _splits(record)),
        remarks=tuple(_remarks(record)),
        commands=_commands(record),
        recipe=record.recipe_text,
        environment=tuple(_flat(record.environment)),
    )


def _headline(record: RunRecord) -> str:
    """Say what was learnt, in one sentence."""
    method = {"lora": "LoRA", "dora": "DoRA", "full": "full fine-tuning"}[record.recipe.fine_tune_type]
    change = _change(record)
    if change is None:
        return f"Training by {method}; nothing measured yet."
    name, first, last, iteration = change
    verb = "fell" if last < first else "went"
    return (
        f"{name} loss {verb} from {loss_words(first)} to {loss_words(last)} "
        f"(perplexity {perplexity_words(first)} → {perplexity_words(last)}) in {iteration:,} iterations "
        f"of {method}."
    )


def _change(record: RunRecord) -> tuple[str, float, float, int] | None:
    """Return which loss, its first and its best (or last) value, and the iteration of the latter."""
    if len(record.evaluations) > 1:
        last = record.best or record.evaluations[-1]
        return "Validation", record.evaluations[0].valid_loss, last.valid_loss, last.iteration
    if record.reports:
        return (
            "Train",
            record.reports[0].train_loss,
            record.reports[-1].train_loss,
            record.reports[-1].iteration,
        )
    return None


def _state(record: RunRecord) -> str:
    planned = record.started[-1].iterations if record.started else None
    if record.finished is not None:
        early = " (stopped early: validation no longer improved)" if record.finished.stopped_early else ""
        return f"Finished after {record.finished.iteration:,} iterations{early}."
    of = f" of {planned:,}" if planned else ""
    return (
        f"Not finished: this page shows the run up to iteration {record.iteration:,}{of}. "
        f"If it is no longer running, go on with: myna train --resume {shlex.quote(str(record.path))}"
    )


def _tiles(record: RunRecord) -> Iterator[Tile]:
    if record.best is not None:
        first = record.evaluations[0]
        yield Tile(
            "Validation loss",
            loss_words(record.best.valid_loss),
            f"{loss_words(first.valid_loss)} "
            + (f"at iteration {first.iteration:,}" if first.iteration else "before training"),
        )
    if record.tested:
        test = record.tested[-1]
        yield Tile("Test loss", loss_words(test.loss), f"perplexity {perplexity_words(test.loss)}")
    if record.started:
        start = record.started[-1]
        yield Tile("Trained", count_words(start.trained_parameters), f"parameters, {start.dtype} on {start.device}")
    if record.reports:
        last = record.finished or record.reports[-1]
        yield Tile("Speed", f"{last.tokens_per_second:,.0f}", "tokens a second")
        yield Tile("Peak memory", byte_words(last.peak_memory_bytes), "of the process or device")
        yield Tile("Time in training", duration_words(last.seconds), f"{last.trained_tokens:,} tokens learnt")


def _loss_chart(record: RunRecord) -> Chart | None:
    best = record.best
    return draw(
        "Loss (nats per trained token)",
        [
            Series("Train", "train", [(one.iteration, one.train_loss) for one in record.reports]),
            Series(
                "Validation",
                "valid",
                [(one.iteration, one.valid_loss) for one in record.evaluations],
                dots=True,
                best=(best.iteration, best.valid_loss) if best else None,
            ),
        ],
        x_name="iteration",
        number=loss_words,
    )


def _small_charts(record: RunRecord) -> Iterator[Chart | None]:
    reports = record.reports
    rates = [(one.iteration, one.learning_rate) for one in reports]
    yield draw(
        "Learning rate",
        [Series("Learning rate", "plain", rates)],
        x_name="iteration",
        number="{:.3g}".format,
        from_zero=True,
    )
    norms = [(one.iteration, one.gradient_norm) for one in reports]
    yield draw(
        "Gradient norm (before clipping)",
        [Series("Gradient norm", "plain", norms)],
        x_name="iteration",
        number="{:.3g}".format,
        from_zero=True,
    )
    yield draw(
        "Tokens a second",
        [
            Series("All", "train", [(one.iteration, one.tokens_per_second) for one in reports]),
            Series("Trained", "valid", [(one.iteration, one.trained_tokens_per_second) for one in reports]),
        ],
        x_name="iteration",
        number="{:,.0f}".format,
        from_zero=True,
    )
    unit, size = byte_unit(max((one.peak_memory_bytes for one in reports), default=0))
    yield draw(
        f"Peak memory ({unit})",
        [Series("Peak memory", "plain", [(one.iteration, one.peak_memory_bytes / size) for one in reports])],
        x_name="iteration",
        number="{:,.2f}".format,
        from_zero=True,
    )


def _evaluation_rows(record: RunRecord) -> list[EvaluationRow]:
    """One row for each iteration that was evaluated or saved."""
    losses = {one.iteration: one.valid_loss for one in record.evaluations}
    paths = {one.iteration: one.path for one in record.saved}
    return [
        EvaluationRow(
            iteration=f"{iteration:,}",
            valid_loss=loss_words(losses[iteration]) if iteration in losses else "–",
            perplexity=perplexity_words(losses[iteration]) if iteration in losses else "–",
            checkpoint=paths.get(iteration, "–"),
            kept=record.best is not None and record.best.iteration == iteration,
        )
        for iteration in sorted({*losses, *paths})
    ]


def _spread(rows: list[EvaluationRow]) -> list[EvaluationRow]:
    """Return at most about `MOST_ROWS`, evenly chosen; the first, the last and the kept one always."""
    stride = math.ceil(len(rows) / MOST_ROWS)
    last = len(rows) - 1
    return [row for index, row in enumerate(rows) if index % stride == 0 or index == last or row.kept]


def _sample_cards(record: RunRecord) -> list[SampleCard]:
    first: dict[str, Generated] = {}
    latest: dict[str, Generated] = {}
    for one in record.generated:
        (latest if one.iteration else first)[one.prompt] = one
    return [
        SampleCard(
            prompt=_shortened(prompt),
            expected=_shortened((latest.get(prompt) or first[prompt]).expected),
            before=_shortened(first[prompt].text) if prompt in first else "",
            after=_shortened(latest[prompt].text) if prompt in latest else "",
            after_title=f"After iteration {latest[prompt].iteration:,}" if prompt in latest else "After",
        )
        for prompt in dict.fromkeys([*first, *latest])
    ]


def _splits(record: RunRecord) -> list[DataRead]:
    """Return the last reading of each split; a resumed run reads its data again."""
    return list({one.split: one for one in record.data}.values())


def _data_row(split: DataRead) -> DataRow:
    share = f" ({split.trained_tokens / split.tokens:.0%})" if split.tokens else ""
    return DataRow(
        split=split.split,
        examples=f"{split.examples:,}",
        samples=f"{split.samples:,}",
        tokens=f"{split.tokens:,}",
        trained=f"{split.trained_tokens:,}{share}",
        longest=f"{split.longest:,}",
    )


def _remarks(record: RunRecord) -> Iterator[str]:
    """Yield what was left out of the data and why, then what the run had to say, once each."""
    yield from _left_out(record)
    said = list(dict.fromkeys(_shortened(notice.text, MOST_LINE_CHARACTERS) for notice in record.notices))
    yield from said[:MOST_REMARKS]
    if len(said) > MOST_REMARKS:
        yield f"{len(said) - MOST_REMARKS:,} more remarks stand in log.jsonl."


def _left_out(record: RunRecord) -> Iterator[str]:
    limit = record.recipe.max_seq_length
    for split in _splits(record):
        if split.skipped_lines:
            yield f"{split.split}: {split.skipped_lines:,} lines could not be used and were left out."
        if split.skipped_long:
            yield (
                f"{split.split}: {split.skipped_long:,} examples are longer than {limit:,} tokens and were "
                f"left out; --max-seq-length {split.longest} takes them all."
            )
        if split.truncated:
            yield (
                f"{split.split}: {split.truncated:,} prompts were cut at their start to fit into {limit:,} "
                "tokens; no answer was cut."
            )


def _commands(record: RunRecord) -> tuple[Row, ...]:
    run = shlex.quote(str(record.path))
    fused = shlex.quote(str(record.path.with_name(f"{record.path.name}-fused")))
    return (
        ("Ask it something", f"myna generate --adapter-path {run} --prompt {shlex.quote(_example_prompt(record))}"),
        ("Talk to it", f"myna chat --adapter-path {run}"),
        ("Test every checkpoint", f"myna test {run} --checkpoints"),
        ("Make one model of base and adapter", f"myna fuse --adapter-path {run} --save-path {fused}"),
    )


def _example_prompt(record: RunRecord) -> str:
    """Return a validation prompt that can be pasted into a shell, else a stand-in."""
    prompts = (one.prompt for one in record.generated if len(one.prompt) <= MOST_LINE_CHARACTERS)
    return next((prompt for prompt in prompts if prompt.replace("\n", "").isprintable()), "…")


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[Row]:
    """Yield nested values as rows such as `versions · torch`."""
    for key, value in values.items():
        name = f"{above} · {key}" if above else str(key)
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        elif isinstance(value, list):
            yield name, "; ".join(map(str, value))
        elif isinstance(value, int) and str(key).endswith("_bytes"):
            yield name.removesuffix("_bytes"), byte_words(value)
        elif value is not None:
            yield name, str(value)


def _shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"
