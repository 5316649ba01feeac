"""Adapters of mlx-lm: `adapters.safetensors` with `adapter_config.json`, and the older `adapters.npz`.

In: a folder, or an `AdapterSpec` with its arrays. Out: a `StoredAdapter`, or that folder. MLX keeps the factors
transposed: `lora_a` `[in, rank]`, `lora_b` `[rank, out]`, and DoRA's magnitudes as `m` `[out]`.
Layout: https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/LORA.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from myna.errors import AdapterError
from myna.models import settings
from myna.models.files import ModelFiles
from myna.models.layers import layer_count, layer_index, path_in_layer
from myna.models.npz import read_npz
from myna.models.spec import MOST_SCALE, AdapterSpec, LoraTarget
from myna.models.stored import StoredAdapter, read_arrays
from myna.models.tensors import write_tensors

CONFIG = "adapter_config.json"
WEIGHTS = "adapters.safetensors"
OLD_WEIGHTS = "adapters.npz"

UNSCALED = "unscaled.safetensors"
"""Factors B from before another layer's scale went into them. mlx-lm does not read it."""

_LEVELLED = "ranks_and_scales"
"""What `adapter_config.json` has besides what mlx-lm reads: rank and scale of layers that had others of their own."""

_OLD_SCALE = 20.0
"""What the program that wrote `adapters.npz` multiplied by; the file does not say it. Its first versions took 2: put
`{"lora_parameters": {"scale": 2}}` as `adapter_config.json` beside a file of theirs."""

_PARTS = {"lora_a": "lora_A.weight", "lora_b": "lora_B.weight", "m": "lora_magnitude_vector"}


def read(file: Path, config: Mapping[str, Any] | None) -> StoredAdapter:
    """Read `file`, an `adapters.safetensors` or `adapters.npz`, with the `adapter_config.json` beside it.

    config: None only for an `adapters.npz` that stands alone; its scale is then taken to be 20. Raises
    `AdapterError`.
    """
    arrays = read_npz(file) if file.suffix == ".npz" else read_arrays(file)
    if not arrays:
        raise AdapterError(f"{file}: holds no tensors")
    config = config or {}
    layout: Literal["mlx", "npz"] = "npz" if file.suffix == ".npz" else "mlx"
    said = file.parent / CONFIG
    kind: Literal["lora", "dora", "full"] = config.get("fine_tune_type", "lora")
    if kind not in ("lora", "dora", "full"):
        raise AdapterError(f"{said}: fine_tune_type is {kind!r}; expected lora, dora or full")
    base = None if config.get("model") is None else settings.text(said, "model", config["model"])
    if kind == "full":
        return StoredAdapter(file, layout, kind, arrays, {}, base=base)
    parameters = settings.mapping(said, "lora_parameters", config.get("lora_parameters") or {})
    given = parameters.get("scale", _OLD_SCALE if file.suffix == ".npz" else None)
    scale = settings.number(said, "lora_parameters.scale", given, least=-MOST_SCALE, most=MOST_SCALE)
    dropout = settings.dropout(said, "lora_parameters.dropout", parameters.get("dropout"))
    tensors: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        path, _, part = name.rpartition(".")
        if part not in _PARTS or (part == "m" and kind != "dora"):
            raise AdapterError(f"{file}: holds {name}, which does not belong to an adapter of type {kind}")
        tensors[f"{path}.{_PARTS[part]}"] = array.T
    paths = {name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight")}
    scales = dict.fromkeys(sorted(paths), scale)
    _undo_levelling(file, config, tensors, scales)
    return StoredAdapter(file, layout, kind, tensors, scales, dropout=dropout, base=base)


def write(folder: Path, spec: AdapterSpec, tensors: Mapping[str, NDArray[np.float32]], files: ModelFiles) -> None:
    """Write `adapters.safetensors` and `adapter_config.json` into an existing folder.

    mlx-lm knows one rank and one scale: lower ranks are filled up with zeros, and other scales go into B, which
    computes the same. What a layer had before is noted beside what mlx-lm reads, so that `read` gives it back exactly.
    """
    config: dict[str, Any] = {"fine_tune_type": spec.kind, "model": files.public_name}
    if spec.kind == "full":
        config["num_layers"] = -1
        arrays: dict[str, NDArray[np.float32]] = dict(tensors)
    else:
        rank = max(target.rank for target in spec.targets.values())
        scale = max((target.scale for target in spec.targets.values()), key=abs)
        config["num_layers"] = layer_count(files) - min(layer_index(path) or 0 for path in spec.targets)
        config["lora_parameters"] = {
            "rank": rank,
            "scale": scale,
            "dropout": spec.dropout,
            "keys": sorted({path_in_layer(path) for path in spec.targets}),
        }
        own = {path: target for path, target in spec.targets.items() if (target.rank, target.scale) != (rank, scale)}
        if own:
            config[_LEVELLED] = {path: {"rank": target.rank, "scale": target.scale} for path, target in own.items()}
        arrays = _levelled(spec, tensors, rank, scale)
        unscaled = _unscaled(own, tensors, scale)
        if unscaled:
            write_tensors(folder / UNSCALED, unscaled, metadata={"format": "mlx"})
    (folder / CONFIG).write_text(
        json.dumps(config, indent=4, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    write_tensors(folder / WEIGHTS, arrays, metadata={"format": "mlx"})


def _levelled(
    spec: AdapterSpec, tensors: Mapping[str, NDArray[np.float32]], rank: int, scale: float
) -> dict[str, NDArray[np.float32]]:
    """Return the arrays as mlx-lm keeps them, every layer's of this rank and scale."""
    arrays: dict[str, NDArray[np.float32]] = {}
    for path, target in spec.targets.items():
        extra = rank - target.rank
        down, up = tensors[f"{path}.lora_A.weight"], tensors[f"{path}.lora_B.weight"] * _factor(target.scale, scale)
        arrays[f"{path}.lora_a"] = np.pad(down, ((0, extra), (0, 0))).T
        arrays[f"{path}.lora_b"] = np.pad(up, ((0, 0), (0, extra))).T
        if spec.kind == "dora":
            arrays[f"{path}.m"] = tensors[f"{path}.lora_magnitude_vector"]
    return arrays


def _unscaled(
    own: Mapping[str, LoraTarget], tensors: Mapping[str, NDArray[np.float32]], scale: float
) -> dict[str, NDArray[np.float32]]:
    """Return the factors B that dividing again would not give back to the last bit, as mlx-lm keeps them."""
    kept: dict[str, NDArray[np.float32]] = {}
    for path, target in own.items():
        up, factor = tensors[f"{path}.lora_B.weight"], _factor(target.scale, scale)
        if not np.array_equal(_divided(up * factor, factor), up):
            kept[f"{path}.lora_b"] = up.T
    return kept


def _undo_levelling(
    file: Path, config: Mapping[str, Any], tensors: dict[str, NDArray[Any]], scales: dict[str, float]
) -> None:
    """Give layers back the rank and the scale that they had before `write`, unless they were trained since."""
    noted = config.get(_LEVELLED)
    if not isinstance(noted, Mapping):
        return
    kept = read_arrays(file.parent / UNSCALED) if (file.parent / UNSCALED).is_file() else {}
    for path, own in noted.items():
        rank, scale = (own.get("rank"), own.get("scale")) if isinstance(own, Mapping) else (None, None)
        down, up = tensors.get(f"{path}.lora_A.weight"), tensors.get(f"{path}.lora_B.weight")
        if down is None or up is None or not isinstance(rank, int) or not isinstance(scale, int | float):
            continue
        if rank < 1 or not -MOST_SCALE <= scale <= MOST_SCALE or down.ndim != 2 or up.ndim != 2:
            continue
        if not (down[rank:].any() or up[:, rank:].any()):
            down, up = down[:rank], up[:, :rank]
        factor = _factor(scale, scales[path])
        before = kept[f"{path}.lora_b"].T if f"{path}.lora_b" in kept else _divided(up, factor)
        if before.shape == up.shape and np.array_equal(before * factor, up):
            up, scales[path] = before, float(scale)
        tensors[f"{path}.lora_A.weight"], tensors[f"{path}.lora_B.weight"] = down, up


def _factor(scale: float, common: float) -> np.float32:
    """What B is multiplied by, where `common` is the scale that mlx-lm multiplies by afterwards."""
    return np.float32(scale / common) if common else np.float32(1)


def _divided(up: NDArray[Any], factor: np.float32) -> NDArray[Any]:
    return up / factor if factor else up
