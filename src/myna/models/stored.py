"""An adapter as some format stores it, before it has met its base model, and fitting it to that base.

In: arrays under the paths that the file uses. Out: an `AdapterSpec` and arrays under the base model's names, every
shape checked. Knows neither the formats nor where files lie.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np
import psutil
from numpy.typing import NDArray

from myna.errors import AdapterError, ResourceError
from myna.models.files import ModelFiles
from myna.models.layers import layer_index, linear_layers, path_in_layer
from myna.models.spec import MOST_SCALE, AdapterSpec, LoraTarget, tensor_shapes
from myna.models.tensors import FLOATING_TYPES, read_header, read_tensor


@dataclass(frozen=True, slots=True)
class StoredAdapter:
    """What an adapter's files say.

    path: the folder, for messages. layout: whose files they are. tensors: named as `AdapterSpec` names them, but under
    the file's own paths. scales: the factor of each adapted layer, by path; empty for kind `full`. base: the model that
    it says it was made for, None when it says nothing.
    """

    path: Path
    layout: Literal["myna", "peft", "mlx", "npz"]
    kind: Literal["lora", "dora", "full"]
    tensors: Mapping[str, NDArray[Any]]
    scales: Mapping[str, float]
    dropout: float = 0.0
    base: str | None = None


def read_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a safetensors file of an adapter or of trained weights.

    Raises `AdapterError` for numbers that are no weights, `ModelError` for a damaged file, and `ResourceError`, before
    the first number is read, when they do not fit into memory.
    """
    infos = read_header(file)
    for name, info in infos.items():
        if info.dtype not in FLOATING_TYPES:
            raise AdapterError(f"{file}: {name} holds numbers of type {info.dtype}; expected floating-point weights")
    size, free = sum(info.bytes for info in infos.values()), psutil.virtual_memory().available
    if size > free:
        raise ResourceError(f"{file}: needs {size / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free")
    return {name: read_tensor(info) for name, info in infos.items()}


def fit(stored: StoredAdapter, files: ModelFiles) -> tuple[AdapterSpec, dict[str, NDArray[np.float32]]]:
    """Return the adapter under the base model's names, float32.

    Raises `AdapterError` naming the first layer that the base lacks, or whose shape differs, with both shapes.
    """
    if stored.kind == "full":
        spec = AdapterSpec("full", {}, tuple(sorted(stored.tensors)))
        tensors = {name: as_float32(array) for name, array in stored.tensors.items()}
    else:
        spec, tensors = _fit_low_rank(stored, files)
    try:
        shapes = tensor_shapes(spec, files)
    except AdapterError as error:
        raise AdapterError(f"{stored.path}: made for another base model: {error}{_made_for(stored)}") from error
    for name, array in tensors.items():
        if array.shape != shapes[name]:
            raise AdapterError(
                f"{stored.path}: made for another base model: {name} is {_text(array.shape)}, but "
                f"{files.public_name} needs {_text(shapes[name])}{_made_for(stored)}"
            )
    return spec, tensors


def _fit_low_rank(stored: StoredAdapter, files: ModelFiles) -> tuple[AdapterSpec, dict[str, NDArray[np.float32]]]:
    linear = linear_layers(files)
    targets: dict[str, LoraTarget] = {}
    tensors: dict[str, NDArray[np.float32]] = {}
    left = set(stored.tensors)
    for path, scale in stored.scales.items():
        if not -MOST_SCALE <= scale <= MOST_SCALE:  # so that NaN is no scale either
            raise AdapterError(f"{stored.path}: the scale of {path} is {scale:g}; expected one between ±{MOST_SCALE:g}")
        own = path if path in linear else _path_in_base(path, linear, stored, files)
        for part in _parts(stored.kind):
            if f"{own}.{part}" in tensors:
                raise AdapterError(f"{stored.path}: adapts {own} twice, under two names; copy the adapter again")
            tensors[f"{own}.{part}"] = as_float32(_tensor(stored, f"{path}.{part}"))
            left.remove(f"{path}.{part}")
        targets[own] = LoraTarget(len(tensors[f"{own}.lora_A.weight"]), scale)
    if left:
        raise AdapterError(f"{stored.path}: {min(left)} has no counterpart; the adapter is incomplete, copy it again")
    return AdapterSpec(stored.kind, targets, dropout=stored.dropout), tensors


def _parts(kind: str) -> tuple[str, ...]:
    low_rank = ("lora_A.weight", "lora_B.weight")
    return (*low_rank, "lora_magnitude_vector") if kind == "dora" else low_rank


def _tensor(stored: StoredAdapter, name: str) -> NDArray[Any]:
    if name not in stored.tensors:
        raise AdapterError(f"{stored.path}: {name} is missing; the adapter is incomplete, copy it again")
    array = stored.tensors[name]
    if array.ndim != (1 if name.endswith("_vector") else 2) or not array.size:
        raise AdapterError(f"{stored.path}: {name} has the shape {_text(array.shape)}, which no linear layer has")
    return array


def _path_in_base(path: str, linear: Collection[str], stored: StoredAdapter, files: ModelFiles) -> str:
    """Return the base's name of a layer that has another name in the adapter. Prefixes differ between formats and
    versions of a library (`language_model.model.layers.3.`, `model.language_model.layers.3.`); the rest does not."""
    index = layer_index(path)
    if index is None:
        raise AdapterError(
            f"{stored.path}: adapts {path}, which is not supported; only linear layers in decoder layers are "
            "(no embeddings, no head); train it without that module"
        )
    same = [own for own in linear if (layer_index(own), path_in_layer(own)) == (index, path_in_layer(path))]
    if len(same) != 1:
        raise AdapterError(
            f"{stored.path}: made for another base model: it adapts {path}, which {files.public_name} "
            f"does not have{_made_for(stored)}"
        )
    return same[0]


def _made_for(stored: StoredAdapter) -> str:
    return f"; the adapter says it was made for {stored.base}" if stored.base else ""


def _text(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "a single number"


def as_float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return the array as float32, exactly (float64 is rounded)."""
    if array.dtype.kind == "V" and array.dtype.itemsize == 2:  # how NumPy reads bfloat16 from an .npz
        array = array.view(ml_dtypes.bfloat16)
    return np.ascontiguousarray(array, np.float32)
