"""What a run was made with: versions, device, hashes of data, prompt and base model; and what has changed
since.

In: the parts of a run. Out: plain data for `environment.json`. Imports no tensor library: versions are read
from the installed packages' metadata.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from myna import __version__
from myna.data.folder import DataFolder
from myna.engines.base import Engine
from myna.models.adapters import PROMPT_DATE
from myna.models.files import ModelFiles, content_hash
from myna.prompts.builder import PromptBuilder

_LIBRARIES = ("numpy", "safetensors", "tokenizers", "transformers", "torch", "mlx", "mlx-lm")

_MUST_AGREE = {
    "train": "the training data",
    "valid": "the validation data",
    "base_model": "the base model",
    "prompt": "the tokenizer, its chat template or the date that it prints",
}


def describe(
    engine: Engine, device: str, files: ModelFiles, builder: PromptBuilder, folder: DataFolder
) -> dict[str, Any]:
    """Return what `environment.json` holds; `device` as the recipe names it."""
    return {
        "myna": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name))},
        "engine": engine.name,
        "device": asdict(engine.device(device)),
        **({PROMPT_DATE: builder.day.isoformat()} if builder.day is not None else {}),
        "hashes": {
            "train": folder.train.content_hash,
            "valid": folder.valid.content_hash if folder.valid is not None else None,
            "base_model": content_hash(files),
            "prompt": builder.content_hash,
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def changed_inputs(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name what a run can't be resumed without: data, base model or prompt that are not the same any more."""
    return [what for key, what in _MUST_AGREE.items() if before["hashes"].get(key) != now["hashes"].get(key)]


def changed_machine(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name what may change the last bits of the result: device, threads, versions of libraries."""
    changes = []
    for name in sorted(before["libraries"].keys() | now["libraries"].keys()):
        old, new = before["libraries"].get(name), now["libraries"].get(name)
        if old != new:
            changes.append(f"{name} {old or 'absent'} → {new or 'absent'}")
    if (old := _in_words(before["device"])) != (new := _in_words(now["device"])):
        changes.append(f"{old} → {new}")
    return changes


def _in_words(device: Mapping[str, Any]) -> str:
    return ", ".join([device["name"], device["dtype"], *device["notes"]])
