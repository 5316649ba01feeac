"""The weights of base and adapter in one: `W + scale · B A`, for DoRA with its rows brought to their magnitudes.

In: a base's tensors on disk, packed ones too, and the adapter's arrays. Out: fused tensors as sources of chunks, so
that only a few megabytes of them are in memory at a time. Computes in float32 and rounds once, to what is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myna.errors import ModelError
from myna.exporting.packing import PackedMatrix
from myna.models.adapters import AdapterSpec
from myna.models.files import ModelFiles
from myna.models.packed import unpacked_rows
from myna.models.quantization import Packing
from myna.models.tensors import FLOATING_TYPES, TensorSource, cast, read_chunks

CHUNK_BYTES = 1 << 22
"""Of the base tensor; in float32, with the product and the rounded copy, a chunk takes about six times as much."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """A base model with an adapter on it.

    tensors: the adapter's, as `read_adapter` gives them. dtype: safetensors name of the type that floating-point
    tensors are written in; None keeps each one's own. unpack: whether packed matrices become plain ones; else those
    that the adapter touches are packed again as they were, and the others copied.
    """

    files: ModelFiles
    spec: AdapterSpec
    tensors: Mapping[str, NDArray[np.float32]]
    dtype: str | None = None
    unpack: bool = False

    def sources(self, names: Iterable[str]) -> dict[str, TensorSource]:
        """Return what is written instead of these tensors of the base; a packed layer's parts come with its words."""
        made: dict[str, TensorSource] = {}
        for name in names:
            path, _, part = name.rpartition(".")
            packing = self.files.packing(path)
            if packing is None or part == "bias":
                made[name] = self.source(name)
            elif part == "weight" and self.unpack:
                made[name] = self._unpacked(path, packing, self.dtype)
            elif part == "weight" and path in self.spec.targets:
                plain = self._unpacked(path, packing, None)
                made |= PackedMatrix(path, plain.shape, plain.dtype, packing, plain.chunks).sources()
            elif part == "weight":
                made |= {each: self.source(each) for each in (name, f"{path}.scales", f"{path}.biases")}
        return made

    def _unpacked(self, path: str, packing: Packing, dtype: str | None) -> TensorSource:
        """Return the fused weights of a packed layer, rounded once: to `dtype`, or to the type of its scales."""
        name = f"{path}.weight"
        stored = dtype or self.files.tensors[f"{path}.scales"].dtype

        def chunks() -> Iterator[NDArray[Any]]:
            row = 0
            for base in unpacked_rows(path, self.files.tensors, packing):
                yield _rounded(name, self._fused(name, base, row), stored)
                row += len(base)

        return TensorSource(stored, self.files.shape(name), chunks)

    def source(self, name: str) -> TensorSource:
        """Return the fused tensor `name` of the base; one that the adapter does not touch is copied.

        Writing it raises `ModelError` when a fused weight is too large for the type.
        """
        info = self.files.tensors[name]
        dtype = self.dtype if self.dtype is not None and info.dtype in FLOATING_TYPES else info.dtype

        def chunks() -> Iterator[NDArray[Any]]:
            row = 0
            for base in read_chunks(info, chunk_bytes=CHUNK_BYTES):
                weight = self._fused(name, base, row)
                row += len(base) if base.ndim else 0
                yield base if weight is base and dtype == info.dtype else _rounded(name, weight, dtype)

        return TensorSource(dtype, info.shape, chunks)

    def _fused(self, name: str, base: NDArray[Any], row: int) -> NDArray[Any]:
        """Return what stands instead of `base`, which are rows `row …` of the tensor; `base` itself if untouched."""
        trained = self._trained(name)
        if trained is not None:
            return trained[row : row + len(base)] if base.ndim else trained
        path = name.removesuffix(".weight")
        if path == name or path not in self.spec.targets:
            return base
        rows = slice(row, row + len(base))
        up = self.tensors[f"{path}.lora_B.weight"][rows] * np.float32(self.spec.targets[path].scale)
        weight: NDArray[np.float32] = base.astype(np.float32)
        weight += up @ self.tensors[f"{path}.lora_A.weight"]
        if self.spec.kind == "dora":
            # arXiv 2402.09353, equation 5, by row: m · (W + ΔW) / ‖W + ΔW‖
            norms = np.linalg.norm(weight, axis=1)
            magnitudes = self.tensors[f"{path}.lora_magnitude_vector"][rows]
            # a row of zeros stays one, whatever its magnitude: it has no direction
            weight *= np.divide(magnitudes, norms, out=np.zeros_like(norms), where=norms > 0)[:, None]
        return weight

    def _trained(self, name: str) -> NDArray[np.float32] | None:
        """Return the tensor that full fine-tuning trained; a head that is a copy of the embedding follows it."""
        if self.spec.kind != "full":
            return None
        if name not in self.tensors and name == "lm_head.weight" and self.files.text_config.get("tie_word_embeddings"):
            name = "model.embed_tokens.weight"
        return self.tensors.get(name)


def _rounded(name: str, weight: NDArray[Any], dtype: str) -> NDArray[Any]:
    if not np.isfinite(weight).all():
        raise ModelError(
            f"{name}: the fused weights are infinite or not a number; look whether training diverged, and fuse an "
            "earlier checkpoint"
        )
    return cast(name, weight, dtype)
