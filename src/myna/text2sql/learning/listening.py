"""What a listener of `learn` is told: which stage begins, and everything that training and scoring tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from myna.text2sql.scoring import Progress
from myna.training.events import Event


@dataclass(frozen=True, slots=True)
class Stage:
    """Something begins. text: what, in a sentence without its full stop."""

    name: Literal["checking", "before", "training", "after"]
    text: str


Listener: TypeAlias = Callable[[Stage | Progress | Event], None]
