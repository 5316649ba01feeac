"""Fusing: base model and adapter become one plain Hugging Face folder.

In: a model, an adapter, a place for the folder. Out: the folder, written tensor by tensor beside its place, compared
with base and adapter, and only then put there. Knows engines only through the comparison.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from myna.errors import ModelError, ResourceError
from myna.exporting.agreement import Agreement, compare
from myna.exporting.arithmetic import Fusion
from myna.exporting.card import model_card
from myna.models.adapters import read_adapter, read_note
from myna.models.files import INDEX, ModelFiles, content_hash, expanded, find
from myna.models.tensors import numpy_type, write_tensors
from myna.runs import write_folder

_DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_COPIED = (
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "chat_template*",
    "*.jinja",
    "additional_chat_templates/*.jinja",
    "*processor_config.json",
    "LICENSE*",
    "LICENCE*",
    "NOTICE*",
    "*POLICY*",
)


@dataclass(frozen=True, slots=True)
class FuseResult:
    """What was written.

    tensors: how many differ from the base. bytes: size of the weights. dtype: of most of them, such as `bfloat16`.
    agreement: with base and adapter, None when it was not asked for. notices: for a person.
    """

    folder: Path
    tensors: int
    bytes: int
    dtype: str
    agreement: Agreement | None
    notices: tuple[str, ...]


def fuse(
    model: str,
    adapter_path: str | Path,
    output: str | Path,
    *,
    dtype: Literal["float32", "float16", "bfloat16"] | None = None,
    check: bool = True,
) -> FuseResult:
    """Write base and adapter as one Hugging Face folder, with tokenizer, templates, licence and a model card.

    Every weight is computed in float32 and rounded once; the files are divided as the base's are. Memory: the adapter
    and a few megabytes; for the check, one loaded model at a time.

    model: folder or hub id of the base. adapter_path: as for `read_adapter`. output: a new or empty folder. dtype: of
    the floating-point weights; None keeps the base's. check: compare the result's logits with base and adapter.
    Raises `ModelError` when the output exists, when weights do not fit the dtype or when the logits differ beyond the
    tolerance, `AdapterError` for an adapter that does not fit, and `ResourceError` when the disk is too small.
    """
    files = find(model)
    path, folder = Path(adapter_path), expanded(output)
    spec, tensors = read_adapter(path, files)
    note = read_note(path)
    _check_output(folder)
    with write_folder(folder.absolute()) as partial:
        _write_weights(partial, Fusion(files, spec, tensors, _DTYPES[dtype] if dtype else None))
        _write_config(partial, files, dtype)
        _copy_companions(files.folder, partial)
        fused = find(str(partial))
        stored = _usual_dtype(fused)
        card = model_card(folder.name, files, spec, note, stored)
        (partial / "README.md").write_text(card, encoding="utf-8")
        agreement = compare(files, spec, tensors, fused, stored=stored) if check else None
        if agreement is not None:
            _require_agreement(folder, agreement)
    return FuseResult(
        folder,
        tensors=len(spec.targets) + len(spec.weights),
        bytes=sum(info.bytes for info in fused.tensors.values()),
        dtype=stored,
        agreement=agreement,
        notices=_notices(files, note, agreement, stored),
    )


def _check_output(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder}: exists already; give the name of a new folder")
    place = next(parent for parent in folder.absolute().parents if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise ModelError(f"{folder}: {place} is not a folder that you may write to; choose another output")


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ResourceError(
            f"{folder.parent}: the fused model needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
            "make room or choose another disk"
        )


def _write_weights(folder: Path, fusion: Fusion) -> None:
    """Write the weights in files divided as the base's are, with a fresh index when there are several."""
    shards = {file.name: {name: fusion.source(name) for name in names} for file, names in fusion.files.shards.items()}
    size = sum(source.bytes for sources in shards.values() for source in sources.values())
    _check_room(folder, size)
    if len(shards) == 1:
        write_tensors(folder / "model.safetensors", *shards.values())
        return
    for name, sources in shards.items():
        write_tensors(folder / name, sources)
    weight_map = {tensor: name for name, sources in shards.items() for tensor in sources}
    _write_json(folder / INDEX, {"metadata": {"total_size": size}, "weight_map": dict(sorted(weight_map.items()))})


def _write_config(folder: Path, files: ModelFiles, dtype: str | None) -> None:
    config = dict(files.config)
    if dtype is not None:
        config.pop("torch_dtype", None)  # its name until transformers 4.56
        config["dtype"] = dtype
        if isinstance(config.get("text_config"), Mapping):
            config["text_config"] = {**config["text_config"], "dtype": dtype}
    _write_json(folder / "config.json", config)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _copy_companions(source: Path, folder: Path) -> None:
    """Copy what belongs to the model besides weights and configuration."""
    for pattern in _COPIED:
        for path in source.glob(pattern):
            if path.is_file():
                target = folder / path.relative_to(source)
                target.parent.mkdir(exist_ok=True)
                shutil.copyfile(path, target)


def _usual_dtype(files: ModelFiles) -> str:
    """Return the type of most weights under its long name."""
    counts: Counter[str] = Counter()
    for info in files.tensors.values():
        counts[info.dtype] += info.size
    return numpy_type(counts.most_common(1)[0][0]).name


def _require_agreement(folder: Path, agreement: Agreement) -> None:
    if not agreement.difference <= agreement.tolerance:  # so that NaN fails too
        raise ModelError(
            f"{folder}: not written, because the fused model's logits differ from base and adapter by "
            f"{agreement.difference:.2g} of the largest, more than {agreement.tolerance:.2g}; "
            "fuse with dtype float32, and report this if it stays"
        )


def _notices(files: ModelFiles, note: Mapping[str, Any], agreement: Agreement | None, dtype: str) -> tuple[str, ...]:
    notices = []
    if note.get("base_hash") not in (None, content_hash(files)):
        notices.append(
            f"the adapter was trained on {note.get('base_model', 'a model')} with other weights or settings "
            f"than {files.public_name} has"
        )
    if agreement is not None and agreement.effect is not None and agreement.difference > agreement.effect / 2:
        notices.append(
            f"rounding to {dtype} changes the logits about as much as the adapter does "
            f"({agreement.difference:.2g} and {agreement.effect:.2g}); "
            "fuse with dtype float32 to keep what was learnt"
        )
    return tuple(notices)
