"""`myna model quantize`: a model's matrices packed in MLX's format."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from myna.cli.flags import COMMON, Common, UsageError
from myna.cli.terminal import say

if TYPE_CHECKING:
    from myna.models.quantization import Packing


def quantize(
    model: str,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "--mlx-path", "-o"])] = Path("quantized_model"),
    bits: Annotated[int, Parameter(name=["--bits", "--q-bits"])] = 4,
    group_size: Annotated[int, Parameter(name=["--group-size", "--q-group-size"])] = 64,
    keep: Annotated[tuple[str, ...], Parameter(negative="", show_default=False, consume_multiple=True)] = (),
    override: Annotated[tuple[str, ...], Parameter(negative="", show_default=False, consume_multiple=True)] = (),
    dtype: Literal["float32", "float16", "bfloat16"] | None = None,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Pack a model's weights in few bits, as MLX does: to train on it, run it, and use it in mlx-lm.

    Parameters
    ----------
    model
        Folder or hub id of a model in 16 or 32 bits.
    output
        New folder for the quantised model.
    bits
        2, 3, 4, 5, 6 or 8 bits a weight.
    group_size
        32, 64 or 128 weights share a scale.
    keep
        Layers that stay as they are, such as lm_head, mlp.down_proj or model.layers.0.
    override
        Other bits for some layers, such as down_proj=6, or with a group size of their own: down_proj=8x32.
    dtype
        Number type of scales and of what is not packed; by default the model's.
    """
    from myna.exporting.quantizing import quantize_model
    from myna.reports.words import byte_words

    overrides = dict(_override(text, group_size) for text in override)
    result = quantize_model(
        model, output, bits=bits, group_size=group_size, keep=keep, overrides=overrides, dtype=dtype
    )
    if result.kept:
        say(f"Kept as they are: {len(result.kept)} layers, such as {result.kept[0]}")
    say(
        f"Packed {result.layers} layers into {result.folder} ({byte_words(result.bytes)}, "
        f"{result.bits_per_weight:.2f} bits a weight with scales and all)"
    )
    say(f"Train on it: myna train --model {shlex.quote(str(result.folder))} --data …")
    return {**asdict(result), "folder": str(result.folder)}


def _override(text: str, group_size: int) -> tuple[str, Packing]:
    """Read `LAYER=BITS` or `LAYER=BITSxGROUP_SIZE`."""
    from myna.models.quantization import Packing

    layer, _, packing = text.partition("=")
    bits, times, size = packing.partition("x")
    if not layer or not bits.isdecimal() or not (size.isdecimal() if times else True):
        raise UsageError(f"--override {text}: expected LAYER=BITS or LAYER=BITSxGROUP_SIZE, such as down_proj=6")
    return layer, Packing(int(bits), int(size) if times else group_size)
