"""Where the tensors in a file of `torch.save` lie.

The file is a zip archive that keeps each tensor's memory as it is, not compressed, and a pickle that names them. torch
reads it with `weights_only=True`, which knows tensors and plain containers and refuses everything else, and onto the
meta device: shapes, types and places without a number read
(https://docs.pytorch.org/docs/stable/notes/serialization.html). Knows nothing of models.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from myna.errors import ModelError
from myna.models.tensors import TensorInfo

_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}
_ZIP = b"PK\x03\x04"


def tensors_in(file: Path, *, start: int, stop: int) -> dict[str, TensorInfo]:
    """See `myna.engines.pickled.read_pickled_header`."""
    try:
        with file.open("rb", buffering=0) as opened:
            return _locate(file, _load(file, _Part(opened, start, stop)), start, stop)
    except OSError as error:
        raise ModelError(f"{file}: can't be read ({error.strerror or error})") from error


def _load(file: Path, part: _Part) -> Any:
    buffered = io.BufferedReader(part)
    if buffered.read(len(_ZIP)) != _ZIP:
        raise ModelError(
            f"{file}: no checkpoint of torch 1.6 or later; download or copy it again, or save it with a newer torch"
        )
    buffered.seek(0)
    try:
        return torch.load(buffered, map_location="meta", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch says it with many types: damaged archives, refused pickles, senseless content
        reason = " ".join(str(error).split()).partition(". ")[0] or type(error).__name__
        raise ModelError(
            f"{file}: can't be read as a checkpoint that holds nothing but weights ({reason[:200]}); "
            "download or copy it again from where it was published"
        ) from error


def _locate(file: Path, state: Any, start: int, stop: int) -> dict[str, TensorInfo]:
    if not isinstance(state, dict) or not state:
        raise ModelError(f"{file}: holds a {type(state).__name__}; expected tensors by their names")
    return {str(name): _locate_one(file, str(name), tensor, start, stop) for name, tensor in state.items()}


def _locate_one(file: Path, name: str, tensor: Any, start: int, stop: int) -> TensorInfo:
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.dtype not in _DTYPES:
        what = f"{tensor.dtype} numbers" if isinstance(tensor, Tensor) else f"a {type(tensor).__name__}"
        raise ModelError(f"{file}: {name} is {what}; expected floating-point weights and nothing else")
    offset = getattr(tensor.untyped_storage(), "_checkpoint_offset", None)
    size = tensor.numel() * tensor.element_size()
    if offset is None or not tensor.is_contiguous():
        raise ModelError(f"{file}: {name} does not lie there in one piece; save the checkpoint again with torch")
    first = start + offset + tensor.storage_offset() * tensor.element_size()
    if first < start or first + size > stop:
        raise ModelError(f"{file}: {name} lies beyond the end of the file; download or copy it again")
    return TensorInfo(file, _DTYPES[tensor.dtype], tuple(tensor.shape), first, first + size)


class _Part(io.RawIOBase):
    """The bytes `start … stop-1` of an open file, as a file of their own."""

    def __init__(self, file: io.FileIO, start: int, stop: int) -> None:
        super().__init__()
        self._file, self._start, self._length, self._position = file, start, stop - start, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._length - self._position))
        self._file.seek(self._start + self._position)
        count = self._file.readinto(memoryview(buffer)[:count]) or 0
        self._position += count
        return count
