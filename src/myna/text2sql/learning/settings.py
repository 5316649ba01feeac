"""The settings of a learning, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from myna.errors import RecipeError

REPLAY = 3.0
"""Lines of the original data for each time that a correction is learnt: a quarter of what is trained on is new."""
HELD_OUT = 0.2


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a learning but for where its inputs are. See `learn`."""

    other_databases: bool
    replay: float
    held_out: float
    iters: int | None
    learning_rate: float | None
    seed: int | None
    size: int | None
    constrain: Literal["off", "schema", "content"]
    time_limit: float
    max_tokens: int

    def __post_init__(self) -> None:
        """Raise `RecipeError` for what is out of range."""
        for name, value, good, expected in (
            ("replay", self.replay, 0 <= self.replay < math.inf, "0 or more"),
            ("held_out", self.held_out, 0 <= self.held_out < 1, "0 or more and less than 1"),
            ("iters", self.iters, self.iters is None or self.iters >= 1, "1 or more"),
            ("learning_rate", self.learning_rate, _is_rate(self.learning_rate), "a number above 0"),
            ("seed", self.seed, self.seed is None or self.seed >= 0, "0 or more"),
            ("size", self.size, self.size is None or self.size >= 1, "1 or more"),
            ("time_limit", self.time_limit, 0 < self.time_limit < math.inf, "seconds, more than 0"),
            ("max_tokens", self.max_tokens, self.max_tokens >= 1, "1 or more"),
        ):
            if not good:
                raise RecipeError(f"{name} is {value}; expected {expected}")


def _is_rate(value: float | None) -> bool:
    return value is None or 0 < value < math.inf
