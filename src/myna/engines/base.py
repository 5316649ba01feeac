"""The engine protocol: all that the rest of the house knows of a tensor library.

An engine takes NumPy and returns NumPy. It never sees a file of examples, a prompt string or a progress bar.
Only `engines/torch` imports torch and only `engines/mlx` imports mlx; both keep to this page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from myna.batching.batch import Batch
from myna.models.adapters import AdapterSpec
from myna.models.files import ModelFiles

Tensors: TypeAlias = dict[str, NDArray[np.float32]]
"""Named float32 arrays: `model.layers.0.self_attn.q_proj.lora_A.weight` and so on, as in the base model's files."""


@dataclass(frozen=True, slots=True)
class OptimizerSpec:
    """Which optimizer and its options, under torch's names (`betas`, `eps`, `weight_decay`, `momentum` …)."""

    name: Literal["adam", "adamw", "sgd", "adafactor", "muon"] = "adam"
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one optimizer step did.

    loss_sum: negative log-likelihood in nats, summed over all trained tokens of the step.
    tokens: how many tokens were trained.
    gradient_norm: L2 norm over all trainable tensors, before clipping, of the mean loss.
    """

    loss_sum: float
    tokens: int
    gradient_norm: float


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Temperature 0 is greedy and ignores all but the repetition penalty."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One generated token of one prompt.

    sequence: index of the prompt. token: its id; the end token that stopped it is reported too, with `stopped`.
    stopped: None while the sequence goes on, `end` at an end token, `limit` at the last allowed token.
    """

    sequence: int
    token: int
    stopped: Literal["end", "limit"] | None = None


class Constraint(Protocol):
    """Asked which tokens may come next, told which ones were taken; for the sequences of one call of `generate`.

    It is told right before the model computes the next step, and asked right after: masks can be made meanwhile.
    """

    def allowed(self, sequences: Sequence[int]) -> NDArray[np.uint32]:
        """Return bit masks `[sequences, words]`, lowest bit first, of the tokens that may come next in each.

        At least one bit is set in each; tokens beyond the last word are not allowed.
        """

    def taken(self, sequences: Sequence[int], tokens: Sequence[int]) -> None:
        """Take note that these tokens were chosen, one for each of `sequences`, end tokens included."""


class Model(Protocol):
    """A loaded base model with its trainable tensors.

    row_tokens: how many tokens a row should have here. Longer rows take more memory and bring no more speed.
    longest_sample: the most tokens of one sample that the device can compute at once, None when it sets no limit.
    """

    row_tokens: int
    longest_sample: int | None

    def prepare_training(self, optimizer: OptimizerSpec, *, gradient_checkpointing: bool, seed: int) -> None:
        """Create the optimizer. `seed` determines dropout: step k draws the same masks in every run."""

    def step(
        self, batches: Sequence[Batch], learning_rate: float, *, step: int, max_gradient_norm: float | None
    ) -> StepResult:
        """Take one optimizer step on the mean loss over all trained tokens of `batches`.

        `step` is the 0-based number of this step. When loss or gradient is not finite no weight is changed;
        the caller sees it in the result. Raises `ResourceError` when memory runs out.
        """

    def evaluate(self, batch: Batch) -> tuple[float, int]:
        """Return the loss sum (nats) and the number of trained tokens, without dropout or gradients."""

    def loss_and_gradients(self, batches: Sequence[Batch]) -> tuple[float, Tensors]:
        """Return the mean loss and its gradient for every trainable tensor; for parity tests."""

    def logits(self, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return `[tokens, vocabulary]` next-token logits of one sequence."""

    def generate(
        self,
        prompts: Sequence[NDArray[np.int32]],
        *,
        max_tokens: int,
        end_tokens: frozenset[int],
        sampling: Sampling,
        constraint: Constraint | None = None,
        together: int | None = None,
    ) -> Iterator[TokenEvent]:
        """Generate for all prompts, `together` of them at a time; events come in order of steps, sequences interleaved.

        The first event comes after the prefill of the first `together` prompts: callers time the prompt by it.
        """

    def trainable(self) -> Tensors:
        """Return the adapter (or, in full fine-tuning, the trained weights), float32."""

    def load_trainable(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        """Replace these trainable tensors; others keep their values. Raises `AdapterError` for a foreign or
        misshapen one."""

    def optimizer_state(self) -> dict[str, NDArray[np.generic]]:
        """Return the optimizer's state as named arrays, exact."""

    def load_optimizer_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Restore what `optimizer_state` returned."""

    def use_adapter(self, enabled: bool) -> None:
        """Switch the adapter on or off, so that one loaded base answers for both."""


@dataclass(frozen=True, slots=True)
class Device:
    """What this machine offers an engine. `memory_bytes` is the device's total; `dtype` is what `auto` takes there;
    `notes` are for a person."""

    name: str
    kind: Literal["cpu", "cuda", "mps", "metal"]
    memory_bytes: int
    dtype: str
    notes: tuple[str, ...] = ()


class Engine(Protocol):
    """A tensor library."""

    name: str

    def load(
        self,
        files: ModelFiles,
        *,
        adapter: AdapterSpec | None = None,
        dtype: str = "auto",
        device: str = "auto",
    ) -> Model:
        """Load base weights once and attach what is trained.

        A fresh adapter changes nothing (A and B are zero, DoRA's magnitudes are the base weights' row norms) until
        `load_trainable` gives it `models.adapters.initial_tensors` or a trained one.
        `dtype` is `auto`, `float32`, `bfloat16` or `float16`; `device` is `auto`, `cpu`, `cuda`, `cuda:1` …
        Raises `ModelError` for an unsupported architecture, a missing tensor, a wrong shape or a device that is not
        there, `RecipeError` for one that is not known.
        """

    def device(self, name: str = "auto") -> Device:
        """Tell what `load` would compute on here, given this `device`. Raises as it does for one that is not there."""

    def matrix_speed(self) -> dict[str, float]:
        """Measure matrix products for about half a second.

        Returns floating-point operations per second by dtype.
        """

    def peak_memory_bytes(self) -> int:
        """Return the peak memory of this process: resident set on CPU, allocated memory on an accelerator."""
