"""Vocabulary projection and cross-entropy, computed only where a token carries loss.

The full `[tokens, vocabulary]` logits are never kept: positions go through in chunks, and since the loss is the last
thing computed its gradient with respect to the hidden states (and to the head, where that is trained) is formed in the
forward pass. The result is the plain computation's, to float tolerance. Knows nothing of models or batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from myna.engines.torch.quantization import PackedWeight, times

_LOGITS_BYTES = 64 * 2**20
"""How large one chunk of float32 logits may be."""
_WEIGHT_BYTES = 64 * 2**20
"""How large the expanded part of a compactly stored head may be."""


class _HeadLoss(torch.autograd.Function):
    """Sum of negative log-likelihoods; gradients are ready when the forward pass ends."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor | PackedWeight, targets: Tensor, softcap: float | None
    ) -> Tensor:
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        vocabulary = weight.shape[0]
        rows = max(1, _LOGITS_BYTES // (4 * vocabulary))
        total = torch.zeros(
            (), dtype=torch.float64 if hidden.device.type == "cpu" else torch.float32, device=hidden.device
        )
        grad_hidden = torch.empty_like(hidden) if wants_hidden else None
        grad_weight = torch.zeros(weight.shape, device=hidden.device) if wants_weight else None
        for start in range(0, hidden.shape[0], rows):
            h, t = hidden[start : start + rows], targets[start : start + rows]
            logits = project(h, weight)
            slope = None
            if softcap is not None:
                logits = logits.div_(softcap).tanh_()
                slope = 1 - logits.square() if wants_hidden or wants_weight else None
                logits *= softcap
            wanted = logits.gather(1, t[:, None])
            largest = logits.amax(dim=1, keepdim=True)
            exponentials = logits.sub_(largest).exp_()  # in the logits' own memory
            normaliser = exponentials.sum(dim=1, keepdim=True)
            total += (largest + normaliser.log() - wanted).sum()
            if not (wants_hidden or wants_weight):
                continue
            gradient = exponentials.div_(normaliser)  # softmax
            gradient[torch.arange(len(t), device=t.device), t] -= 1
            if slope is not None:
                gradient *= slope
            gradient = gradient.to(h.dtype)
            if grad_hidden is not None:
                grad_hidden[start : start + rows] = _times_weight(gradient, weight)
            if grad_weight is not None:
                grad_weight += gradient.T @ h
        ctx.save_for_backward(grad_hidden, grad_weight)
        return total.to(torch.float32)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (grad_output,) = grad_outputs
        grad_hidden, grad_weight = ctx.saved_tensors
        return (
            None if grad_hidden is None else grad_hidden * grad_output.to(grad_hidden.dtype),
            None if grad_weight is None else grad_weight * grad_output,
            None,
            None,
        )


def head_loss(hidden: Tensor, weight: Tensor | PackedWeight, targets: Tensor, softcap: float | None) -> Tensor:
    """Sum over positions of −log p(target), in nats.

    hidden: `[positions, width]`; weight: `[vocabulary, width]`, in any float dtype or packed; targets: int64
    `[positions]`. softcap: Gemma 2's cap on the final logits, or None.
    """
    result: Tensor = _HeadLoss.apply(hidden, weight, targets, softcap)  # type: ignore[no-untyped-call]
    return result


def project(hidden: Tensor, weight: Tensor | PackedWeight) -> Tensor:
    """Return float32 logits `[positions, vocabulary]`; a compactly stored weight is expanded piece by piece."""
    if isinstance(weight, Tensor) and weight.dtype == hidden.dtype:
        return torch.mm(hidden, weight.T).float()
    logits = torch.empty(hidden.shape[0], weight.shape[0], dtype=hidden.dtype, device=hidden.device)
    for start, piece in _pieces(weight, hidden.dtype):
        torch.mm(hidden, piece.T, out=logits[:, start : start + len(piece)])
    return logits.float()


def _times_weight(gradient: Tensor, weight: Tensor | PackedWeight) -> Tensor:
    if isinstance(weight, PackedWeight):
        return times(gradient, weight)
    if weight.dtype == gradient.dtype:
        return torch.mm(gradient, weight)
    out = torch.zeros(gradient.shape[0], weight.shape[1], dtype=gradient.dtype, device=gradient.device)
    for start, piece in _pieces(weight, gradient.dtype):
        out.addmm_(gradient[:, start : start + len(piece)], piece)
    return out


def _pieces(weight: Tensor | PackedWeight, dtype: torch.dtype) -> Iterator[tuple[int, Tensor]]:
    if isinstance(weight, PackedWeight):
        yield from weight.pieces(dtype)
        return
    size = max(1, _WEIGHT_BYTES // (weight.shape[1] * dtype.itemsize))
    for start in range(0, weight.shape[0], size):
        yield start, weight[start : start + size].to(dtype)
