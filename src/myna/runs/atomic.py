"""Whole-or-nothing writes: a file or folder is written beside its place, flushed to disk and renamed.

A reader, or a resumed run, sees the old one or the new one, never half of one. What a killed process left is put back
or removed by the next one that writes beside it; `restore` puts it back for one that only reads.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from myna.errors import MynaError, ResourceError, RunError
from myna.runs.staging import put_in_place, restore_within, staged

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_FIXED = {errno.EBUSY, errno.EXDEV}
_IN_THE_WAY = {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP, errno.ENAMETOOLONG}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals while `path` is written into errors that a person can mend.

    Raises `ResourceError` when the disk is full (or a quota or size limit is reached) and `RunError` when
    writing is not permitted, a mount point can't be replaced, or something else stands there. Every other exception
    passes unchanged.
    """
    try:
        yield
    except MynaError:
        raise
    except Exception as error:
        number = _system_error_number(error)
        if number in _FULL:
            raise ResourceError(
                f"{path}: the disk is full ({os.strerror(number)}). What was written before is intact; "
                "free some space and run the command again (training goes on with --resume)."
            ) from error
        if number in _FORBIDDEN:
            raise RunError(
                f"{path}: can't be written ({os.strerror(number)}); choose a folder that you may write to."
            ) from error
        if number in _FIXED:
            raise RunError(
                f"{path}: can't be replaced ({os.strerror(number)}); is it a mount point? Name a folder inside it."
            ) from error
        if number in _IN_THE_WAY:
            raise RunError(
                f"{path}: can't be written ({os.strerror(number)}); move away what is there, or choose another name."
            ) from error
        raise


def _system_error_number(error: Exception) -> int:
    """Return the errno behind `error`, 0 when there is none. Libraries written in Rust only name it in their
    text."""
    if isinstance(error, OSError):
        return error.errno or 0
    named = re.search(r"\(os error (\d+)\)", str(error))
    return int(named.group(1)) if named else 0


def write_file(path: Path, content: bytes | str) -> None:
    """Write `path` whole or not at all; an older file is replaced in one step.

    Raises `ResourceError` (disk full) and `RunError` (not permitted); the older file is then untouched.
    """
    with new_file(path) as new, new.open("xb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give the path of a file to be written; when the block ends well it stands at `path`, else nothing has changed.

    A symbolic link at `path` is replaced. Raises `ResourceError` (disk full) and `RunError` (not permitted).
    """
    with writing(path), staged(path) as new:
        yield new
        _flush(new)
        new.replace(path)
        _flush(path.parent)


@contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder of the same name; when the block ends well it stands at `path`, else nothing has changed.

    An older folder is replaced, or the one that a symbolic link at `path` leads to. A process killed between the two
    renames that this takes leaves the old one aside; the next one that writes there, and `restore`, put it back.
    Raises `ResourceError` (disk full) and `RunError` (not permitted, or the working folder).
    """
    place = Path(os.path.realpath(path))
    if place.exists() and place in _working_folders():
        raise RunError(f"{path}: the folder that you are in can't be replaced; name a folder inside it, such as ./data")
    with writing(path):
        place.parent.mkdir(parents=True, exist_ok=True)
        with staged(place) as new:
            new.mkdir()
            yield new
            for folder, _, names in os.walk(new):
                for name in names:
                    _flush(Path(folder, name))
                _flush(Path(folder))
            put_in_place(new, place)
            _flush(place.parent)


def _working_folders() -> list[Path]:
    """Return the working folder and all above it; none where it was deleted."""
    try:
        here = Path.cwd()
    except OSError:
        return []
    return [here, *here.parents]


def restore(path: Path) -> None:
    """Put back the folder `path` when it is missing because a process was killed while it replaced it.

    For everybody who reads folders that `write_folder` writes. Changes nothing else, and raises nothing.
    """
    if not path.exists():
        restore_within(Path(os.path.realpath(path)).parent)


def _flush(path: Path) -> None:
    """Make a file's content, or a folder's names, outlive a power cut."""
    if sys.platform == "win32":
        if path.is_dir():  # Windows has no handle to flush for a folder
            return
        flags = os.O_RDWR
    else:
        flags = os.O_RDONLY
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
