"""Frozen linear layers of quantised bases: expanded when they are used, in the forward and again in the backward pass.

MLX's affine groups: `w ≈ scale · q + bias`, by group along the input dimension, `q` packed low bits first in `uint32`.
On Metal the library's own product of packed weights is the fastest way for any number of tokens; on a CPU it is so only
for a few. Knows nothing of files or adapters.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx import nn

_FEW_TOKENS = 8
"""Up to here a CPU multiplies packed weights directly; beyond, expanding them once costs less."""


class QuantizedFrozen(nn.Module):
    """A frozen `y = W x + b`, W `[out, in]` packed. Takes the arrays of a library layer as they are."""

    def __init__(self, layer: nn.QuantizedLinear) -> None:
        super().__init__()
        self.weight, self.scales, self.biases = layer.weight, layer.scales, layer.biases
        self.group_size, self.bits = layer.group_size, layer.bits
        if "bias" in layer:
            self.bias = layer.bias
        self.freeze()

    def __call__(self, x: mx.array) -> mx.array:
        """`[…, in]` → `[…, out]`."""
        y = self.product(x)
        return y + self.bias if "bias" in self else y

    def product(self, x: mx.array) -> mx.array:
        """`W x` without the bias."""
        if x.size // x.shape[-1] <= _FEW_TOKENS or mx.default_device() == mx.gpu:
            return mx.quantized_matmul(
                x, self.weight, self.scales, self.biases, transpose=True, group_size=self.group_size, bits=self.bits
            )

        @mx.custom_function
        def expanded(x: mx.array) -> mx.array:
            return x @ self.expanded(x.dtype).T

        @expanded.vjp
        def backward(_x: mx.array, gradient: mx.array, _y: mx.array) -> mx.array:
            return gradient @ self.expanded(gradient.dtype)

        product: Any = expanded
        out: mx.array = product(x)
        return out

    def expanded(self, dtype: mx.Dtype) -> mx.array:
        """W `[out, in]`; not kept."""
        weight = mx.dequantize(self.weight, self.scales, self.biases, group_size=self.group_size, bits=self.bits)
        return weight.astype(dtype)
