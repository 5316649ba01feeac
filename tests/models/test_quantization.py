"""MLX's affine format in NumPy: bits in and out, and equality with MLX itself."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from myna.models.quantization import BITS, GROUP_SIZES, Packing, dequantize, pack, quantize, unpack

PACKINGS = [Packing(bits, group_size) for bits in BITS for group_size in GROUP_SIZES]
TYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


@st.composite
def whole_numbers(draw: st.DrawFn) -> tuple[int, NDArray[np.uint8]]:
    bits = draw(st.sampled_from(BITS))
    shape = (draw(st.integers(1, 4)), 32 * draw(st.integers(1, 5)))
    return bits, draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 2**bits - 1)))


@given(whole_numbers())
def test_what_was_packed_comes_back(packed: tuple[int, NDArray[np.uint8]]) -> None:
    bits, numbers = packed
    words = pack(numbers, bits)
    assert words.dtype == np.uint32
    assert words.shape == (len(numbers), numbers.shape[1] * bits // 32)
    assert np.array_equal(unpack(words, bits), numbers)


@given(whole_numbers())
def test_the_words_of_a_row_are_one_stream_of_bits_lowest_first(packed: tuple[int, NDArray[np.uint8]]) -> None:
    bits, numbers = packed
    stream = sum(int(number) << (bits * place) for place, number in enumerate(numbers[0]))
    expected = [stream >> (32 * place) & 0xFFFFFFFF for place in range(numbers.shape[1] * bits // 32)]
    assert pack(numbers, bits)[0].tolist() == expected


@st.composite
def matrices(draw: st.DrawFn) -> NDArray[np.float32]:
    """Matrices as models have them, and groups that are awkward: equal numbers, one sign only, zeros, tiny, huge."""
    shape = (draw(st.integers(1, 3)), 128 * draw(st.integers(1, 2)))
    spread = draw(st.sampled_from([1e-6, 1e-2, 1.0, 1e3]))
    usual = np.random.default_rng(draw(st.integers(0, 2**32))).normal(0, spread, shape)
    usual += draw(st.sampled_from([0.0, 0.0, 3 * spread, -3 * spread]))
    awkward = draw(arrays.arrays(np.float32, shape, elements=st.floats(-1000, 1000, width=32), fill=st.just(0.25)))
    return np.where(draw(arrays.arrays(np.bool_, (1, shape[1]))), awkward, usual).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(matrices(), st.sampled_from(PACKINGS), st.sampled_from(sorted(TYPES)))
def test_words_scales_and_biases_are_byte_equal_to_those_of_mlx(
    weight: NDArray[np.float32], packing: Packing, dtype: str
) -> None:
    mx = pytest.importorskip("mlx.core", reason="MLX is not installed")
    ours = quantize(weight.astype(TYPES[dtype]), packing)
    given_to_mlx = mx.array(weight).astype(getattr(mx, dtype))  # rounds to nearest even, as NumPy does
    theirs = mx.quantize(given_to_mlx, group_size=packing.group_size, bits=packing.bits)
    for mine, reference in zip(ours, theirs, strict=True):
        exact = reference if reference.dtype == mx.uint32 else reference.astype(mx.float32)
        assert np.array_equal(mine.astype(np.array(exact).dtype), np.array(exact))


@settings(max_examples=60, deadline=None)
@given(matrices(), st.sampled_from(PACKINGS))
def test_unpacked_weights_are_those_of_mlx(weight: NDArray[np.float32], packing: Packing) -> None:
    mx = pytest.importorskip("mlx.core", reason="MLX is not installed")
    packed = quantize(weight, packing)
    theirs = mx.dequantize(*map(mx.array, packed), group_size=packing.group_size, bits=packing.bits)
    # the last bit of a product and of a sum of at most twice the largest number
    assert np.allclose(dequantize(*packed, packing), np.array(theirs), rtol=0, atol=4e-7 * np.abs(weight).max())


@settings(max_examples=60, deadline=None)
@given(matrices(), st.sampled_from(PACKINGS))
def test_no_weight_is_farther_off_than_a_step(weight: NDArray[np.float32], packing: Packing) -> None:
    words, scales, biases = quantize(weight, packing)
    error = np.abs(dequantize(words, scales, biases, packing) - weight)
    # zero is hit exactly by shifting the steps; so the end that is nearer to zero may be a step off instead of half one
    step = np.repeat(np.abs(scales), packing.group_size, axis=1)
    assert (error <= step * 1.001 + 1e-6 * np.abs(weight).max()).all()


@pytest.mark.parametrize("packing", PACKINGS, ids=str)
def test_more_bits_and_smaller_groups_are_nearer(packing: Packing) -> None:
    weight = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)

    def error(packing: Packing) -> float:
        return float(np.square(dequantize(*quantize(weight, packing), packing) - weight).mean())

    if packing.bits < 8:
        assert error(Packing(8, packing.group_size)) < error(packing)
    if packing.group_size > 32:
        assert error(Packing(packing.bits, 32)) < error(packing)


def test_a_group_of_zeros_stays_one() -> None:
    weight = np.zeros((2, 64), np.float32)
    packing = Packing(4, 32)
    assert np.array_equal(dequantize(*quantize(weight, packing), packing), weight)
