"""A run folder, and scores that belong to its story → its `report.html`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from myna.reports.page import compose
from myna.reports.record import read_run
from myna.reports.rendering import render
from myna.reports.scored import read_scores
from myna.runs import RunFolder, write_file


def write_report(run: Path, *, scores: Sequence[Path] = ()) -> Path:
    """Write `report.html` into the run folder, from the files in it alone, and return its path.

    scores: folders of `myna score` that the report shows too, those before training first. An unfinished run gives the
    report of what is there. Raises `RunError` when there is no run or no score, or a file of either was damaged,
    `RecipeError` for its recipe, `ResourceError` when the disk is full.
    """
    report = RunFolder(run).report_path
    write_file(report, render("run.html", compose(read_run(run), read_scores(scores) if scores else None)))
    return report
