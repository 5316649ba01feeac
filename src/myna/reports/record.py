"""What a run left behind, read back into the types it was written from.

In: a run folder. Out: its recipe, environment and events, sorted by kind. An unfinished run has fewer of
them. Knows nothing of pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myna.recipe import Recipe
from myna.runs import RunFolder
from myna.training.events import (
    DataRead,
    Evaluation,
    Finished,
    Generated,
    Notice,
    Report,
    Saved,
    Started,
    Tested,
)
from myna.training.reading import read_environment, read_log, read_recipe, recipe_text


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run: its recipe (`recipe_text` as it lies in the folder), environment, and events by kind."""

    path: Path
    recipe: Recipe
    recipe_text: str
    environment: Mapping[str, Any]
    data: tuple[DataRead, ...]
    started: tuple[Started, ...]
    notices: tuple[Notice, ...]
    reports: tuple[Report, ...]
    evaluations: tuple[Evaluation, ...]
    saved: tuple[Saved, ...]
    generated: tuple[Generated, ...]
    tested: tuple[Tested, ...]
    finished: Finished | None

    @property
    def iteration(self) -> int:
        """The last iteration that left a trace."""
        traces: tuple[Report | Evaluation | Saved, ...] = (*self.reports, *self.evaluations, *self.saved)
        return max((trace.iteration for trace in traces), default=0)

    @property
    def best(self) -> Evaluation | None:
        """The evaluation whose adapter is kept."""
        return next((one for one in reversed(self.evaluations) if one.best), None)


def read_run(path: Path) -> RunRecord:
    """Read the run folder at `path`.

    Raises `RunError` when it is none or its files were damaged, `RecipeError` for its recipe. A log whose
    last line is torn is read up to there; a missing log or environment is an empty one.
    """
    folder = RunFolder.open(path)
    events = read_log(folder)
    return RunRecord(
        path=path,
        recipe=read_recipe(folder),
        recipe_text=recipe_text(folder),
        environment=read_environment(folder),
        data=tuple(event for event in events if isinstance(event, DataRead)),
        started=tuple(event for event in events if isinstance(event, Started)),
        notices=tuple(event for event in events if isinstance(event, Notice)),
        reports=tuple(event for event in events if isinstance(event, Report)),
        evaluations=tuple(event for event in events if isinstance(event, Evaluation)),
        saved=tuple(event for event in events if isinstance(event, Saved)),
        generated=tuple(event for event in events if isinstance(event, Generated)),
        tested=tuple(event for event in events if isinstance(event, Tested)),
        finished=next((event for event in reversed(events) if isinstance(event, Finished)), None),
    )
