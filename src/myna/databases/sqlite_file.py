"""An SQLite file before SQLite opens it: whether it can be one, and how to open it without leaving a trace.

Opening a database that has a write-ahead log makes SQLite create files beside it, even read-only. So a log that is
empty is passed over, one without its shared memory is read without locks, and whoever reads without locks looks at
`fingerprint` before and after (https://www.sqlite.org/wal.html#readonly, https://www.sqlite.org/uri.html).

SQLite finds a log by the database's name, so a file must be read by the name that its writers use: symbolic links are
followed before, and of a hard link's other names none may have a log.
"""

from __future__ import annotations

import os
import stat

from myna.databases.hard_links import check_other_names
from myna.errors import DatabaseError

_MAGIC = b"SQLite format 3\x00"
_VERSIONS = slice(18, 20)  # of the file format for writing and reading; 2 is a write-ahead log
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")

WITH_LOCKS = "mode=ro&readonly_shm=1"
UNCHANGING = "mode=ro&immutable=1"
WITHOUT_LOCKS = "mode=ro&vfs=unix-none"


def check_file(path: str, shown: str) -> None:
    """Raise `DatabaseError`, with what is wrong, unless `path` is a file that begins as SQLite's do."""
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            raise DatabaseError(f"{shown}: is a folder; name the database file in it")
        if not stat.S_ISREG(kind):  # opening a pipe would wait for ever
            raise DatabaseError(f"{shown}: is not a file; name a database file")
        with open(path, "rb") as file:
            head = file.read(len(_MAGIC))
    except FileNotFoundError:
        raise DatabaseError(f"{shown}: there is no such file; look at the name and the folder") from None
    except PermissionError:
        raise DatabaseError(f"{shown}: no permission to read it; change its rights (chmod +r) or the user") from None
    except OSError as error:
        raise DatabaseError(f"{shown}: can't be read: {error.strerror}") from None
    if not head:
        raise DatabaseError(f"{shown}: is empty (0 bytes); a database with at least one table was expected")
    if head != _MAGIC:
        raise DatabaseError(
            f"{shown}: is not an SQLite database, or an encrypted one; expected a file that begins with "
            f'"SQLite format 3". Decrypt it, or name another file'
        )


def how_to_open(path: str) -> str:
    """Return the URI parameters with which SQLite reads the file as it is now and creates none beside it.

    path: without symbolic links. Raises `DatabaseError` where a log of it may lie beside another name.
    """
    with open(path, "rb") as file:
        logged = file.read(_VERSIONS.stop)[_VERSIONS] == b"\x02\x02"
    if not _size(path + "-wal"):  # one beside this name is this file's, or SQLite itself rejects it
        check_other_names(path, ("-wal", "-journal"), has_log=logged)
    if not logged:
        return WITH_LOCKS
    if _size(path + "-wal") == 0:
        return UNCHANGING
    if os.path.exists(path + "-shm"):
        return WITH_LOCKS
    if os.name == "posix":
        return WITHOUT_LOCKS
    raise DatabaseError(
        f"{os.path.basename(path)}: has a write-ahead log (-wal) but no -shm file beside it; open it once with the "
        "program that writes it, or copy all three files"
    )


def fingerprint(path: str) -> tuple[int, ...]:
    """Return what changes when another program writes to the database or its log."""
    return (*_identity(path), *_identity(path + "-wal"))


def in_uri(path: str) -> str:
    """Return `path` as it stands in a `file:` URI."""
    if os.name == "nt":
        path = "/" + path.replace("\\", "/")
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in os.fsencode(path))


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _identity(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns)
