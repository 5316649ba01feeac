"""Other names of a database file. SQLite and DuckDB find a log by the name under which they open the file.

A log that lies beside another name (hard link) is not seen, and the answers are old ones, without an error
(https://www.sqlite.org/howtocorrupt.html, 2.5). Knows no format.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from myna.errors import DatabaseError


def check_other_names(path: str, logs: Sequence[str], *, has_log: bool = False) -> None:
    """Raise `DatabaseError` when what was written last to `path` may lie beside another name of the file.

    path: without symbolic links. logs: what the names of logs have behind the file's. has_log: the file says that it is
    written by way of a log, so names in other folders, which can't be found, count too.
    """
    found = os.stat(path)
    if found.st_nlink == 1:
        return
    folder = os.path.dirname(path)
    with os.scandir(folder) as entries:
        names = [each.name for each in entries if each.is_file(follow_symlinks=False)]
    names = [name for name in names if os.path.samestat(os.lstat(os.path.join(folder, name)), found)]
    for name in sorted(names):
        for log in logs:
            beside = os.path.join(folder, name)
            if beside != path and _size(beside + log):
                raise DatabaseError(
                    f"{path}: is a hard link to {name}, and {name}{log} holds what was written last; open {beside}"
                )
    if has_log and len(names) < found.st_nlink:
        raise DatabaseError(
            f"{path}: is a hard link to a file in another folder, beside which a write-ahead log may hold what was "
            "written last; open it by the name that its program uses, or copy it from there, its log too"
        )


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
