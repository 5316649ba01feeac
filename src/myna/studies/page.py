"""What the report of a learning curve says: its points as rows and charts, and from which size on more stops paying.

In: points and the recipe they were trained by. Out: `report.html`, one file that needs nothing else. Knows no HTML but
the template's name.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from myna.recipe import Recipe, to_yaml
from myna.reports.charts import Chart, Series, draw
from myna.reports.rendering import render
from myna.reports.words import byte_unit, byte_words, duration_words
from myna.runs import write_file
from myna.studies.curve import RULE, Point, enough, finding


@dataclass(frozen=True, slots=True)
class PointRow:
    """One row of the table. enough: whether this size is the one that is enough."""

    examples: str
    accuracy: str
    interval: str
    questions: str
    iterations: str
    seconds: str
    memory: str
    enough: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the report shows, in reading order."""

    title: str
    finding: str
    rule: str
    curve: Chart | None
    charts: tuple[Chart, ...]
    rows: tuple[PointRow, ...]
    command: str
    recipe: str


def write_page(points: Sequence[Point], recipe: Recipe, folder: Path) -> Path:
    """Write `report.html` into the study's folder and return its path."""
    path = folder / "report.html"
    write_file(path, render("learning_curve.html", compose(points, recipe)))
    return path


def compose(points: Sequence[Point], recipe: Recipe) -> Page:
    """Put the page together."""
    found = enough(points)
    best = max(points, key=lambda point: (point.accuracy.right, -point.examples))
    which = ("--model", recipe.model) if best.run is None else ("--adapter-path", str(best.run))
    return Page(
        title=f"How many examples are enough? {Path(recipe.model).name} on {Path(recipe.data).name}",
        finding=finding(points),
        rule=RULE,
        curve=_curve(points),
        charts=tuple(chart for chart in (_time(points), _memory(points)) if chart is not None),
        rows=tuple(_row(point, found) for point in points),
        command=shlex.join(["myna", "score", *which, "--data", recipe.data]),
        recipe=to_yaml(recipe),
    )


def _row(point: Point, found: int | None) -> PointRow:
    low, high = point.accuracy.interval or (0.0, 0.0)
    return PointRow(
        examples=f"{point.examples:,}" if point.examples else "none",
        accuracy=_percent(point.accuracy.share),
        interval=f"{100 * low:.1f}–{100 * high:.1f}",
        questions=f"{point.accuracy.right:,} of {point.accuracy.of:,}",
        iterations="–" if point.iterations is None else f"{point.iterations:,}",
        seconds="–" if point.seconds is None else duration_words(point.seconds),
        memory="–" if point.peak_memory_bytes is None else byte_words(point.peak_memory_bytes),
        enough=point.examples > 0 and point.examples == found,
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _curve(points: Sequence[Point]) -> Chart | None:
    """Draw shares in the band of their intervals."""
    of = [(point.examples, point.accuracy.share, point.accuracy.interval) for point in points]
    known = [(examples, share, interval) for examples, share, interval in of if share is not None and interval]
    return draw(
        "Execution accuracy (%)",
        [
            Series(
                "95 % interval",
                "band",
                [(examples, 100 * low) for examples, _, (low, _) in known],
                upper=[(examples, 100 * high) for examples, _, (_, high) in known],
            ),
            Series("Execution accuracy", "train", [(examples, 100 * share) for examples, share, _ in known], dots=True),
        ],
        x_name="examples",
        number="{:.1f}".format,
    )


def _time(points: Sequence[Point]) -> Chart | None:
    taken = [(point.examples, point.seconds) for point in points if point.seconds is not None]
    series = [Series("Training", "plain", taken, dots=True)]
    return draw("Time in training (s)", series, x_name="examples", number="{:.1f}".format, from_zero=True)


def _memory(points: Sequence[Point]) -> Chart | None:
    taken = [(point.examples, point.peak_memory_bytes) for point in points if point.peak_memory_bytes is not None]
    unit, size = byte_unit(max((amount for _, amount in taken), default=0))
    series = [Series("Peak memory", "plain", [(n, amount / size) for n, amount in taken], dots=True)]
    return draw(f"Peak memory ({unit})", series, x_name="examples", number="{:.2f}".format, from_zero=True)
