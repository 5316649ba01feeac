"""What happens in a demo, as frozen records that a listener is given in order.

The folder is `Opened`, a `Step` begins; for each `Command` that would do the same there is work that goes on, and what
has come of it. Knows nothing of how they are shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from myna.builders.writer import Built
from myna.exporting.fusing import FuseResult
from myna.text2sql.asking import Answer
from myna.text2sql.scoring import Progress, ScoreResult
from myna.training import TrainResult
from myna.training.events import Event as TrainingEvent

Work: TypeAlias = Literal["build", "score", "train", "ask", "fuse", "report"]


@dataclass(frozen=True, slots=True)
class Opened:
    """The demo has its folder. again: an earlier demo's was there, and is gone."""

    folder: Path
    again: bool


@dataclass(frozen=True, slots=True)
class Step:
    """Step `number` of `of` begins. title: what it is for. words: what a newcomer should know of it, a sentence."""

    number: int
    of: int
    title: str
    words: str


@dataclass(frozen=True, slots=True)
class Command:
    """What a person would type for what comes now. work: its kind."""

    work: Work
    arguments: tuple[str, ...]
    """All words of it, `myna` first."""


@dataclass(frozen=True, slots=True)
class Working:
    """Training or scoring goes on."""

    event: TrainingEvent | Progress


@dataclass(frozen=True, slots=True)
class Made:
    """What has come of a command: a data folder, a score, a run, a fused model, a report."""

    result: Built | ScoreResult | TrainResult | FuseResult | Path


@dataclass(frozen=True, slots=True)
class Pair:
    """A question of a data folder that was just made, and the SQL in it."""

    question: str
    sql: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A question was asked. tuned: with the adapter. right: its rows are those of the right SQL."""

    answer: Answer
    language: Literal["en", "zh"]
    tuned: bool
    right: bool


DemoEvent: TypeAlias = Opened | Step | Command | Working | Made | Pair | Asked
Listener: TypeAlias = Callable[[DemoEvent], None]
