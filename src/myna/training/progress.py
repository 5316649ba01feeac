"""How far a run has come: the part of a checkpoint that is neither adapter nor optimizer.

Order of the data, learning rate and dropout are functions of the step, so the step is all that they need.
Knows nothing of files and engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from myna.runs import wrong_field


@dataclass(slots=True)
class Window:
    """Sums over the steps since the last report. seconds: wall clock spent in them."""

    steps: int = 0
    loss_sum: float = 0.0
    trained_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Best:
    """The evaluation with the lowest validation loss so far."""

    iteration: int
    valid_loss: float


@dataclass(slots=True)
class Progress:
    """step: optimizer steps done. evaluated: the step at which validation was last evaluated.

    untrained_loss: validation loss before the first step. worse: evaluations since the best one.
    trained_tokens, tokens, seconds: over all steps. log_bytes: length of the event log when this was saved.
    """

    step: int = 0
    evaluated: int | None = None
    untrained_loss: float | None = None
    best: Best | None = None
    worse: int = 0
    trained_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    log_bytes: int = 0
    window: Window = field(default_factory=Window)

    def add_step(self, *, loss_sum: float, trained_tokens: int, tokens: int, seconds: float) -> None:
        """Count one more optimizer step."""
        self.step += 1
        self.trained_tokens += trained_tokens
        self.tokens += tokens
        self.seconds += seconds
        self.window.steps += 1
        self.window.loss_sum += loss_sum
        self.window.trained_tokens += trained_tokens
        self.window.tokens += tokens
        self.window.seconds += seconds

    def add_evaluation(self, valid_loss: float) -> bool:
        """Take note of a validation loss and return whether it is the best one.

        The one before the first step is never the best: an adapter that does nothing is no result.
        """
        self.evaluated = self.step
        if self.step == 0:
            self.untrained_loss = valid_loss
            return False
        if self.best is not None and valid_loss >= self.best.valid_loss:
            self.worse += 1
            return False
        self.best = Best(self.step, valid_loss)
        self.worse = 0
        return True

    def out_of_patience(self, patience: int | None) -> bool:
        """Whether `patience` evaluations in a row were not better; None waits for ever."""
        return patience is not None and self.worse >= patience

    @property
    def kept(self) -> int:
        """The step whose adapter is worth keeping: the best evaluated one, or the last without validation
        data."""
        return self.step if self.best is None else self.best.iteration

    def as_dict(self) -> dict[str, Any]:
        """Return what `from_dict` restores exactly, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Restore what `as_dict` returned. Raises `TypeError` or `ValueError` for anything else."""
        if (wrong := wrong_field(cls, state)) is not None:
            raise ValueError(wrong)
        best = state["best"]
        return cls(**{**state, "window": Window(**state["window"]), "best": best and Best(**best)})
