"""Adapters on disk: finding out what a folder holds, reading it for a base model, and writing one.

In: the path of a run, a checkpoint, or an adapter folder of ours, of PEFT or of mlx-lm. Out: an `AdapterSpec` and
NumPy arrays under the base model's names, or a folder. Knows no tensor library; the formats have modules of their
own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myna.errors import AdapterError, ModelError
from myna.models import mlx_format, peft_format
from myna.models.files import ModelFiles, content_hash, expanded
from myna.models.json_files import read_json
from myna.models.origin import packing_note
from myna.models.spec import AdapterSpec, LoraTarget, initial_tensors, resolve, tensor_shapes
from myna.models.stored import StoredAdapter, fit, read_arrays
from myna.models.tensors import write_tensors
from myna.runs import restore

__all__ = [
    "AdapterSpec",
    "LoraTarget",
    "initial_tensors",
    "is_adapter",
    "model_note",
    "noted_day",
    "read_adapter",
    "read_note",
    "read_stored",
    "resolve",
    "tensor_shapes",
    "write_adapter",
    "write_mlx_adapter",
]

NOTE = "myna.json"
PROMPT = "prompt"
"""Key of what a note, and the `data.json` of the data, say of how prompts are made: handed on from data to adapter to
fused model, and read by who writes prompts."""
PROMPT_DATE = "prompt_date"
"""Key of the date that the chat template was told in training, `2026-01-31`; only of templates that print it."""
FULL_WEIGHTS = "weights.safetensors"
"""The trained tensors of a full fine-tuning, under the base model's names."""


def read_adapter(path: Path, files: ModelFiles) -> tuple[AdapterSpec, dict[str, NDArray[np.float32]]]:
    """Read the adapter at `path` for the base model `files`.

    path: a run folder, a checkpoint, an adapter folder of Myna, PEFT or mlx-lm, or the weights file in one. Raises
    `AdapterError` when there is none, when it was made for another base model (naming the layer and both shapes), or
    when it needs something that is not supported.
    """
    return fit(read_stored(path), files)


def is_adapter(path: Path) -> bool:
    """Tell whether something stands at `path` that `read_adapter` takes for an adapter: its folder, its file, a run."""
    if path.is_file():
        return path.suffix == ".npz" or (path.suffix == ".safetensors" and (path.parent / peft_format.CONFIG).is_file())
    names = (peft_format.CONFIG, FULL_WEIGHTS, mlx_format.WEIGHTS, mlx_format.OLD_WEIGHTS, "recipe.yaml")
    return any((path / name).is_file() for name in names) and not (path / "config.json").is_file()


def read_note(path: Path) -> dict[str, Any]:
    """Return what `write_adapter` noted in `myna.json`; empty for an adapter that other programs made."""
    note = _adapter_folder(path) / NOTE
    return read_json(note) if note.is_file() else {}


def model_note(files: ModelFiles) -> dict[str, Any]:
    """Return what is noted in `myna.json` of a model's own folder, empty where there is none: fusing writes one."""
    note = files.folder / NOTE
    return read_json(note) if note.is_file() else {}


def noted_day(note: Mapping[str, Any]) -> date | None:
    """Return the date that prompts were made with, None where none is noted. Raises `AdapterError` for what is none."""
    noted = note.get(PROMPT_DATE)
    if noted is None:
        return None
    try:
        return date.fromisoformat(noted)
    except (TypeError, ValueError) as error:
        raise AdapterError(
            f'"{PROMPT_DATE}" in {NOTE} is {noted!r:.60}, expected a date such as "2026-01-31"'
        ) from error


def read_stored(path: Path) -> StoredAdapter:
    """Read the adapter at `path` as its files have it, for no base yet; path and errors as for `read_adapter`."""
    try:
        return _read(path)
    except AdapterError:
        raise
    except ModelError as error:  # a damaged file
        raise AdapterError(str(error)) from error


def _read(path: Path) -> StoredAdapter:
    folder = _adapter_folder(path)
    if (folder / FULL_WEIGHTS).is_file():
        base = read_note(folder).get("base_model")
        arrays = read_arrays(folder / FULL_WEIGHTS)
        return StoredAdapter(folder, "myna", "full", arrays, {}, base=base if isinstance(base, str) else None)
    config_path = folder / peft_format.CONFIG
    config = read_json(config_path) if config_path.is_file() else None
    if config is not None and "peft_type" in config:
        return peft_format.read(folder, config)
    named = path if path.suffix in (".safetensors", ".npz") else None
    for file in (named, folder / mlx_format.WEIGHTS, folder / mlx_format.OLD_WEIGHTS):
        if file is not None and file.is_file():
            if config is None and file.suffix != ".npz":
                raise AdapterError(f"{file}: no {mlx_format.CONFIG} beside it, which says rank and scale")
            return mlx_format.read(file, config)
    raise AdapterError(
        f"{path}: no adapter; expected a run folder, a checkpoint, or a folder with {peft_format.CONFIG} and "
        f"{peft_format.WEIGHTS} or {mlx_format.WEIGHTS}"
    )


def _adapter_folder(path: Path) -> Path:
    """Return the folder that holds the adapter's files: `path` itself, its parent, or `adapter/` in it."""
    path = expanded(path)
    restore(path)
    if not path.exists():
        raise AdapterError(f"{path}: no such adapter folder")
    if path.is_file():
        return path.parent
    holds_one = any(
        (path / name).is_file()
        for name in (peft_format.CONFIG, FULL_WEIGHTS, mlx_format.WEIGHTS, mlx_format.OLD_WEIGHTS)
    )
    inside = path / "adapter"
    if not holds_one:
        restore(inside)
    if not holds_one and (path / "recipe.yaml").is_file() and not inside.is_dir():
        raise AdapterError(f"{path}: this run has no adapter/ yet; wait for its first save, or resume it")
    return inside if not holds_one and inside.is_dir() else path


def write_adapter(
    folder: Path,
    spec: AdapterSpec,
    tensors: Mapping[str, NDArray[np.float32]],
    *,
    files: ModelFiles,
    note: Mapping[str, Any],
) -> None:
    """Write an adapter: PEFT's layout, or `weights.safetensors` for full fine-tuning, and `myna.json`.

    folder: made when it is not there; for an atomic write give the folder of `runs.write_folder`. note: goes into
    `myna.json`, beside the adapter's kind and the base model's name and content hash. Raises `AdapterError` when
    `tensors` are not those that `spec` trains.
    """
    shapes = tensor_shapes(spec, files)
    for name in sorted(shapes.keys() | tensors.keys()):
        found = tensors[name].shape if name in tensors else None
        if found != shapes.get(name):
            raise AdapterError(f"{folder}: {name} has shape {found}, the adapter needs {shapes.get(name)}")
    folder.mkdir(parents=True, exist_ok=True)
    if spec.kind == "full":
        write_tensors(folder / FULL_WEIGHTS, tensors)
    else:
        peft_format.write(folder, spec, tensors, files)
    base = {"base_model": files.public_name, "base_hash": content_hash(files), **packing_note(files)}
    content = {"kind": spec.kind, **base, **note}
    (folder / NOTE).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_mlx_adapter(
    folder: Path, spec: AdapterSpec, tensors: Mapping[str, NDArray[np.float32]], *, files: ModelFiles
) -> None:
    """Write the adapter as mlx-lm's `load_adapters` reads it; `folder` is made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    mlx_format.write(folder, spec, tensors, files)
