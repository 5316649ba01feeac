"""Packed weights in torch: products and look-ups that unpack rows when they need them and keep none of them.

The format is `myna.models.quantization`'s, MLX's. Training unpacks a few rows at a time in the forward pass and again
in the backward pass, so that the base never takes more memory than its words. Decoding, which would unpack all of a
matrix for one token, goes through torch's packed int4 product where that is fast (`decoding`). Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from myna.engines.torch import decoding
from myna.models.quantization import Packing

_PIECE_ELEMENTS = {"cpu": 2**20}
"""Weights that are unpacked at a time: as many as stay in a core's cache until they are multiplied."""
_DEVICE_PIECE_ELEMENTS = 2**26
"""The same on an accelerator, where a kernel's start costs more than memory."""


class PackedWeight(nn.Module):
    """A frozen matrix `[out, in]` as packed words.

    words: int32 `[out, in · bits / 32]`. scales, biases: `[out, in / group_size]`, as they are stored.
    may_expand: whether decoding may keep an unpacked copy where there is no fast packed product.
    """

    words: Tensor
    scales: Tensor
    biases: Tensor

    def __init__(self, words: Tensor, scales: Tensor, biases: Tensor, packing: Packing, *, may_expand: bool) -> None:
        super().__init__()
        self.register_buffer("words", words)
        self.register_buffer("scales", scales)
        self.register_buffer("biases", biases)
        self.packing = packing
        self.may_expand = may_expand
        self._decoding: decoding.Product | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the unpacked matrix."""
        return self.words.shape[0], self.scales.shape[1] * self.packing.group_size

    @property
    def device(self) -> torch.device:
        """Where the words are."""
        return self.words.device

    def numbers(self, which: slice | Tensor) -> Tensor:
        """Unpack the whole numbers of some rows, uint8 `[rows, in]`."""
        return unpack(self.words[which], self.packing.bits)

    def rows(self, which: slice | Tensor, dtype: torch.dtype) -> Tensor:
        """Unpack some rows, `[rows, in]`: computed in float32, rounded once."""
        numbers = self.numbers(which).to(torch.float32)
        scales, biases = self.scales[which].float(), self.biases[which].float()
        grouped = numbers.view(*scales.shape, self.packing.group_size)
        grouped.mul_(scales[..., None]).add_(biases[..., None])
        return numbers.to(dtype)

    def pieces(self, dtype: torch.dtype) -> Iterator[tuple[int, Tensor]]:
        """Unpack all rows, a few at a time; yields the number of the first with each piece."""
        out, inputs = self.shape
        step = max(1, _PIECE_ELEMENTS.get(self.device.type, _DEVICE_PIECE_ELEMENTS) // inputs)
        for start in range(0, out, step):
            yield start, self.rows(slice(start, start + step), dtype)

    def product(self, x: Tensor) -> Tensor:
        """`x Wᵀ`: `[…, in]` → `[…, out]`, in x's dtype."""
        if not torch.is_grad_enabled() and x.numel() <= decoding.FEW_ROWS * x.shape[-1]:
            if self._decoding is None or self._decoding.dtype != x.dtype:
                self._decoding = decoding.product_for(self, x.dtype)
            if self._decoding is not None:
                return self._decoding(x)
        return packed_product(x, self)

    def train(self, mode: bool = True) -> PackedWeight:
        """Forget, before a training step, what only decoding needs."""
        if mode:
            self._decoding = None
        super().train(mode)
        return self


class _PackedProduct(torch.autograd.Function):
    """`x Wᵀ` with packed W; keeps nothing for the backward pass but the words themselves."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: PackedWeight) -> Tensor:
        ctx.weight = weight
        flat = x.reshape(-1, x.shape[-1])
        y = x.new_empty(*x.shape[:-1], weight.shape[0])
        flat_y = y.view(-1, weight.shape[0])
        for start, rows in weight.pieces(x.dtype):
            torch.mm(flat, rows.T, out=flat_y[:, start : start + len(rows)])
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (grad_output,) = grad_outputs
        return times(grad_output, ctx.weight), None


def packed_product(x: Tensor, weight: PackedWeight) -> Tensor:
    """`x Wᵀ`: `[…, in]` → `[…, out]`, in x's dtype, by unpacking W."""
    result: Tensor = _PackedProduct.apply(x, weight)  # type: ignore[no-untyped-call]
    return result


def times(gradient: Tensor, weight: PackedWeight) -> Tensor:
    """`g W`: `[…, out]` → `[…, in]`, in g's dtype."""
    flat = gradient.reshape(-1, gradient.shape[-1])
    out = gradient.new_zeros(flat.shape[0], weight.shape[1])
    for start, rows in weight.pieces(gradient.dtype):
        out.addmm_(flat[:, start : start + len(rows)], rows)
    return out.view(*gradient.shape[:-1], -1)


def unpack(words: Tensor, bits: int) -> Tensor:
    """Whole numbers of rows of words: int32 `[rows, words]` → uint8 `[rows, words · 32 / bits]`."""
    octets = words.contiguous().view(torch.uint8)
    if bits == 8:
        return octets
    mask = 2**bits - 1
    if 8 % bits == 0:
        numbers = torch.empty(*octets.shape, 8 // bits, dtype=torch.uint8, device=words.device)
        for place in range(8 // bits):
            numbers[..., place] = (octets >> (place * bits)) & mask
    else:  # eight numbers fill `bits` whole bytes
        groups = octets.view(len(words), -1, bits).to(torch.int64)
        joined = sum(groups[..., place] << (8 * place) for place in range(bits))
        assert isinstance(joined, Tensor)
        numbers = torch.stack([(joined >> (place * bits)) & mask for place in range(8)], dim=-1).to(torch.uint8)
    return numbers.view(len(words), -1)


class PackedEmbedding(nn.Module):
    """An embedding whose rows are unpacked as they are looked up.

    scale: what the architecture multiplies its embeddings by (Gemma: √width).
    """

    def __init__(self, weight: PackedWeight, *, scale: float, compute: torch.dtype) -> None:
        super().__init__()
        self.weight = weight
        self.compute = compute
        self.scale = torch.tensor(scale, dtype=compute, device=weight.device)

    def forward(self, tokens: Tensor) -> Tensor:
        """int64 `[…]` → `[…, width]`."""
        return self.weight.rows(tokens.reshape(-1), self.compute).view(*tokens.shape, -1) * self.scale
