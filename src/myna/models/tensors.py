"""Safetensors files: where each tensor lies, reading its bytes, and writing a file tensor by tensor.

In: a path, or named arrays (or sources of them, made when their turn comes). Out: `TensorInfo`, NumPy arrays, a file.
Reads plainly, chunk by chunk, without mapping files into memory, so that memory stays what the caller allocates.
Format specification: https://github.com/huggingface/safetensors#format. Knows nothing of models.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from myna.errors import ModelError

MAX_HEADER_BYTES = 32 << 20
"""A third of the reference implementation's limit: read into memory, a header takes some ten times its size."""
MAX_TENSORS = 250_000
"""In one file; the largest models published have 90,000, in many files."""
_LONGEST_NAME = 500
_MOST_DIMENSIONS = 8
_MOST_ELEMENTS = 1 << 48
"""Along the axes of one tensor that are not empty, so that no product of sizes overflows."""

_NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "C64": np.dtype(np.complex64),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64),
    "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
_TYPE_NAMES = {numpy_type: name for name, numpy_type in _NUMPY_TYPES.items()}

FLOATING_TYPES = frozenset({"F64", "F32", "F16", "BF16"})
"""Types that hold plain weights."""

DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
"""Types that weights can be written in: their names as people write them, and as safetensors does."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where one tensor lies: `file`, bytes `start … stop-1` from the beginning of the file, dtype as in the
    safetensors header (`F32`, `BF16`, `F16`, `U32` …), and shape."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes on disk."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class TensorSource:
    """A tensor that is made only when it is written: `chunks()` gives its elements in row-major order, in pieces."""

    dtype: str
    shape: tuple[int, ...]
    chunks: Callable[[], Iterable[NDArray[Any]]]

    @property
    def bytes(self) -> int:
        """Bytes it will take on disk."""
        return math.prod(self.shape) * numpy_type(self.dtype).itemsize


def numpy_type(dtype: str) -> np.dtype[Any]:
    """Return the NumPy type of a safetensors dtype name. Raises `ModelError` for one that NumPy can't hold."""
    if dtype not in _NUMPY_TYPES:
        raise ModelError(f"tensors of type {dtype} can't be read; known types: {', '.join(_NUMPY_TYPES)}")
    return _NUMPY_TYPES[dtype]


def cast(name: str, chunk: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return `chunk`, a part of the tensor `name`, rounded to a safetensors dtype; itself when it is of that type.

    What is infinite or not a number stays so. Raises `ModelError` for a number that is too large for the type.
    """
    wanted = numpy_type(dtype)
    if chunk.dtype == wanted:
        return chunk
    with np.errstate(over="ignore"):  # said below, by name
        rounded: NDArray[Any] = chunk.astype(wanted)
    if not np.isfinite(rounded).all() and (np.isfinite(chunk) & ~np.isfinite(rounded)).any():
        raise ModelError(f"{name}: its numbers do not fit into {wanted.name}; choose a wider type: bfloat16 or float32")
    return rounded


def read_header(file: Path, *, start: int = 0, stop: int | None = None) -> dict[str, TensorInfo]:
    """Return where every tensor of a safetensors file lies.

    start, stop: the bytes of `file` that are the safetensors file, when it is a member of an archive. The whole layout
    is checked: header size, JSON, types, shapes, offsets without overlap or gap, file length. Raises `ModelError`
    naming the file and what is wrong in it.
    """
    with _naming(file):
        header, data_start, length = _parse_header(file, start, stop)
        header.pop("__metadata__", None)
        infos = _locate(file, header, data_start, length)
    if not start:
        return infos
    return {name: replace(info, start=start + info.start, stop=start + info.stop) for name, info in infos.items()}


def read_metadata(file: Path) -> dict[str, Any]:
    """Return what a safetensors file says of itself, such as `{"format": "mlx"}`; empty when it says nothing.

    Raises `ModelError` as `read_header` does.
    """
    with _naming(file):
        metadata = _parse_header(file, 0, None)[0].get("__metadata__")
    return metadata if isinstance(metadata, dict) else {}


class _LayoutError(Exception):
    """What is wrong with a file; `_naming` adds its name."""


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(f"{file}: can't be read ({error.strerror})") from error
    except _LayoutError as error:
        raise ModelError(f"{file}: {error}") from error


_POINTER = b"version https://git-lfs."
"""How the small text begins that Git leaves in the place of a large file that it did not fetch."""


def _parse_header(file: Path, start: int, stop: int | None) -> tuple[dict[str, Any], int, int]:
    """Return the header, where behind `start` the data begins, and how long the whole is."""
    with file.open("rb") as opened:
        file_bytes = (os.fstat(opened.fileno()).st_size if stop is None else stop) - start
        opened.seek(start)
        prefix = opened.read(8)
        if prefix == _POINTER[:8] and opened.read(len(_POINTER) - 8) == _POINTER[8:]:
            raise _LayoutError("not the weights but Git's pointer to them; run `git lfs pull` in its folder")
        opened.seek(start + len(prefix))
        return *_parse_json(prefix, opened.read, file_bytes), file_bytes


def _parse_json(prefix: bytes, read: Callable[[int], bytes], file_bytes: int) -> tuple[dict[str, Any], int]:
    if len(prefix) < 8:
        raise _LayoutError(f"only {file_bytes} bytes long, not a safetensors file; download or copy it again")
    header_bytes = int.from_bytes(prefix, "little")
    if header_bytes > MAX_HEADER_BYTES:
        raise _LayoutError(
            f"its header claims {header_bytes} bytes, more than the limit of {MAX_HEADER_BYTES}; "
            "this is not a safetensors file"
        )
    if 8 + header_bytes > file_bytes:
        raise _LayoutError(
            f"cut off: its header needs {8 + header_bytes} bytes, the file has {file_bytes}; download or copy it again"
        )
    text = read(header_bytes)
    if text.count(b"{") > MAX_TENSORS + 2:  # the header's own and that of the metadata; before objects are made
        raise _LayoutError(
            f"its header describes more than {MAX_TENSORS} tensors; this is not a model's or an adapter's"
        )
    if not text.startswith(b"{"):
        raise _LayoutError("its header does not begin with '{'; this is not a safetensors file")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise _LayoutError(f"its header is not valid JSON ({error}); download or copy it again") from error
    return header, 8 + header_bytes


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result


def _locate(file: Path, entries: Mapping[str, Any], data_start: int, file_bytes: int) -> dict[str, TensorInfo]:
    infos = {name: _locate_one(file, name, entry, data_start) for name, entry in entries.items()}
    position, previous = data_start, "the header"
    for name, info in sorted(infos.items(), key=lambda item: (item[1].start, item[1].stop)):
        if info.start != position:
            what = "overlaps" if info.start < position else "leaves a gap after"
            raise _LayoutError(f"tensor {name!r} {what} {previous!r}; download or convert the file again")
        position, previous = info.stop, name
    if position > file_bytes:
        raise _LayoutError(
            f"cut off: its header describes {position} bytes, the file has {file_bytes}; download or copy it again"
        )
    if position < file_bytes:
        raise _LayoutError(f"{file_bytes - position} bytes too long for its header; download or copy it again")
    return infos


def _locate_one(file: Path, name: str, entry: Any, data_start: int) -> TensorInfo:
    if len(name) > _LONGEST_NAME:
        raise _LayoutError(f"a tensor's name has {len(name)} characters, more than {_LONGEST_NAME}: {name[:60]!r} …")
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise _LayoutError(f"tensor {name!r} lacks dtype, shape or data_offsets in the header") from error
    if (
        not isinstance(dtype, str)
        or not isinstance(shape, list)
        or len(shape) > _MOST_DIMENSIONS
        or not _are_sizes([*shape, begin, end])
        or begin > end
        or math.prod(size or 1 for size in shape) > _MOST_ELEMENTS
    ):
        raise _LayoutError(f"tensor {name!r} has a senseless dtype, shape or data_offsets in the header: {_cut(entry)}")
    known = _NUMPY_TYPES.get(dtype)  # sub-byte types are located too, so that the folder can be described
    exact = None if known is None else math.prod(shape) * known.itemsize
    if exact != end - begin if exact is not None else math.prod(shape) > 8 * (end - begin):
        raise _LayoutError(f"tensor {name!r} of type {_cut(dtype)} and shape {shape} can't take {end - begin} bytes")
    return TensorInfo(file, dtype, tuple(shape), data_start + begin, data_start + end)


def _cut(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]} …"


def _are_sizes(values: list[Any]) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 for value in values)


def read_into(info: TensorInfo, buffer: NDArray[Any], offset: int = 0) -> None:
    """Fill `buffer` with the tensor's bytes from byte `offset` on, without any copy in between.

    buffer: any C-contiguous writable array; its size in bytes says how much is read. Raises `ModelError` when the
    file has become shorter or can't be read.
    """
    target = buffer.reshape(-1).view(np.uint8).data
    if offset + len(target) > info.bytes:
        raise ValueError(f"bytes {offset}…{offset + len(target)} of a tensor of {info.bytes} bytes")
    try:
        with info.file.open("rb", buffering=0) as opened:
            opened.seek(info.start + offset)
            while target:
                count = opened.readinto(target)
                if not count:
                    raise ModelError(f"{info.file}: became shorter while it was read; download or copy it again")
                target = target[count:]
    except OSError as error:
        raise ModelError(f"{info.file}: can't be read ({error.strerror})") from error


def read_tensor(info: TensorInfo) -> NDArray[Any]:
    """Return the whole tensor in the type it has on disk (bfloat16 through ml_dtypes)."""
    array = np.empty(info.shape, numpy_type(info.dtype))
    read_into(info, array)
    return array


def read_chunks(info: TensorInfo, *, chunk_bytes: int = 1 << 24) -> Iterator[NDArray[Any]]:
    """Yield the tensor as runs of whole rows of its first axis, each at most `chunk_bytes` (but one row at least)."""
    if not info.shape or not info.size:
        yield read_tensor(info)
        return
    rows, row_bytes = info.shape[0], info.bytes // info.shape[0]
    step = max(1, chunk_bytes // row_bytes)
    for first in range(0, rows, step):
        chunk = np.empty((min(step, rows - first), *info.shape[1:]), numpy_type(info.dtype))
        read_into(info, chunk, first * row_bytes)
        yield chunk


def write_tensors(
    path: Path,
    tensors: Mapping[str, NDArray[Any] | TensorSource],
    *,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a safetensors file, holding no more than one chunk of one source at a time.

    The header comes first, from types and shapes alone; tensors follow by falling alignment, then by name, as the
    reference implementation orders them. metadata: goes in as it is; `{"format": "pt"}` when None, which transformers
    expects. The file is flushed to disk. Raises `ValueError` for a source whose chunks do not add up.
    """
    sources = {
        name: tensor if isinstance(tensor, TensorSource) else _source(tensor) for name, tensor in tensors.items()
    }
    order = sorted(sources, key=lambda name: (-numpy_type(sources[name].dtype).itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(metadata) if metadata is not None else {"format": "pt"}}
    position = 0
    for name in order:
        source = sources[name]
        end = position + source.bytes
        header[name] = {"dtype": source.dtype, "shape": list(source.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # so that the data begins aligned
    with path.open("wb") as opened:
        opened.write(len(text).to_bytes(8, "little"))
        opened.write(text)
        for name in order:
            _write_one(opened.write, name, sources[name])
        opened.flush()
        os.fsync(opened.fileno())


def _source(array: NDArray[Any]) -> TensorSource:
    if array.dtype not in _TYPE_NAMES:
        raise ValueError(f"safetensors has no type for {array.dtype}")
    return TensorSource(_TYPE_NAMES[array.dtype], array.shape, lambda: [array])


def _write_one(write: Callable[[memoryview], int], name: str, source: TensorSource) -> None:
    written = 0
    for chunk in source.chunks():
        if chunk.dtype != numpy_type(source.dtype):
            raise ValueError(f"{name}: a chunk of type {chunk.dtype} in a tensor of type {source.dtype}")
        write(np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).data)
        written += chunk.size
    if written != math.prod(source.shape):
        raise ValueError(f"{name}: {written} elements for shape {source.shape}")
