"""MLX's affine quantisation of matrices, in NumPy: the one packed format of both engines.

In: weights `[out, in]`. Out: packed words, scales and biases, byte-equal to what `mlx.core.quantize` makes of the same
numbers; and back. Each group of `group_size` neighbours in a row has a scale and a bias, `w ≈ scale · q + bias`; the
whole numbers `q` of a row lie one after another in a stream of bits, lowest first, cut into little-endian uint32 words
(https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.quantize.html). Knows no files and no models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS = (2, 3, 4, 5, 6, 8)
GROUP_SIZES = (32, 64, 128)

_SMALLEST_SCALE = np.float32(1e-7)
"""So that a group of equal numbers divides by something."""


@dataclass(frozen=True, slots=True)
class Packing:
    """How a matrix is packed: bits a weight, and how many neighbours in a row share a scale and a bias."""

    bits: int
    group_size: int

    def words(self, inputs: int) -> int:
        """Return how many uint32 a row of `inputs` weights takes."""
        return inputs * self.bits // 32

    def inputs(self, words: int) -> int:
        """Return how many weights lie in a row of `words` uint32."""
        return words * 32 // self.bits

    def __str__(self) -> str:
        return f"{self.bits} bits in groups of {self.group_size}"


def quantize(weight: NDArray[Any], packing: Packing) -> tuple[NDArray[np.uint32], NDArray[Any], NDArray[Any]]:
    """Return `[out, in · bits / 32]` words and, in the weight's type, `[out, in / group_size]` scales and biases.

    weight: `[out, in]`, float32, float16 or bfloat16; `in` is a multiple of the group size. The end of the group's
    range that is farther from zero is hit exactly, and so is zero, as near as the bits allow: all in float32, as MLX
    computes it, and rounded to the weight's type at the end.
    """
    rows, inputs = weight.shape
    grouped = weight.astype(np.float32).reshape(rows, inputs // packing.group_size, packing.group_size)
    steps = np.float32(2**packing.bits - 1)
    low, high = grouped.min(axis=2, keepdims=True), grouped.max(axis=2, keepdims=True)
    low_is_farther = np.abs(low) > np.abs(high)
    scale = np.maximum((high - low) / steps, _SMALLEST_SCALE)
    scale = np.where(low_is_farther, scale, -scale)
    edge = np.where(low_is_farther, low, high)
    at_edge = np.rint(edge / scale)
    hits_zero = at_edge != 0
    scale = np.divide(edge, at_edge, out=scale, where=hits_zero)
    bias = np.where(hits_zero, edge, np.float32(0))
    numbers = np.clip(np.rint((grouped - bias) / scale), 0, steps).astype(np.uint8)
    words = pack(numbers.reshape(rows, inputs), packing.bits)
    return words, scale[..., 0].astype(weight.dtype), bias[..., 0].astype(weight.dtype)


def dequantize(
    words: NDArray[np.uint32], scales: NDArray[Any], biases: NDArray[Any], packing: Packing
) -> NDArray[np.float32]:
    """Return `scale · q + bias`, `[out, in]`, computed in float32."""
    numbers = unpack(words, packing.bits).astype(np.float32)
    weight = numbers.reshape(*scales.shape, packing.group_size)
    weight *= scales.astype(np.float32)[..., None]
    weight += biases.astype(np.float32)[..., None]
    return numbers


def pack(numbers: NDArray[np.uint8], bits: int) -> NDArray[np.uint32]:
    """Return whole numbers below `2 ** bits`, `[rows, count]`, as `[rows, count · bits / 32]` words.

    count: a multiple of 32, so that rows end with a word.
    """
    eights = numbers.reshape(len(numbers), -1, 8)
    joined = np.zeros(eights.shape[:2], "<u8")  # eight numbers fill `bits` whole bytes of it
    for place in range(8):
        joined |= eights[..., place].astype("<u8") << np.uint64(place * bits)
    octets = joined[..., None].view(np.uint8)[..., :bits]
    return np.ascontiguousarray(octets).reshape(len(numbers), -1).view("<u4").astype(np.uint32, copy=False)


def unpack(words: NDArray[np.uint32], bits: int) -> NDArray[np.uint8]:
    """Return what `pack` was given, `[rows, words · 32 / bits]`."""
    octets = np.ascontiguousarray(words, "<u4").view(np.uint8).reshape(len(words), -1, bits)
    joined = np.zeros((*octets.shape[:2], 8), np.uint8)
    joined[..., :bits] = octets
    shifts = np.arange(8, dtype=np.uint64) * np.uint64(bits)
    numbers: NDArray[np.uint8] = ((joined.view("<u8") >> shifts) & np.uint64(2**bits - 1)).astype(np.uint8)
    return numbers.reshape(len(words), -1)
