"""Linear layers with something small to train: LoRA and DoRA around a frozen weight, plain or quantised.

`y = W x + b + scale · B (A x)` (LoRA, Hu et al. 2021, arXiv 2106.09685, eq. 3) and
`y = m / ‖W + scale · B A‖ · (W x + scale · B (A x)) + b` (DoRA, Liu et al. 2024, arXiv 2402.09353, eq. 5, with the norm
taken as a constant in the backward pass as in its section 4.3). Knows nothing of files, losses or optimizers.
"""

from __future__ import annotations

import mlx.core as mx
from mlx import nn

from myna.engines.mlx.quantization import QuantizedFrozen
from myna.models.adapters import LoraTarget


class Dropout:
    """Where adapters take the randomness of their dropout from: none, or a key for each layer of a call.

    A layer that is computed again in the backward pass draws the same numbers: `enter` is called before it.
    """

    def __init__(self, probability: float, layers: int) -> None:
        self.probability = probability
        self.layers = layers
        self.keys: mx.array | None = None

    def call_keys(self, seed: int, call: int) -> mx.array:
        """Return a key for each layer `[layers, 2]`, for one call of one step."""
        key = mx.random.split(mx.random.key(seed), call + 1)[call]
        return mx.random.split(key, max(1, self.layers))

    def drop(self, x: mx.array, layer: int) -> mx.array:
        """Set entries to zero with the probability, and scale up the rest; nothing without keys."""
        if self.keys is None or self.probability == 0:
            return x
        kept = mx.random.bernoulli(1 - self.probability, x.shape, key=self.keys[layer])
        return mx.where(kept, x * (1 / (1 - self.probability)), mx.zeros((), x.dtype))


class LoraLinear(nn.Module):
    """A frozen linear layer and its low-rank correction; `enabled` switches the correction off for comparison."""

    def __init__(
        self, base: nn.Linear | QuantizedFrozen, target: LoraTarget, dropout: Dropout, number: int, *, dora: bool
    ) -> None:
        super().__init__()
        out_features, in_features = shape(base)
        self.base = base
        self.scale = target.scale
        self.number = number
        self.enabled = True
        self._dropout = dropout
        self.lora_A = mx.zeros((target.rank, in_features))
        self.lora_B = mx.zeros((out_features, target.rank))
        if dora:
            self.magnitude = self._weight_norms = _row_norms(base)
        self.freeze()
        self.unfreeze(recurse=False, keys=["lora_A", "lora_B", "magnitude"])

    def __call__(self, x: mx.array) -> mx.array:
        """`[…, in]` → `[…, out]`."""
        if not self.enabled:
            out: mx.array = self.base(x)
            return out
        y = product(self.base, x)
        dropped = self._dropout.drop(x, self.number)
        low, up = dropped @ self.lora_A.astype(x.dtype).T, self.lora_B.astype(x.dtype).T
        y = self._dora(x, y, dropped, low @ up) if "magnitude" in self else mx.addmm(y, low, up, alpha=self.scale)
        return y + self.base.bias if "bias" in self.base else y

    def _dora(self, x: mx.array, y: mx.array, dropped: mx.array, correction: mx.array) -> mx.array:
        ratio = (self.magnitude / mx.stop_gradient(self._norms())).astype(x.dtype)
        if dropped is not x:
            # With dropout the direction's own product sees the dropped input too, the base output the whole one
            # (as PEFT does): W x + (ratio − 1) · W dropped(x) + ratio · correction.
            return y + (ratio - 1) * product(self.base, dropped) + ratio * self.scale * correction
        return ratio * (y + self.scale * correction)

    def _norms(self) -> mx.array:
        """‖W + scale · B A‖ by rows `[out]`, without forming the sum: ‖W‖² + 2 s ⟨W Aᵀ, B⟩ + s² ⟨B (A Aᵀ), B⟩."""
        down, up = self.lora_A, self.lora_B
        cross = (product(self.base, down).T * up).sum(axis=1)
        own = ((up @ (down @ down.T)) * up).sum(axis=1)
        squared = mx.square(self._weight_norms) + 2 * self.scale * cross + self.scale**2 * own
        return mx.sqrt(mx.maximum(squared, 0))


def product(base: nn.Linear | QuantizedFrozen, x: mx.array) -> mx.array:
    """`W x` without the bias: `[…, in]` → `[…, out]`."""
    return base.product(x) if isinstance(base, QuantizedFrozen) else x @ base.weight.T


def shape(base: nn.Linear | QuantizedFrozen) -> tuple[int, int]:
    """`(out, in)` of a linear layer."""
    out_features, in_features = base.weight.shape
    return out_features, in_features * 32 // base.bits if isinstance(base, QuantizedFrozen) else in_features


def _row_norms(base: nn.Linear | QuantizedFrozen) -> mx.array:
    """L2 norm of each row of W `[out]`, in float32."""
    weight = base.expanded(mx.float32) if isinstance(base, QuantizedFrozen) else base.weight
    return mx.linalg.norm(weight.astype(mx.float32), axis=1)
