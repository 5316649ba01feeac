"""Products of a packed weight with the few rows of a decoding step, which unpacking the whole matrix would dominate.

Where torch's packed int4 product is fast (bfloat16 on CPU and CUDA) the numbers are laid out once more as it wants
them: up to four bits as they are, more bits in two halves, because `scale · q = scale · low + 16 · scale · high`.
Elsewhere an unpacked copy may be kept, where the memory is there and nothing is trained. Knows nothing of models.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from myna.models.quantization import Packing

if TYPE_CHECKING:
    from myna.engines.torch.quantization import PackedWeight

FEW_ROWS = 64
"""Up to here a product counts as a decoding step; the more rows there are, the less unpacking weighs beside them."""

_LAID_OUT_ROWS = 2048
"""Rows that are laid out at a time, so that their numbers, in 32 bits then, take little memory; all layouts are made of
blocks of at most 64 rows."""

aten = torch.ops.aten


class Product(Protocol):
    """`x Wᵀ` for few rows, `[…, in]` → `[…, out]`, in `dtype`."""

    dtype: torch.dtype

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply."""


def product_for(weight: PackedWeight, dtype: torch.dtype) -> Product | None:
    """Return the fastest product there is for this weight here; None where unpacking each time is all there is."""
    if _packed_product_fits(weight, dtype):
        return PackedInt4(weight, dtype)
    return Expanded(weight, dtype) if weight.may_expand else None


class Expanded:
    """The plain product with an unpacked copy."""

    def __init__(self, weight: PackedWeight, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._weight = torch.empty(weight.shape, dtype=dtype, device=weight.device)
        for start, rows in weight.pieces(dtype):
            self._weight[start : start + len(rows)] = rows

    def __call__(self, x: Tensor) -> Tensor:
        """See `Product`."""
        return F.linear(x, self._weight)


class PackedInt4:
    """torch's packed int4 product: `w = scale · (q - 8) + zero`, once for each half of the bits."""

    def __init__(self, weight: PackedWeight, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._group_size = weight.packing.group_size
        scales, biases = weight.scales.float(), weight.biases.float()
        # Numbers are moved to the middle of the product's own range, and what is constant goes to one half: the zero is
        # then small beside the weights, and so is what its rounding changes.
        middle = 2 ** (weight.packing.bits - 1)
        if weight.packing.bits <= 4:
            self._halves = [(_laid_out(weight, 0, 8 - middle), _constants(scales, biases + middle * scales, dtype))]
        else:
            low = _constants(scales, biases + (middle + 8) * scales, dtype)
            high = _constants(16 * scales, torch.zeros_like(biases), dtype)
            self._halves = [(_laid_out(weight, 0, 0), low), (_laid_out(weight, 4, 8 - middle // 16), high)]

    def __call__(self, x: Tensor) -> Tensor:
        """See `Product`."""
        flat = x.reshape(-1, x.shape[-1])
        product = aten._weight_int4pack_mm if x.is_cuda else aten._weight_int4pack_mm_for_cpu
        parts = [product(flat, numbers, self._group_size, constants) for numbers, constants in self._halves]
        y: Tensor = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        return y.view(*x.shape[:-1], -1)


def _constants(scales: Tensor, zeros: Tensor, dtype: torch.dtype) -> Tensor:
    """Scales and zeros as the product takes them, `[in / group_size, out, 2]`."""
    return torch.stack([scales, zeros], dim=-1).transpose(0, 1).contiguous().to(dtype)


def _laid_out(weight: PackedWeight, shift: int, moved: int) -> Tensor:
    """Four bits of each number, from bit `shift` on, plus `moved`, in the order that the product reads them."""
    laid_out: list[Tensor] = []
    for start in range(0, weight.shape[0], _LAID_OUT_ROWS):
        numbers = ((weight.numbers(slice(start, start + _LAID_OUT_ROWS)) >> shift) & 15) + moved
        if numbers.is_cuda:
            pairs = (numbers[:, ::2] << 4) | numbers[:, 1::2]
            laid_out.append(aten._convert_weight_to_int4pack(pairs.contiguous(), 8))
        else:
            laid_out.append(aten._convert_weight_to_int4pack_for_cpu(numbers.to(torch.int32), 1))
    return torch.cat(laid_out)


def _packed_product_fits(weight: PackedWeight, dtype: torch.dtype) -> bool:
    out, inputs = weight.shape
    if dtype != torch.bfloat16:  # in other types it computes number by number
        return False
    if weight.device.type == "cpu":
        return out % 16 == 0 and works_on_cpu()
    return weight.device.type == "cuda" and out % 8 == 0 and inputs % 128 == 0 and _works_on_cuda(weight.device)


@functools.cache
def works_on_cpu() -> bool:
    """Whether this torch and processor have the packed product with vector instructions."""
    vectors = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") and sys.platform != "win32"
    return vectors and hasattr(aten, "_weight_int4pack_mm_for_cpu")


@functools.cache
def _works_on_cuda(device: torch.device) -> bool:
    """Try it once on small data against the plain product: it is there on some cards and torch versions only."""
    from myna.engines.torch.quantization import PackedWeight

    try:
        random = torch.Generator().manual_seed(0)
        words = torch.randint(-(2**31), 2**31, (16, 32), dtype=torch.int32, generator=random).to(device)
        scales, biases = torch.rand(2, 16, 4, generator=random).to(device, torch.bfloat16)
        weight = PackedWeight(words, scales, biases, Packing(4, 64), may_expand=False)
        x = torch.randn(2, 256, generator=random).to(device, torch.bfloat16)
        expected = x.float() @ weight.rows(slice(None), torch.float32).T
        found = PackedInt4(weight, torch.bfloat16)(x).float()
        return bool((found - expected).abs().max() <= 0.02 * expected.abs().max())
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
