"""Vocabulary projection and cross-entropy, computed only where a token carries loss.

The full `[tokens, vocabulary]` logits are never kept: positions go through in chunks, and since the loss is the last
thing computed its gradient with respect to the hidden states (and to the head, where that is trained) is formed in the
forward pass. The result is the plain computation's, to float tolerance. Knows nothing of models or batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx import nn

_LOGITS_BYTES = 64 * 2**20
"""How large one chunk of float32 logits may be."""


@dataclass(frozen=True, slots=True)
class Head:
    """The vocabulary projection: a linear layer or, where weights are tied, the embedding; plain or quantised.

    softcap: Gemma 2's cap on the final logits, or None. trained: whether the weight is trained itself.
    """

    module: nn.Module
    softcap: float | None = None
    trained: bool = False

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return int(self.module.weight.shape[0])

    def project(self, hidden: mx.array) -> mx.array:
        """Float32 logits `[positions, vocabulary]`, before the cap."""
        return self._product(hidden, transpose=True).astype(mx.float32)

    def pull_back(self, gradient: mx.array) -> mx.array:
        """The gradient with respect to the hidden states `[positions, width]`, from that of the logits."""
        return self._product(gradient, transpose=False)

    def _product(self, x: mx.array, *, transpose: bool) -> mx.array:
        weight = self.module.weight
        if "scales" not in self.module:
            return x @ (weight.T if transpose else weight)
        return mx.quantized_matmul(
            x,
            weight,
            self.module.scales,
            self.module.biases,
            transpose=transpose,
            group_size=self.module.group_size,
            bits=self.module.bits,
        ).astype(x.dtype)

    def logits(self, hidden: mx.array) -> mx.array:
        """Float32 logits `[positions, vocabulary]`, capped where the architecture caps them."""
        return _capped(self.project(hidden), self.softcap)


def _capped(logits: mx.array, softcap: float | None) -> mx.array:
    return logits if softcap is None else softcap * mx.tanh(logits / softcap)


def head_loss(hidden: mx.array, head: Head, targets: mx.array, *, gradient: bool) -> mx.array:
    """Sum over positions of −log p(target), in nats.

    hidden: `[positions, width]`; targets: int32 `[positions]`. gradient: whether it is asked for afterwards.
    """
    if not gradient:
        return _over_chunks(hidden, head, targets, gradient=False)[0]

    @mx.custom_function
    def summed(hidden: mx.array, _weight: mx.array) -> tuple[mx.array, ...]:
        return _over_chunks(hidden, head, targets, gradient=True)

    @summed.vjp
    def backward(
        _inputs: tuple[mx.array, ...], gradients: tuple[mx.array, ...], outputs: tuple[mx.array, ...]
    ) -> tuple[mx.array, mx.array]:
        factor, (_, grad_hidden, grad_weight) = gradients[0], outputs
        return grad_hidden * factor.astype(grad_hidden.dtype), grad_weight * factor

    with_gradient: Any = summed
    total: mx.array = with_gradient(hidden, head.module.weight if head.trained else mx.zeros(()))[0]
    return total


def _over_chunks(hidden: mx.array, head: Head, targets: mx.array, *, gradient: bool) -> tuple[mx.array, ...]:
    """Return the loss and, with `gradient`, what it changes by with hidden states and head (0 for a frozen head)."""
    positions = hidden.shape[0]
    size = max(1, _LOGITS_BYTES // (4 * head.vocabulary))
    total = mx.zeros(())
    pieces: list[mx.array] = []
    grad_weight = mx.zeros(head.module.weight.shape) if gradient and head.trained else mx.zeros(())
    for start in range(0, positions, size):
        rows, wanted = hidden[start : start + size], targets[start : start + size, None]
        if start:  # one chunk after the other: computed side by side they would all be in memory
            rows = mx.depends([rows], [total, *pieces[-1:]])[0]
        logits = head.logits(rows)
        reached = mx.take_along_axis(logits, wanted, axis=1)
        if not gradient:
            total = total + (mx.logsumexp(logits, axis=1, keepdims=True) - reached).sum()
            continue
        softmax = mx.softmax(logits, axis=1, precise=True)
        # The likeliest token's share tells what all were divided by: a second pass of exponentials costs more.
        normaliser = logits.max(axis=1, keepdims=True) - mx.log(softmax.max(axis=1, keepdims=True))
        total = total + (normaliser - reached).sum()
        slope = mx.put_along_axis(softmax, wanted, mx.take_along_axis(softmax, wanted, axis=1) - 1, axis=1)
        if head.softcap is not None:
            slope = slope * (1 - mx.square(logits / head.softcap))
        slope = slope.astype(hidden.dtype)
        pieces.append(head.pull_back(slope))
        if head.trained:
            grad_weight = grad_weight + (slope.T @ rows).astype(mx.float32)
    if not gradient:
        return (total,)
    return total, mx.concatenate(pieces) if pieces else mx.zeros_like(hidden), grad_weight
