"""A loaded MLX model: the engine protocol on top of one of mlx-lm's models."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import mlx.core as mx
import numpy as np
from mlx.utils import tree_map
from numpy.typing import NDArray

from myna.batching.batch import Batch, Segment
from myna.engines.base import Constraint, OptimizerSpec, Sampling, StepResult, Tensors, TokenEvent
from myna.engines.mlx.adapters import LoraLinear
from myna.engines.mlx.attention import LayerCache, Masks
from myna.engines.mlx.generate import generate
from myna.engines.mlx.layout import Call, plan
from myna.engines.mlx.load import LoadedModel, check_shapes, largest_buffer
from myna.engines.mlx.loss import head_loss
from myna.engines.mlx.optimizer import TrainingOptimizer
from myna.errors import ModelError, ResourceError

Arrays = dict[str, mx.array]


class MlxModel:
    """The MLX side of `engines.base.Model`."""

    def __init__(self, loaded: LoadedModel, *, compute: mx.Dtype, activation_bytes: int) -> None:
        self.model = loaded.model
        self.head = loaded.head
        self.windows = loaded.windows
        self.compute = compute
        self.row_tokens = _row_tokens(loaded, compute, activation_bytes)
        self.longest_sample: int | None = longest_sample(loaded.config.num_attention_heads, largest_buffer())
        self._rotary = loaded.rotary
        self._dropout = loaded.dropout
        self._places = loaded.named
        self._trained: Arrays = {
            name: module[attribute].astype(mx.float32) for name, (module, attribute) in self._places.items()
        }
        self._full = bool(self._places) and not self._adapters()
        if self._full:
            self._put(self._trained)
        self._optimizer: TrainingOptimizer | None = None
        self._seed = 0
        # Gemma 2 applies its mask by hand, with the query heads that share a key as an axis of their own.
        config = loaded.config
        self.masks_by_array = config.model_type == "gemma2"
        self.masks_grouped = self.masks_by_array and config.num_key_value_heads < config.num_attention_heads

    # Computing

    @property
    def decoder(self) -> Callable[[mx.array, Sequence[LayerCache]], mx.array]:
        """The transformer without its vocabulary projection."""
        decoder: Callable[[mx.array, Sequence[LayerCache]], mx.array] = self.model.model
        return decoder

    def reach(self, positions: int) -> None:
        """Prepare for a call whose positions are below this number."""
        if self._rotary is not None:
            self._rotary.reach(positions)

    def caches(
        self, call: Call, above: Sequence[LayerCache] = (), enter: Callable[[], None] = lambda: None
    ) -> list[LayerCache]:
        """What each layer is given for `call`; `above`: the caches of the call above it, after that was computed."""
        self.reach(call.longest)
        masks = Masks(call, by_array=self.masks_by_array, grouped=self.masks_grouped)
        alike = bool((call.starts == call.starts[0]).all())
        offset = int(call.starts[0]) if alike else mx.array(call.starts)
        found = []
        for layer, window in enumerate(self.windows):
            before = None if call.parents is None else above[layer].rows(call.parents)
            found.append(LayerCache(offset, masks.of(window), before, enter))
        return found

    def _hidden(self, call: Call, above: Sequence[LayerCache], seeds: Iterator[Callable[[], None]]) -> list[mx.array]:
        """Hidden states `[targets, width]` of the tokens that predict, of this call and of each below it."""
        caches = self.caches(call, above, next(seeds))
        states = self.decoder(mx.array(call.tokens), caches)
        found = [states.reshape(-1, states.shape[-1])[mx.array(call.predictors)]]
        for below in call.below:
            found += self._hidden(below, caches, seeds)
        return found

    def _loss(self, calls: Sequence[Call], *, seed: int | None) -> mx.array:
        """Sum of negative log-likelihoods (nats) of calls that are in memory together; `seed` for training."""
        seeds = self._dropout_seeds(seed)
        states = mx.concatenate([states for call in calls for states in self._hidden(call, (), seeds)])
        targets = np.concatenate([targets for call in calls for targets in call.all_targets])
        return head_loss(states.astype(self.compute), self.head, mx.array(targets), gradient=seed is not None)

    def _dropout_seeds(self, seed: int | None) -> Iterator[Callable[[], None]]:
        """For each call, what sets the keys that its dropout is drawn with."""
        call = 0
        while True:
            keys = None if seed is None or not self._dropout.probability else self._dropout.call_keys(seed, call)
            yield functools.partial(setattr, self._dropout, "keys", keys)
            call += 1

    # Training

    def prepare_training(self, optimizer: OptimizerSpec, *, gradient_checkpointing: bool, seed: int) -> None:
        """See `engines.base.Model`."""
        if not self._places:
            raise ModelError("nothing is trainable: load the model with an adapter")
        self._optimizer = TrainingOptimizer({name: array.shape for name, array in self._trained.items()}, optimizer)
        self._seed = seed
        trained = [bool(layer.trainable_parameters()) for layer in self.model.layers]
        for layer in self.model.layers[trained.index(True) if True in trained else len(trained) :]:
            layer.recompute = gradient_checkpointing

    def step(
        self, batches: Sequence[Batch], learning_rate: float, *, step: int, max_gradient_norm: float | None
    ) -> StepResult:
        """See `engines.base.Model`."""
        if self._optimizer is None:
            raise ModelError("call prepare_training before step")
        seed = int(np.random.SeedSequence([self._seed, step]).generate_state(1, np.uint64)[0] >> 1)
        loss_sum, tokens, gradients = self._accumulate(batches, seed)
        norm = math.sqrt(_number(sum((mx.square(each).sum() for each in gradients.values()), mx.zeros(()))))
        if math.isfinite(loss_sum) and math.isfinite(norm):
            if max_gradient_norm is not None:
                factor = min(1.0, max_gradient_norm / (norm + 1e-6))
                gradients = {name: each * factor for name, each in gradients.items()}
            self._trained = self._optimizer.step(self._trained, gradients, learning_rate)
            self._put(self._trained)
        return StepResult(loss_sum, tokens, norm)

    def loss_and_gradients(self, batches: Sequence[Batch]) -> tuple[float, Tensors]:
        """See `engines.base.Model`."""
        loss_sum, tokens, gradients = self._accumulate(batches, 0)
        return loss_sum / tokens, {name: np.array(each) for name, each in gradients.items()}

    def _accumulate(self, batches: Sequence[Batch], seed: int) -> tuple[float, int, Arrays]:
        """Add up gradients of the mean over all trained tokens of all rows."""
        tokens = sum(len(batch.targets) for batch in batches)
        gradients = {name: mx.zeros_like(array) for name, array in self._trained.items()}
        total = 0.0

        def mean_loss(trained: Arrays, calls: Sequence[Call], number: int) -> tuple[mx.array, mx.array]:
            self._put(trained)
            loss = self._loss(calls, seed=seed + number)
            return loss / tokens, loss

        try:
            with _memory_errors():
                for number, calls in enumerate(self._plan(batches)):
                    (_, loss), found = mx.value_and_grad(mean_loss)(self._trained, calls, number)
                    gradients = tree_map(mx.add, gradients, found)
                    mx.eval(loss, gradients)
                    total += _number(loss)
        finally:
            self._put(self._trained)
        return total, tokens, gradients

    def _plan(self, batches: Sequence[Batch]) -> list[tuple[Call, ...]]:
        planned = plan(batches, self.row_tokens)
        limit = None if self._rotary is None else self._rotary.limit
        for calls in planned:
            rows = sum(len(call.tokens) for call in calls)
            if limit is not None and rows > 1 and max(call.longest for call in calls) > limit:
                raise ModelError(
                    f"this model rescales its positions beyond {limit} tokens, so longer samples can't be computed "
                    f"together with others; set --max-seq-length {limit}"
                )
        return planned

    def evaluate(self, batch: Batch) -> tuple[float, int]:
        """See `engines.base.Model`."""
        with _memory_errors():
            return sum(_number(self._loss(calls, seed=None)) for calls in self._plan([batch])), len(batch.targets)

    # Using

    def logits(self, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        """See `engines.base.Model`."""
        with _memory_errors():
            (calls,) = plan([_every_token(tokens)], len(tokens))
            (states,) = self._hidden(calls[0], (), self._dropout_seeds(None))
            return np.array(self.head.logits(states.astype(self.compute)))

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
        """See `engines.base.Model`."""
        self._dropout.keys = None
        with _memory_errors():
            yield from generate(
                self,
                prompts,
                max_tokens=max_tokens,
                end_tokens=end_tokens,
                sampling=sampling,
                constraint=constraint,
                together=together,
            )

    # State

    def trainable(self) -> Tensors:
        """See `engines.base.Model`."""
        return {name: np.array(array) for name, array in self._trained.items()}

    def load_trainable(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        """See `engines.base.Model`."""
        check_shapes({name: array.shape for name, array in self._trained.items()}, tensors)
        self._trained |= {name: mx.array(np.asarray(array, np.float32)) for name, array in tensors.items()}
        self._put(self._trained)

    def optimizer_state(self) -> dict[str, NDArray[np.generic]]:
        """See `engines.base.Model`."""
        return {} if self._optimizer is None else self._optimizer.state()

    def load_optimizer_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """See `engines.base.Model`."""
        if self._optimizer is None:
            raise ModelError("call prepare_training before load_optimizer_state")
        self._optimizer.load_state(state)

    def use_adapter(self, enabled: bool) -> None:
        """See `engines.base.Model`. Fully fine-tuned weights can't be switched off: they replaced the base's."""
        for layer in self._adapters():
            layer.enabled = enabled

    def _put(self, trained: Arrays) -> None:
        """Make the model compute with these; full fine-tuning keeps float32 and computes in the model's dtype."""
        for name, (module, attribute) in self._places.items():
            module[attribute] = trained[name].astype(self.compute) if self._full else trained[name]

    def _adapters(self) -> list[LoraLinear]:
        return [module for module in self.model.modules() if isinstance(module, LoraLinear)]


def longest_sample(heads: int, buffer_bytes: int | None) -> int | None:
    """The most tokens of a sample whose attention weights `[heads, tokens, tokens]`, float32, fit in one buffer.

    MLX's backward pass of attention holds them whole; rows of shorter samples share a call only up to `row_tokens`.
    """
    return None if buffer_bytes is None else math.isqrt(buffer_bytes // (4 * heads))


def _number(scalar: mx.array) -> float:
    return float(np.array(scalar))


def _every_token(tokens: NDArray[np.int32]) -> Batch:
    """One sequence, each token of which predicts something."""
    places = np.arange(len(tokens), dtype=np.int32)
    return Batch(tokens.astype(np.int32), places, (Segment(0, len(tokens)),), places, tokens.astype(np.int32))


def _row_tokens(loaded: LoadedModel, compute: mx.Dtype, activation_bytes: int) -> int:
    """As many tokens as `activation_bytes` hold of what is kept for the backward pass, 256 to 2048."""
    config = loaded.config
    kept: int = 7 * config.hidden_size + 2 * config.intermediate_size
    return min(2048, max(256, activation_bytes // (compute.size * kept * int(config.num_hidden_layers))))


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Turn running out of memory into an error that says what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if not isinstance(error, MemoryError) and not any(
            sign in text
            for sign in ("maximum allowed buffer size", "nable to allocate", "out of memory", "Insufficient")
        ):
            raise
        raise ResourceError(
            f"out of memory on {mx.default_device()}: lower --max-seq-length or --num-layers, or add --grad-checkpoint"
        ) from error
