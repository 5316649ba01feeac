"""`myna fuse`: base model and adapter become one model folder."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from myna.cli.flags import COMMON, Common, UsageError
from myna.cli.model_flags import MODEL, EngineName, ModelAndAdapter, base_model
from myna.cli.terminal import say

if TYPE_CHECKING:
    from myna.exporting.fusing import FuseResult


def fuse(
    *,
    output: Annotated[Path, Parameter(name=["--output", "--save-path", "-o"])] = Path("fused_model"),
    dtype: Literal["float32", "float16", "bfloat16"] | None = None,
    dequantize: Annotated[bool, Parameter(name=["--dequantize", "--de-quantize"], negative="")] = False,
    data: Path | None = None,
    check: bool = True,
    engine: EngineName = "auto",
    device: str = "auto",
    model: ModelAndAdapter = MODEL,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Fuse an adapter into a model folder of its own.

    Parameters
    ----------
    output
        New folder for the fused model.
    dtype
        Number type of the fused weights; by default the base model's.
    dequantize
        Write plain weights where the base is quantised; else adapted layers are packed again as they were.
    data
        Folder with the test set that shows what packing again costs; by default the data of the adapter's run.
    check
        Compare the fused model with base and adapter: logits or, where weights are packed again, the test loss.
    engine
        Tensor library that compares: auto, torch or mlx.
    device
        Where it compares: auto, cpu, cuda, cuda:1 …
    """
    from myna.exporting import fuse as fuse_model

    if model.adapter_path is None:
        raise UsageError("no adapter: give --adapter-path RUN, or the folder of an adapter")
    result = fuse_model(
        base_model(model),
        model.adapter_path,
        output,
        dtype=dtype,
        dequantize=dequantize,
        data=data,
        check=check,
        engine=engine,
        device=device,
    )
    show_fused(result)
    return {**asdict(result), "folder": str(result.folder)}


def show_fused(result: FuseResult) -> None:
    """Print what was written, and how well it agrees."""
    from myna.reports.words import byte_words

    for notice in result.notices:
        say(f"Note: {notice}")
    say(f"Fused {result.tensors} tensors into {result.folder} ({byte_words(result.bytes)}, {result.dtype})")
    if result.agreement is not None:
        say(
            f"Checked: its logits differ from base with adapter by {result.agreement.difference:.1e}"
            f" at most, relative to the largest (allowed: {result.agreement.tolerance:.1e})"
        )
    if result.loss is not None:
        say(
            f"Tested: loss {result.loss.before:.4f} with base and adapter, {result.loss.after:.4f} fused"
            f" ({result.loss.rise:+.2%}, {result.loss.tokens:,} tokens)"
        )
    say(f"Try it: myna generate --model {shlex.quote(str(result.folder))} --prompt …")
