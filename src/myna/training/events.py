"""What happens in a run, as frozen records: the same ones go to `log.jsonl` and to the caller's listener.

`as_dict()` is what the log and `--json` show: `{"event": "report", …}`. Knows nothing of how they are shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class _Event:
    name: ClassVar[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields with the event's name, ready for JSON."""
        return {"event": self.name, **asdict(self)}


@dataclass(frozen=True, slots=True)
class DataRead(_Event):
    """A split has become samples.

    samples: what is trained on; more than `examples` where a text was split into windows. skipped_lines:
    could not be used (`on_bad_example: skip`). skipped_long, truncated: examples over `max_seq_length`.
    longest: tokens of the longest example. tokens, trained_tokens: of all samples together, once each.
    """

    name: ClassVar[str] = "data"
    split: Literal["train", "valid", "test"]
    examples: int
    samples: int
    skipped_lines: int
    skipped_long: int
    truncated: int
    longest: int
    tokens: int
    trained_tokens: int


@dataclass(frozen=True, slots=True)
class Started(_Event):
    """Training begins, or goes on after iteration `iteration` when that is not 0.

    iterations: optimizer steps of the whole run. epochs: how often each sample is learnt in these.
    trained_parameters: numbers that training changes. device, dtype: where and in what it computes.
    """

    name: ClassVar[str] = "start"
    run: str
    iteration: int
    iterations: int
    examples_per_iteration: int
    epochs: float
    trained_parameters: int
    device: str
    dtype: str


@dataclass(frozen=True, slots=True)
class Notice(_Event):
    """Something a person should know, in a sentence."""

    name: ClassVar[str] = "notice"
    iteration: int
    text: str


@dataclass(frozen=True, slots=True)
class Step(_Event):
    """One optimizer step is done: for a progress bar, given to the listener only, not logged.

    train_loss: mean per trained token of this step (nats).
    """

    name: ClassVar[str] = "step"
    iteration: int
    train_loss: float


@dataclass(frozen=True, slots=True)
class Report(_Event):
    """The iterations since the last report.

    train_loss: mean per trained token (nats). gradient_norm: of the last iteration, before clipping.
    iterations_per_second, trained_tokens_per_second, tokens_per_second: over the time spent in these
    iterations, without evaluations and checkpoints; no padding is counted, there is none. trained_tokens:
    since the run began. seconds: spent in iterations since the run began.
    """

    name: ClassVar[str] = "report"
    iteration: int
    train_loss: float
    learning_rate: float
    gradient_norm: float
    iterations_per_second: float
    trained_tokens_per_second: float
    tokens_per_second: float
    trained_tokens: int
    peak_memory_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Evaluation(_Event):
    """Validation loss after `iteration` steps: mean per trained token over always the same samples.

    samples: how many are evaluated. best: lower than at every earlier evaluation but the one before the first
    step.
    """

    name: ClassVar[str] = "evaluation"
    iteration: int
    valid_loss: float
    tokens: int
    samples: int
    seconds: float
    best: bool


@dataclass(frozen=True, slots=True)
class Saved(_Event):
    """A checkpoint stands complete at `path`, relative to the run folder."""

    name: ClassVar[str] = "checkpoint"
    iteration: int
    path: str


@dataclass(frozen=True, slots=True)
class Generated(_Event):
    """What the model answers to a fixed validation prompt: before training at iteration 0, else with the kept
    adapter.

    expected: the answer in the data.
    """

    name: ClassVar[str] = "sample"
    iteration: int
    prompt: str
    expected: str
    text: str


@dataclass(frozen=True, slots=True)
class Tested(_Event):
    """Loss and perplexity of the kept adapter on the test set."""

    name: ClassVar[str] = "test"
    iteration: int
    loss: float
    perplexity: float | None
    tokens: int
    examples: int


@dataclass(frozen=True, slots=True)
class Finished(_Event):
    """The run is complete. best_iteration: of the adapter that is kept; its valid_loss is None without
    validation.

    stopped_early: by `early_stopping`. seconds: spent in iterations. tokens_per_second: over these.
    """

    name: ClassVar[str] = "finish"
    iteration: int
    best_iteration: int
    best_valid_loss: float | None
    stopped_early: bool
    trained_tokens: int
    tokens_per_second: float
    peak_memory_bytes: int
    seconds: float


Event: TypeAlias = DataRead | Started | Notice | Step | Report | Evaluation | Saved | Generated | Tested | Finished
Listener: TypeAlias = Callable[[Event], None]
