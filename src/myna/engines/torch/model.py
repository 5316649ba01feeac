"""A loaded model: one optimizer step, evaluation, logits and generation over packed rows.

In: NumPy batches (`myna.batching`). Out: NumPy and plain numbers. Knows nothing of prompts, files of examples,
schedules or checkpoints.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from myna.batching.batch import Batch, Segment
from myna.engines.base import Constraint, OptimizerSpec, Sampling, StepResult, Tensors, TokenEvent
from myna.engines.torch.adapters import LoraLinear
from myna.engines.torch.attention import Layout
from myna.engines.torch.generate import generate
from myna.engines.torch.load import check_shapes, named_trainable
from myna.engines.torch.loss import head_loss, project
from myna.engines.torch.optimizer import TrainingOptimizer
from myna.engines.torch.quantization import PackedWeight
from myna.errors import ModelError, ResourceError

_ACTIVATION_BYTES = 480 * 2**20
"""About how much of a row's activations are kept for the backward pass on CPU, where longer rows bring nothing."""


class TorchModel:
    """The torch side of `engines.base.Model`."""

    def __init__(self, model: nn.Module, *, compute: torch.dtype, device: torch.device) -> None:
        self.model = model
        self.device = device
        self.compute = compute
        self.row_tokens = _row_tokens(model, device)
        self.longest_sample: int | None = None
        self.named = named_trainable(model)
        self._full = bool(self.named) and not self._adapters()
        self._optimizer: TrainingOptimizer | None = None
        self._dropout_seed = 0
        self._softcap: float | None = getattr(model.config, "final_logit_softcapping", None)
        self._longest_mixed = _longest_mixed(model)

    # Computing

    @property
    def decoder(self) -> nn.Module:
        """The transformer without its vocabulary projection."""
        decoder = self.model.model
        assert isinstance(decoder, nn.Module)
        return decoder

    @property
    def head(self) -> Tensor | PackedWeight:
        """The vocabulary projection `[vocabulary, width]`."""
        weight = self.model.get_output_embeddings().weight  # type: ignore[operator]
        assert isinstance(weight, Tensor | PackedWeight)
        return weight

    def hidden(self, batch: Batch) -> Tensor:
        """Hidden states `[tokens, width]` of a packed row."""
        self._check_positions(batch)
        with self.autocast():
            output = self.decoder(
                input_ids=torch.from_numpy(batch.tokens).long().to(self.device)[None],
                position_ids=torch.from_numpy(batch.positions).long().to(self.device)[None],
                layout=Layout(batch, self.device),
                use_cache=False,
            )
        states: Tensor = output.last_hidden_state[0]
        return states.to(self.compute)

    def loss(self, batch: Batch) -> Tensor:
        """Sum of negative log-likelihoods (nats) over the row's targets."""
        predictors = torch.from_numpy(batch.predictors).long().to(self.device)
        targets = torch.from_numpy(batch.targets).long().to(self.device)
        return head_loss(self.hidden(batch).index_select(0, predictors), self.head, targets, self._softcap)

    def project(self, hidden: Tensor) -> Tensor:
        """Float32 logits `[positions, vocabulary]`, capped where the architecture caps them."""
        head = self.head
        logits = head.product(hidden).float() if isinstance(head, PackedWeight) else project(hidden, head)
        return logits if self._softcap is None else self._softcap * torch.tanh(logits / self._softcap)

    def autocast(self) -> AbstractContextManager[Any]:
        """What to run the decoder in: full fine-tuning keeps float32 weights; where we compute in 16 bits, this bridges
        the two."""
        if self.compute == torch.float32 or not self._full:
            return nullcontext()
        return torch.autocast(self.device.type, self.compute)

    def _check_positions(self, batch: Batch) -> None:
        if self._longest_mixed is not None and len(batch.segments) > 1 and batch.positions.max() >= self._longest_mixed:
            raise ModelError(
                f"this model rescales its positions beyond {self._longest_mixed} tokens, so longer samples can't share "
                f"a row with others; set --max-seq-length {self._longest_mixed}"
            )

    # Training

    def prepare_training(self, optimizer: OptimizerSpec, *, gradient_checkpointing: bool, seed: int) -> None:
        """See `engines.base.Model`."""
        if not self.named:
            raise ModelError("nothing is trainable: load the model with an adapter")
        self._optimizer = TrainingOptimizer(self.named, optimizer)
        self._dropout_seed = seed
        if gradient_checkpointing:
            self._recompute_layers()
        for module in self.model.modules():
            if isinstance(module, PackedWeight):
                module.may_expand = False  # who trains on packed weights wants their memory

    def _recompute_layers(self) -> None:
        """Keep only each trained layer's input; compute its activations again in the backward pass.

        transformers' layers carry the switch themselves; which of its model methods sets it has changed its name.
        """
        layers = list(self.decoder.layers)  # type: ignore[arg-type]
        trained = [i for i, layer in enumerate(layers) if any(p.requires_grad for p in layer.parameters())]
        for layer in layers[min(trained, default=len(layers)) :]:
            layer.gradient_checkpointing = True
            layer._gradient_checkpointing_func = functools.partial(checkpoint, use_reentrant=False)

    def step(
        self, batches: Sequence[Batch], learning_rate: float, *, step: int, max_gradient_norm: float | None
    ) -> StepResult:
        """See `engines.base.Model`."""
        if self._optimizer is None:
            raise ModelError("call prepare_training before step")
        torch.manual_seed(np.random.SeedSequence([self._dropout_seed, step]).generate_state(1, np.uint64)[0] >> 1)
        loss_sum, tokens = self._accumulate(batches)
        parameters = [p for p in self.named.values() if p.grad is not None]
        norm = float(torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))
        if math.isfinite(loss_sum) and math.isfinite(norm):
            if max_gradient_norm is not None:
                torch.nn.utils.clip_grads_with_norm_(parameters, max_gradient_norm, torch.tensor(norm))
            self._optimizer.step(learning_rate)
        self._optimizer.zero_grad()
        return StepResult(loss_sum, tokens, norm)

    def loss_and_gradients(self, batches: Sequence[Batch]) -> tuple[float, Tensors]:
        """See `engines.base.Model`."""
        for parameter in self.named.values():
            parameter.grad = None
        loss_sum, tokens = self._accumulate(batches)
        gradients = {n: _numpy(torch.zeros_like(p) if p.grad is None else p.grad) for n, p in self.named.items()}
        for parameter in self.named.values():
            parameter.grad = None
        return loss_sum / tokens, gradients

    def _accumulate(self, batches: Sequence[Batch]) -> tuple[float, int]:
        """Add up gradients of the mean over all trained tokens of all rows."""
        tokens = sum(len(batch.targets) for batch in batches)
        total = 0.0
        self.model.train()
        try:
            with _memory_errors(self.device):
                for batch in batches:
                    loss = self.loss(batch)
                    (loss / tokens).backward()  # type: ignore[no-untyped-call]
                    total += loss.item()
        finally:
            self.model.eval()
        return total, tokens

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> tuple[float, int]:
        """See `engines.base.Model`."""
        with _memory_errors(self.device):
            return self.loss(batch).item(), len(batch.targets)

    # Using

    @torch.no_grad()
    def logits(self, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        """See `engines.base.Model`."""
        return _numpy(self.project(self.hidden(single_row([tokens]))))

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
        with _memory_errors(self.device):
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
        return {name: _numpy(parameter) for name, parameter in self.named.items()}

    @torch.no_grad()
    def load_trainable(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        """See `engines.base.Model`."""
        check_shapes(self.named, dict(tensors))
        for name, array in tensors.items():
            self.named[name].copy_(torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)))

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

    def _adapters(self) -> list[LoraLinear]:
        return [module for module in self.model.modules() if isinstance(module, LoraLinear)]


def single_row(sequences: Sequence[NDArray[np.int32]]) -> Batch:
    """Lay whole sequences out in one row, without targets."""
    lengths = [len(sequence) for sequence in sequences]
    stops = np.cumsum(lengths)
    none = np.zeros(0, np.int32)
    return Batch(
        tokens=np.concatenate(sequences).astype(np.int32),
        positions=np.concatenate([np.arange(n, dtype=np.int32) for n in lengths]),
        segments=tuple(Segment(int(stop - n), int(stop)) for n, stop in zip(lengths, stops, strict=True)),
        predictors=none,
        targets=none,
    )


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().to("cpu", torch.float32, copy=True).numpy()
    return array


def _row_tokens(model: nn.Module, device: torch.device) -> int:
    """From 256 tokens on a core's matrix products are at full speed; small models need more to hide Python's own."""
    if device.type != "cpu":
        return 2048
    config: Any = model.config
    # Numbers kept a token and layer, as measured on Qwen2.5-0.5B's shape.
    kept: int = 7 * config.hidden_size + 2 * config.intermediate_size
    return min(2048, max(256, _ACTIVATION_BYTES // (4 * kept * int(config.num_hidden_layers))))


def _longest_mixed(model: nn.Module) -> int | None:
    """Some rotary embeddings change all frequencies with the longest position of the call; up to here they don't."""
    rope = getattr(model.config, "rope_parameters", None) or {}
    if rope.get("rope_type") not in ("dynamic", "longrope"):
        return None
    return int(rope.get("original_max_position_embeddings") or model.config.max_position_embeddings)  # type: ignore[union-attr, arg-type]


@contextmanager
def _memory_errors(device: torch.device) -> Iterator[None]:
    """Turn running out of memory into an error that says what to lower."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and "can't allocate memory" not in str(error) and "out of memory" not in str(error):
            raise
        raise ResourceError(
            f"out of memory on {device}: lower --max-seq-length or --num-layers, or add --grad-checkpoint"
        ) from error
