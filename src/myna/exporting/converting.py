"""`convert`: a model or an adapter in another program's layout.

In: a folder (or Mistral's `.tar`), a place for the result, and whose layout it shall have. Out: that folder, written
beside its place and put there when it is whole. Finds out what the source is; the layouts have modules of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from myna.errors import AdapterError, ModelError
from myna.exporting.adapter_layouts import convert_adapter
from myna.exporting.folders import check_output
from myna.exporting.model_layouts import convert_folder, convert_release
from myna.models.adapters import is_adapter
from myna.models.files import expanded
from myna.models.mistral_release import is_release

Layout: TypeAlias = Literal["huggingface", "mlx", "peft"]


@dataclass(frozen=True, slots=True)
class ConvertResult:
    """What was written.

    source: the layout that was read: `huggingface`, `mlx`, `mistral`, `peft` or `npz`. to: the one that was written.
    tensors, bytes: how many, and their size. notices: for a person.
    """

    folder: Path
    source: str
    to: Layout
    tensors: int
    bytes: int
    notices: tuple[str, ...] = ()


def convert(
    source: str | Path,
    output: str | Path,
    *,
    to: Layout,
    model: str | None = None,
    dtype: Literal["float32", "float16", "bfloat16"] | None = None,
) -> ConvertResult:
    """Write a model or an adapter in the layout `to`.

    Models: `huggingface` and `mlx`, of each other (packed weights of MLX are unpacked for Hugging Face), and of
    Mistral's own releases. Adapters: `peft` and `mlx`, of each other, of runs and of `adapters.npz`. Tensors are read,
    turned and written a few megabytes at a time; numbers change only where `dtype` asks for it.

    source: a folder, a `.tar` of Mistral's, or a hub id, whose model is downloaded. output: a new or empty folder.
    model: the base of an adapter; None takes the one that the adapter names. dtype: of a model's floating-point
    weights; None keeps what is stored. Raises `ModelError` (or `AdapterError`) for a source that is damaged, unsafe or
    of an unsupported kind, and for an output that exists; `ResourceError` when the disk is too small.
    """
    path, folder = expanded(source), expanded(output)
    check_output(folder)
    if path.exists() and is_adapter(path):
        if to == "huggingface":
            raise AdapterError(f"{source}: an adapter; convert it to peft or mlx, or make a model of it: myna fuse")
        if dtype is not None:
            raise AdapterError(f"{source}: an adapter keeps float32; leave out the dtype")
        adapter = convert_adapter(path, folder.absolute(), to=to, model=model)
        return ConvertResult(folder, adapter.source, to, adapter.tensors, adapter.bytes, adapter.notices)
    if to == "peft":
        raise ModelError(f"{source}: no adapter; a model is converted to huggingface or mlx")
    if model is not None:
        raise ModelError(f"{source}: no adapter, so it has no base model; leave out the model")
    if path.exists() and is_release(path):
        written = convert_release(path, folder.absolute(), to=to, dtype=dtype)
    else:
        written = convert_folder(str(source), folder.absolute(), to=to, dtype=dtype)
    return ConvertResult(folder, written.source, to, written.tensors, written.bytes, written.notices)
