"""Where a file or folder is written before it gets its name, and what is done with what a killed writer left there.

    .NAME.1a2b3c4d.partial/   beside NAME, readable by its owner alone
        NAME                  what is being written
        NAME.lock             locked by the writer as long as it lives; says on which machine that is
        NAME.replaced         the old NAME, between the two renames that replace a folder and until it is removed

A writer that was killed holds no lock any more, so whoever gets the lock may remove what it left. A folder is touched
only when it has this name and holds nothing else, belongs to this user, and was written on this machine: a network file
system's locks may not reach from one machine to another. Where there are no locks nothing is removed.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from myna.runs.files import NO_LINKS, try_lock

PARTIAL = ".partial"
"""Ends the name of a folder in which something is being written."""
_LOCK = ".lock"
_REPLACED = ".replaced"
_NAMED = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}" + re.escape(PARTIAL), re.DOTALL)


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Give the path at which `path` is to be written before it is renamed; what is still there at the end is removed.

    First removes, and puts back, what killed writers left beside `path`. Raises `OSError`.
    """
    tidy(path.parent)
    folder, handle = _new_folder(path)
    try:
        yield folder / path.name
    finally:
        settled = _put_back(folder, path.name)
        if settled:
            _remove_content(folder, path.name)
        os.close(handle)
        if settled:
            _remove_rest(folder, path.name)


def put_in_place(new: Path, path: Path) -> None:
    """Rename the folder `new`, which `staged` gave for `path`, to `path`.

    No file system renames a folder over a full one, hence two renames; `staged` undoes the first when the second does
    not happen.
    """
    aside = new.with_name(new.name + _REPLACED)
    for attempt in range(_ATTEMPTS):
        if os.path.lexists(path):
            _remove(aside)
            path.rename(aside)
        try:
            new.rename(path)
        except OSError:
            if attempt == _ATTEMPTS - 1 or not os.path.lexists(path):
                raise
        else:
            return


_ATTEMPTS = 5
"""How often another writer may put its own folder in place between our two renames."""


def tidy(place: Path) -> None:
    """Remove what killed writers left in the folder `place`, after putting back what they were replacing."""
    for folder, name in _abandoned(place):
        if _put_back(folder, name):
            _remove_content(folder, name)
            _remove_rest(folder, name)  # under the lock: a new writer may be about to take it


def restore_within(place: Path) -> None:
    """Put back every folder in the folder `place` that a killed writer had moved aside, and leave the rest alone."""
    for folder, name in _abandoned(place):
        _put_back(folder, name)


def is_leftover(name: str) -> bool:
    """Tell whether a folder of this name is one in which something is, or was, being written."""
    return _NAMED.fullmatch(name) is not None


def _new_folder(path: Path) -> tuple[Path, int]:
    """Make the folder beside `path` and its lock; return it and the open lock."""
    while True:
        folder = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            handle = _new_lock(folder / f"{path.name}{_LOCK}")
            if handle is not None:
                return folder, handle


def _new_lock(file: Path) -> int | None:
    """Make and lock a file; None when another process, tidying, took it or its still empty folder for a leftover."""
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileNotFoundError:
        return None
    try:
        if try_lock(handle) is not False and os.fstat(handle).st_nlink:
            os.write(handle, "\n".join(_machine()).encode())
            return handle
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _machine() -> tuple[str, str]:
    """Return the machine's name, and on Linux what all of its containers share until it is started anew."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return platform.node(), boot


def _abandoned(place: Path) -> Iterator[tuple[Path, str]]:
    """Yield each folder in `place` whose writer is gone, with the name it was to get, locked until the next is asked
    for."""
    try:
        names = sorted(os.listdir(place))
    except OSError:
        return
    for entry in names:
        if (match := _NAMED.fullmatch(entry)) is None:
            continue
        folder, name = place / entry, match["name"]
        handle = _lock_of(folder, name)
        if handle is None:
            continue
        abandoned = False
        try:
            if abandoned := _is_abandoned(handle, folder, name):
                yield folder, name
        finally:
            os.close(handle)
            if abandoned:  # Windows removes no open file
                _remove_rest(folder, name)


def _lock_of(folder: Path, name: str) -> int | None:
    """Open the lock of a folder that looks like ours in every way; an empty one, which is nobody's yet, is removed."""
    try:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "geteuid") and found.st_uid != os.geteuid()):
            return None
        content = os.listdir(folder)
        if not content:
            folder.rmdir()
            return None
        if not {name + _LOCK} <= set(content) <= {name, name + _LOCK, name + _REPLACED}:
            return None
        lock = folder / f"{name}{_LOCK}"
        return os.open(lock, os.O_RDWR | NO_LINKS) if stat.S_ISREG(lock.lstat().st_mode) else None
    except OSError:  # its writer has just finished
        return None


def _is_abandoned(handle: int, folder: Path, name: str) -> bool:
    """Tell whether a lock's writer is gone, and lock it."""
    if not try_lock(handle):
        return False
    written = os.read(handle, 4096).decode("utf-8", "replace")
    if not written:  # killed before it said where it is, so before it wrote anything
        return os.listdir(folder) == [name + _LOCK]
    host, _, boot = written.partition("\n")
    this_host, this_boot = _machine()
    return host == this_host or (boot != "" and boot == this_boot)


def _put_back(folder: Path, name: str) -> bool:
    """Undo a replacement that is half done, in a locked folder; return False when that can't be done.

    Without a new one beside it the old one has been replaced: the new one got its name.
    """
    place, new, old = folder.parent / name, folder / name, folder / f"{name}{_REPLACED}"
    if os.path.lexists(new) and os.path.lexists(old) and not os.path.lexists(place):
        try:
            old.rename(place)
        except OSError:
            return False
    return True


def _remove_content(folder: Path, name: str) -> None:
    _remove(folder / f"{name}{_REPLACED}")
    _remove(folder / name)


def _remove_rest(folder: Path, name: str) -> None:
    """Remove the lock and the folder, when nothing else is in it any more."""
    with suppress(OSError):
        if os.listdir(folder) == [name + _LOCK]:
            (folder / f"{name}{_LOCK}").unlink()
        folder.rmdir()


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
