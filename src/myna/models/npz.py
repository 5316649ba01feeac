"""NumPy's `.npz` archives, as old adapters are stored: unpacked only when that takes no more than it should.

In: a path. Out: arrays by name. A zip archive of 3 MB may unfold to 3 GB, and an array's header may claim any size, for
which memory would be taken before the first number is read. Both are looked at first. Format:
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. Never unpickles anything.
"""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from myna.errors import AdapterError

_MOST_DIRECTORY_BYTES = 16 << 20
_SMALL_BYTES = 256 << 20
_PART_BYTES = 1 << 20
_MOST_GROWTH = 10
"""An archive unfolds to so many times its size, or to what is small anyway. Weights hardly compress at all; a factor
that is still zero, at half of an adapter, makes it unfold to about twice."""


def read_npz(file: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays, as they are stored (bfloat16 as two bytes of no kind). Raises `AdapterError`."""
    try:
        _check_directory(file)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            unfolded, packed = sum(member.file_size for member in members), os.path.getsize(file)
            if unfolded > max(_SMALL_BYTES, _MOST_GROWTH * packed):
                raise AdapterError(
                    f"{file}: its {packed} bytes would unfold to {unfolded}; no adapter does so, it is not unpacked"
                )
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise AdapterError(f"{file}: not a readable .npz of plain arrays ({error}); copy it again") from error


def _check_directory(file: Path) -> None:
    """Refuse a list of members of more than some megabytes, which `zipfile` would read whole."""
    if not zipfile.is_zipfile(file):
        raise ValueError("no zip archive, or cut off")
    with file.open("rb") as opened:
        opened.seek(-min(os.path.getsize(file), (1 << 16) + 22), os.SEEK_END)
        end = opened.read()
    place = end.rfind(b"PK\5\6")
    if b"PK\6\7" in end[max(0, place - 20) : place] or int.from_bytes(end[place + 12 : place + 16], "little") > (
        _MOST_DIRECTORY_BYTES
    ):
        raise ValueError("it has far more members than an adapter")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """Read one array whose header claims exactly the bytes that are there."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename} is compressed in a way that NumPy does not write")
    with archive.open(member) as opened:
        shape, by_columns, dtype = _header(opened)
        if dtype.hasobject or not (dtype.kind == "f" or (dtype.kind == "V" and dtype.itemsize == 2)):
            raise ValueError(f"{member.filename} holds {dtype}, not floating-point numbers")
        size = math.prod(shape) * dtype.itemsize
        if len(shape) > 8 or size != member.file_size - opened.tell():
            raise ValueError(f"{member.filename} does not hold as much as its shape {shape} asks for")
        content = np.empty(size, np.uint8)
        target = content.data
        while target and (part := opened.read(min(len(target), _PART_BYTES))):
            target[: len(part)] = part
            target = target[len(part) :]
    if target:
        raise ValueError(f"{member.filename} is cut off")
    return content.view(dtype).reshape(shape, order="F" if by_columns else "C")


def _header(opened: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(opened)
    if version == (1, 0):
        return npy.read_array_header_1_0(opened)
    if version == (2, 0):
        return npy.read_array_header_2_0(opened)
    raise ValueError(f"version {version} of the format is not known")
