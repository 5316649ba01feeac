"""Fusing: base model and adapter become one plain Hugging Face folder.

In: a model, an adapter, a place for the folder. Out: the folder, written tensor by tensor beside its place, compared
with base and adapter, and only then put there. Knows engines only through the comparison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from myna.errors import ModelError
from myna.exporting.agreement import Agreement, compare
from myna.exporting.arithmetic import Fusion
from myna.exporting.card import model_card
from myna.exporting.folders import check_output, copy_companions, write_json, write_shards
from myna.models.adapters import read_adapter, read_note
from myna.models.files import ModelFiles, content_hash, expanded, find
from myna.models.tensors import numpy_type
from myna.runs import write_folder

_DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}


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
    check_output(folder)
    with write_folder(folder.absolute()) as partial:
        _write_weights(partial, Fusion(files, spec, tensors, _DTYPES[dtype] if dtype else None))
        _write_config(partial, files, dtype)
        copy_companions(files.folder, partial)
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


def _write_weights(folder: Path, fusion: Fusion) -> None:
    """Write the weights in files divided as the base's are."""
    write_shards(folder, [{name: fusion.source(name) for name in names} for names in fusion.files.shards.values()])


def _write_config(folder: Path, files: ModelFiles, dtype: str | None) -> None:
    config = dict(files.config)
    if dtype is not None:
        config.pop("torch_dtype", None)  # its name until transformers 4.56
        config["dtype"] = dtype
        if isinstance(config.get("text_config"), Mapping):
            config["text_config"] = {**config["text_config"], "dtype": dtype}
    write_json(folder / "config.json", config)


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
