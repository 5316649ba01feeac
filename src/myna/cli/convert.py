"""`myna model convert`: a model or an adapter in another program's layout."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from myna.cli.flags import COMMON, Common
from myna.cli.terminal import say


def convert(
    source: str,
    /,
    *,
    to: Literal["huggingface", "mlx", "peft"],
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    model: str | None = None,
    dtype: Literal["float32", "float16", "bfloat16"] | None = None,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Convert a model between Hugging Face, MLX and Mistral's releases, or an adapter between PEFT and mlx-lm.

    Parameters
    ----------
    source
        Folder, Mistral's .tar, adapters.npz, run or hub id.
    to
        Layout of the result: huggingface or mlx for a model, peft or mlx for an adapter.
    output
        New folder for the result.
    model
        Base model of an adapter; by default the one that the adapter names.
    dtype
        Number type of a model's weights; by default the one they have.
    """
    from myna.exporting import convert as convert_source
    from myna.reports.words import byte_words

    result = convert_source(source, output, to=to, model=model, dtype=dtype)
    for notice in result.notices:
        say(f"Note: {notice}")
    say(
        f"Converted {result.tensors} tensors from {result.source} to {result.to}: "
        f"{result.folder} ({byte_words(result.bytes)})"
    )
    return {**asdict(result), "folder": str(result.folder)}
