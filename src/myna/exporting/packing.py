"""A matrix that is packed while it is written: three tensors in MLX's format from one run over its rows.

In: rows, made a few at a time. Out: sources of words, scales and biases. Knows not where the rows come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myna.models.packed import WORDS
from myna.models.quantization import Packing, quantize
from myna.models.tensors import TensorSource


@dataclass(slots=True)
class PackedMatrix:
    """The matrix `<path>.weight`, `[out, in]`, whose `rows()` are of the safetensors type `dtype`.

    Scales and biases are written apart from the words: they are kept from the first run until they are written.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    packing: Packing
    rows: Callable[[], Iterable[NDArray[Any]]]
    _kept: dict[str, list[NDArray[Any]]] = field(default_factory=dict)

    def sources(self) -> dict[str, TensorSource]:
        """Return its three tensors by their names."""
        out, inputs = self.shape
        groups = (out, inputs // self.packing.group_size)
        return {
            f"{self.path}.weight": TensorSource(WORDS, (out, self.packing.words(inputs)), self._words),
            f"{self.path}.scales": TensorSource(self.dtype, groups, partial(self._constants, "scales")),
            f"{self.path}.biases": TensorSource(self.dtype, groups, partial(self._constants, "biases")),
        }

    def _words(self) -> Iterator[NDArray[np.uint32]]:
        kept: dict[str, list[NDArray[Any]]] = {"scales": [], "biases": []}
        for some in self.rows():
            words, scales, biases = quantize(some, self.packing)
            kept["scales"].append(scales)
            kept["biases"].append(biases)
            yield words
        self._kept = kept

    def _constants(self, which: str) -> Iterator[NDArray[Any]]:
        if which not in self._kept:  # of a float32 model they are written first
            for _ in self._words():
                pass
        yield from self._kept.pop(which)
