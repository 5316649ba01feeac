"""Quantising: a model's matrices packed in MLX's format, as a folder that mlx-lm and Myna load.

In: a plain model, bits and group size. Out: the folder, written a few megabytes at a time. Linear layers of the
decoder, embedding and head are packed, as mlx-lm packs them; vectors, and what is asked to be kept, stay as they are.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from myna.errors import ModelError, did_you_mean
from myna.exporting.folders import check_output, copy_companions, write_json, write_shards
from myna.exporting.packing import PackedMatrix
from myna.models.files import ModelFiles, expanded, find
from myna.models.layers import linear_layers, path_in_layer
from myna.models.mlx_config import for_mlx_lm
from myna.models.packed import ENTRIES
from myna.models.quantization import BITS, GROUP_SIZES, Packing
from myna.models.tensors import DTYPES, FLOATING_TYPES, TensorInfo, TensorSource, cast, read_chunks
from myna.runs import write_folder

_CHUNK_BYTES = 1 << 20
"""Of a stored matrix; packing takes some ten times as much beside it, and is fastest in a core's cache."""


@dataclass(frozen=True, slots=True)
class QuantizeResult:
    """What was written.

    layers: how many were packed. kept: the paths of those that were not. bits_per_weight: over all numbers of the
    model, scales and biases included. bytes: size of the weights.
    """

    folder: Path
    layers: int
    kept: tuple[str, ...]
    bits_per_weight: float
    bytes: int


def quantize_model(
    source: str,
    out: str | Path,
    *,
    bits: int = 4,
    group_size: int = 64,
    keep: Sequence[str] = (),
    overrides: Mapping[str, int | Packing] | None = None,
    dtype: Literal["float32", "float16", "bfloat16"] | None = None,
) -> QuantizeResult:
    """Write the model `source` with packed matrices into the new folder `out`, with tokenizer, templates and licence.

    The packed words are byte-equal to those of `mlx.core.quantize`. Memory: some megabytes, and the scales of a shard.

    source: folder or hub id of a plain model. bits: 2, 3, 4, 5, 6 or 8; group_size: 32, 64 or 128. keep: layers that
    stay as they are, by path (`model.layers.0.mlp.down_proj`), by the end of it (`down_proj`, `lm_head`) or by the
    beginning (`model.layers.0`). overrides: other bits for such layers, or another `Packing`; the last that fits
    counts. dtype: of what is not packed, and of scales; None keeps the model's.
    Raises `ModelError` for settings out of range, a name that fits no layer, a layer whose rows the group size does not
    divide, numbers that are not finite, a model that is quantised already, or an output that exists; `ResourceError`
    when the disk is too small.
    """
    usual = _checked(Packing(bits, group_size), "quantize")
    special = {
        key: _checked(Packing(value, group_size) if isinstance(value, int) else value, f"overrides: {key}")
        for key, value in (overrides or {}).items()
    }
    files = find(source, supported=False)
    if files.quantisation is not None:
        raise ModelError(
            f"{source}: is quantised already; quantising again adds up the errors of both, "
            "give the model in 16 or 32 bits that it was made from"
        )
    folder = expanded(out)
    check_output(folder)
    plan = _plan(files, usual, keep, special)
    shards = [_sources(files, shard, plan, dtype) for shard in files.shards.values()]
    with write_folder(folder.absolute()) as partial_folder:
        write_shards(partial_folder, shards, metadata={"format": "mlx"})
        write_json(partial_folder / "config.json", _config(files, usual, plan, dtype))
        copy_companions(files.folder, partial_folder)
    size = sum(made.bytes for shard in shards for made in shard.values())
    return QuantizeResult(
        folder,
        layers=sum(packing is not None for packing in plan.values()),
        kept=tuple(path for path, packing in plan.items() if packing is None),
        bits_per_weight=8 * size / sum(files.tensors[name].size for name in _names(files)),
        bytes=size,
    )


def _checked(packing: Packing, where: str) -> Packing:
    for name, value, known in (("bits", packing.bits, BITS), ("group size", packing.group_size, GROUP_SIZES)):
        if value not in known:
            raise ModelError(f"{where}: {name} {value}; expected {', '.join(map(str, known[:-1]))} or {known[-1]}")
    return packing


def _names(files: ModelFiles) -> list[str]:
    """Return the tensors that are written: all but a head that is a copy of the embedding, which mlx-lm has no place
    for."""
    tied = files.text_config.get("tie_word_embeddings") is True
    return [name for name in files.tensors if not (tied and name == "lm_head.weight")]


def _plan(
    files: ModelFiles, usual: Packing, keep: Sequence[str], special: Mapping[str, Packing]
) -> dict[str, Packing | None]:
    """Return how each matrix is packed, by path; None for one that is kept."""
    inside = linear_layers(files)
    paths = [
        path
        for path, name in ((name.removesuffix(".weight"), name) for name in _names(files))
        if path in inside
        or (path != name and path.rpartition(".")[2] in ("embed_tokens", "lm_head") and len(files.shape(name)) == 2)
    ]
    for key in (*keep, *special):
        if not any(_fits(path, key) for path in paths):
            known = sorted({path_in_layer(path) for path in paths})
            nearest = did_you_mean(key, [*known, *(name.rpartition(".")[2] for name in known)])
            raise ModelError(
                f"{files.public_name} has no layer {key!r} that could be packed{nearest}; it has {', '.join(known)}"
            )
    plan: dict[str, Packing | None] = {}
    for path in paths:
        packing = next((special[key] for key in reversed([*special]) if _fits(path, key)), usual)
        plan[path] = None if any(_fits(path, key) for key in keep) else packing
        inputs = files.shape(f"{path}.weight")[1]
        if plan[path] is not None and inputs % packing.group_size:
            raise ModelError(_does_not_divide(files, path, inputs, packing))
    return plan


def _fits(path: str, key: str) -> bool:
    return path == key or path.endswith(f".{key}") or path.startswith(f"{key}.")


def _does_not_divide(files: ModelFiles, path: str, inputs: int, packing: Packing) -> str:
    name = path_in_layer(path)
    possible = [size for size in GROUP_SIZES if inputs % size == 0]
    advice = (
        f"--group-size {possible[-1]}, or --override {shlex.quote(name)}={packing.bits}x{possible[-1]} for it alone"
        if possible
        else f"no group size does; leave it as it is: --keep {shlex.quote(name)}"
    )
    return (
        f"{files.public_name}: the rows of {path} have {inputs} weights, which groups of {packing.group_size} do not "
        f"divide; {advice}"
    )


def _sources(
    files: ModelFiles, shard: Mapping[str, TensorInfo], plan: Mapping[str, Packing | None], dtype: str | None
) -> dict[str, TensorSource]:
    """Return all that is written of one shard, under the names that it is written under."""
    written = set(_names(files))
    sources: dict[str, TensorSource] = {}
    for name, info in shard.items():
        if name not in written:
            continue
        stored = info.dtype if dtype is None or info.dtype not in FLOATING_TYPES else DTYPES[dtype]
        path = name.removesuffix(".weight")
        packing = plan.get(path)
        if packing is None:
            sources[name] = TensorSource(stored, info.shape, partial(_chunks, name, info, stored))
        else:
            stored = "F32" if stored == "F64" else stored  # MLX has no wider type
            rows = partial(_chunks, name, info, stored)
            sources |= PackedMatrix(path, info.shape, stored, packing, rows).sources()
    return sources


def _chunks(name: str, info: TensorInfo, dtype: str) -> Iterator[NDArray[Any]]:
    for chunk in read_chunks(info, chunk_bytes=_CHUNK_BYTES):
        if info.dtype in FLOATING_TYPES and not np.isfinite(chunk).all():
            raise ModelError(
                f"{info.file}: {name} holds numbers that are not finite; the model is damaged, copy or download it anew"
            )
        yield cast(name, chunk, dtype)


def _config(files: ModelFiles, usual: Packing, plan: Mapping[str, Packing | None], dtype: str | None) -> dict[str, Any]:
    """Return `config.json` with the entry that mlx-lm writes, under both names that programs look for."""
    entry: dict[str, Any] = _entry(usual)
    entry |= {path: _entry(packing) for path, packing in plan.items() if packing not in (None, usual)}
    said = files.text_config.get("tie_word_embeddings")
    tied = said if isinstance(said, bool) else "lm_head.weight" not in files.tensors
    config = {**for_mlx_lm(files.config, tied=tied), **dict.fromkeys(ENTRIES, entry)}
    if dtype is not None:
        config.pop("torch_dtype", None)  # its name until transformers 4.56
        config["dtype"] = dtype
    return config


def _entry(packing: Packing | None) -> dict[str, Any]:
    assert packing is not None
    return {"group_size": packing.group_size, "bits": packing.bits, "mode": "affine"}
