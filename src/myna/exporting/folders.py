"""The folder of a model that is being written: its place, room on the disk, weights in shards, and what goes with them.

In: a place, tensors that are made while they are written. Out: files in that folder. Knows neither what is in the
tensors nor why the folder is written.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from myna.errors import ModelError, ResourceError
from myna.models.adapters import NOTE
from myna.models.files import INDEX
from myna.models.tensors import TensorSource, write_tensors

_COMPANIONS = (
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "chat_template*",
    NOTE,
    "*.jinja",
    "additional_chat_templates/*.jinja",
    "*processor_config.json",
    "LICENSE*",
    "LICENCE*",
    "NOTICE*",
    "*POLICY*",
)


def check_output(folder: Path) -> None:
    """Raise `ModelError` unless `folder` is new or empty and stands where one may write."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder}: exists already; give the name of a new folder")
    place = next(parent for parent in folder.absolute().parents if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise ModelError(f"{folder}: {place} is not a folder that you may write to; choose another output")


def check_room(folder: Path, needed: int) -> None:
    """Raise `ResourceError` when `needed` bytes do not fit on the disk of the existing `folder`."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ResourceError(
            f"{folder.name}: the model needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
            "make room or choose another disk"
        )


def write_shards(
    folder: Path, shards: Sequence[Mapping[str, TensorSource]], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write the weights, each of `shards` as one file, with an index when there are several.

    metadata: of each file, as for `write_tensors`. Raises `ResourceError` before the first byte when they do not fit.
    """
    size = sum(source.bytes for sources in shards for source in sources.values())
    check_room(folder, size)
    if len(shards) == 1:
        write_tensors(folder / "model.safetensors", shards[0], metadata=metadata)
        return
    weight_map: dict[str, str] = {}
    for number, sources in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_tensors(folder / name, sources, metadata=metadata)
        weight_map |= dict.fromkeys(sources, name)
    write_json(folder / INDEX, {"metadata": {"total_size": size}, "weight_map": dict(sorted(weight_map.items()))})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as people read it."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def copy_companions(source: Path, folder: Path) -> None:
    """Copy what belongs to a model besides weights and configuration: tokenizer, templates, licence, note."""
    for pattern in _COMPANIONS:
        for path in source.glob(pattern):
            if path.is_file():
                target = folder / path.relative_to(source)
                target.parent.mkdir(exist_ok=True)
                shutil.copyfile(path, target)
