"""Files that somebody else may have put there: opened so that no other file is written, and nothing is waited for.

A path goes in, an open file or its content comes out. Also locks, which the system releases when a process ends,
however it ends.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from io import FileIO
from pathlib import Path

from myna.errors import RunError

NO_LINKS: int = getattr(os, "O_NOFOLLOW", 0)  # Windows has neither
"""Lets `os.open` refuse a symbolic link."""
_NO_WAITING: int = getattr(os, "O_NONBLOCK", 0)
_FAR_BEYOND = 1 << 40
"""The byte that is locked on Windows: a lock there keeps others from reading, so it lies behind all content."""


def open_for_writing(path: Path) -> FileIO:
    """Open `path`, or a new file there, for reading and appending, unbuffered.

    Raises `RunError` when a symbolic link, a named pipe or anything else that is no regular file stands there, and
    `OSError` as `open` does.
    """
    try:
        return FileIO(path, "a+b", opener=_open_no_link)
    except OSError as error:
        if path.is_symlink():
            raise RunError(
                f"{path}: a symbolic link, and Myna would write into the file that it leads to; put a copy of that "
                "file in its place, or remove the link"
            ) from error
        if path.exists() and not path.is_file():
            raise RunError(f"{path}: {_kind(path.stat())}, expected a regular file; remove it") from error
        raise


def _open_no_link(path: str, flags: int) -> int:
    if not NO_LINKS and os.path.islink(path):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    handle = os.open(path, flags | NO_LINKS | _NO_WAITING, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    return handle


def read_file(path: Path) -> bytes:
    """Return the content of a regular file, through symbolic links too.

    Raises `RunError` for what is there and is no regular file, where reading might never end (a named pipe, a device),
    and `OSError` as `open` does.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise RunError(f"{path}: {_kind(found)}, expected a regular file")
    return path.read_bytes()


def _kind(found: os.stat_result) -> str:
    if stat.S_ISDIR(found.st_mode):
        return "a folder"
    if stat.S_ISFIFO(found.st_mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(found.st_mode) else "a device"


def try_lock(handle: int) -> bool | None:
    """Lock an open file for as long as it stays open.

    Returns False when another process (or another open file of this one) holds it, and None where the file system has
    no locks.
    """
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _FAR_BEYOND, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # some network file systems know no locks
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True
