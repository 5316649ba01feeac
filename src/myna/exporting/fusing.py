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
from myna.exporting.loss_change import LARGEST_RISE, LossChange, measure, test_set_of
from myna.models.adapters import NOTE, PROMPT, PROMPT_DATE, model_note, read_adapter, read_note
from myna.models.files import ModelFiles, expanded, find
from myna.models.origin import other_base
from myna.models.packed import ENTRIES as PACKING_ENTRIES
from myna.models.tensors import DTYPES, numpy_type
from myna.runs import write_folder


@dataclass(frozen=True, slots=True)
class FuseResult:
    """What was written.

    tensors: how many differ from the base. bytes: size of the weights. dtype: of most of them, such as `bfloat16`.
    agreement: with base and adapter, None when it was not asked for or weights were packed again. loss: what packing
    again cost, None without a test set. notices: for a person.
    """

    folder: Path
    tensors: int
    bytes: int
    dtype: str
    agreement: Agreement | None
    loss: LossChange | None
    notices: tuple[str, ...]


def fuse(
    model: str,
    adapter_path: str | Path,
    output: str | Path,
    *,
    dtype: Literal["float32", "float16", "bfloat16"] | None = None,
    dequantize: bool = False,
    data: str | Path | None = None,
    check: bool = True,
    engine: Literal["auto", "torch", "mlx"] = "auto",
    device: str = "auto",
) -> FuseResult:
    """Write base and adapter as one model folder, with tokenizer, templates, licence and a model card.

    Every weight is computed in float32 and rounded once; the files are divided as the base's are. Memory: the adapter
    and a few megabytes; for the check, one loaded model at a time. On a quantised base the adapted layers are packed
    again as they were, which can cost some of what was learnt; the check says how much.

    model: folder or hub id of the base. adapter_path: as for `read_adapter`. output: a new or empty folder. dtype: of
    the floating-point weights; None keeps the base's (of a quantised one: of its scales). dequantize: write a quantised
    base's weights unpacked. data: folder with the test set that shows what packing again costs; None takes the data of
    the adapter's run. check: compare the result with base and adapter, by logits or, packed again, by that loss.
    engine, device: what checks, as for `load`; fusing itself takes neither. Raises `ModelError` when the output exists,
    when weights do not fit the dtype, when the logits differ beyond the tolerance or when settings don't fit the base,
    `AdapterError` for an adapter that does not fit, and `ResourceError` when the disk is too small, or the device for
    the check.
    """
    files = find(model)
    path, folder = Path(adapter_path), expanded(output)
    _check_settings(files, dtype, dequantize=dequantize)
    spec, tensors = read_adapter(path, files)
    note = read_note(path)
    repacked = files.quantisation is not None and not dequantize
    check_output(folder)
    with write_folder(folder.absolute()) as partial:
        _write_weights(partial, Fusion(files, spec, tensors, DTYPES[dtype] if dtype else None, unpack=dequantize))
        _write_config(partial, files, dtype, unpacked=dequantize)
        copy_companions(files.folder, partial)
        if handed_on := {key: note[key] for key in (PROMPT, PROMPT_DATE) if key in note}:
            write_json(partial / NOTE, {**model_note(files), **handed_on})
        fused = find(str(partial))
        stored = _usual_dtype(fused)
        card = model_card(folder.name, files, spec, note, stored)
        (partial / "README.md").write_text(card, encoding="utf-8")
        agreement: Agreement | None = None
        loss: LossChange | None = None
        if check and not repacked:
            agreement = compare(files, spec, tensors, fused, stored=stored, engine=engine, device=device)
            _require_agreement(folder, agreement)
        test_set = Path(data) if data is not None else test_set_of(path)
        if check and repacked and test_set is not None:
            loss = measure(model, path, partial, test_set, engine=engine, device=device)
    return FuseResult(
        folder,
        tensors=len(spec.targets) + len(spec.weights),
        bytes=sum(info.bytes for info in fused.tensors.values()),
        dtype=stored,
        agreement=agreement,
        loss=loss,
        notices=(
            *_notices(files, note, agreement, stored),
            *_packing_notices(loss, stored, unknown=check and repacked),
        ),
    )


def _check_settings(files: ModelFiles, dtype: str | None, *, dequantize: bool) -> None:
    if files.quantisation is None and dequantize:
        raise ModelError(f"{files.public_name}: is not quantised; leave out --dequantize")
    if files.quantisation is not None and dtype is not None and not dequantize:
        raise ModelError(
            f"{files.public_name}: is quantised, and packed weights have no dtype {dtype}; add --dequantize to write "
            "plain ones, or leave out --dtype"
        )


def _write_weights(folder: Path, fusion: Fusion) -> None:
    """Write the weights in files divided as the base's are."""
    packed = fusion.files.quantisation is not None and not fusion.unpack
    shards = [fusion.sources(names) for names in fusion.files.shards.values()]
    write_shards(folder, [shard for shard in shards if shard], metadata={"format": "mlx"} if packed else None)


def _write_config(folder: Path, files: ModelFiles, dtype: str | None, *, unpacked: bool) -> None:
    config = {key: value for key, value in files.config.items() if not (unpacked and key in PACKING_ENTRIES)}
    if dtype is not None:
        config.pop("torch_dtype", None)  # its name until transformers 4.56
        config["dtype"] = dtype
        if isinstance(config.get("text_config"), Mapping):
            config["text_config"] = {**config["text_config"], "dtype": dtype}
    write_json(folder / "config.json", config)


def _usual_dtype(files: ModelFiles) -> str:
    """Return the type of most weights under its long name, or how they are packed."""
    if files.usual_packing is not None:
        return str(files.usual_packing)
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
    notices = [*files.notices]
    if (other := other_base(note, files)) is not None:
        notices.append(other)
    if agreement is not None and agreement.effect is not None and agreement.difference > agreement.effect / 2:
        notices.append(
            f"rounding to {dtype} changes the logits about as much as the adapter does "
            f"({agreement.difference:.2g} and {agreement.effect:.2g}); "
            "fuse with dtype float32 to keep what was learnt"
        )
    return tuple(notices)


def _packing_notices(loss: LossChange | None, stored: str, *, unknown: bool) -> list[str]:
    if loss is not None and not loss.rise <= LARGEST_RISE:  # so that NaN is said too
        return [
            f"packing the weights again in {stored} raised the test loss from {loss.before:.4f} to {loss.after:.4f} "
            f"({loss.rise:+.1%}): some of what was learnt is lost; fuse with --dequantize to keep it"
        ]
    if loss is None and unknown:
        return [
            f"the weights are packed again in {stored}, and nothing shows what that cost; give the adapter's data with "
            "--data DIR to see its test loss before and after, or fuse with --dequantize"
        ]
    return []
