"""What state a database is in: a short text that changes when its content does, found without reading the content.

Files: inode, size and time of change of the file and its log, or of each table file. Servers: what they count of each
table. Their counts may lag behind, and where a server tells none the state never changes: what is kept by a server's
state must also grow old.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from myna.databases.address import is_table_file
from myna.databases.database import Database
from myna.errors import QueryError

_COUNTS = {
    "postgres": (
        "SELECT schemaname, relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_catalog.pg_stat_user_tables ORDER BY 1, 2"
    ),
    "mysql": (
        "SELECT TABLE_NAME, TABLE_ROWS, DATA_LENGTH, UPDATE_TIME FROM information_schema.TABLES "
        "WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1"
    ),
}


def state(database: Database) -> str:
    """Return a digest of the schema and of the content's state, 32 hexadecimal digits. Raises `DatabaseError`."""
    digest = hashlib.sha256(repr(database.schema).encode("utf-8", "surrogatepass"))
    for part in _content(database):
        digest.update(repr(part).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]


def _content(database: Database) -> Iterator[object]:
    address = database.address
    match address.kind:
        case "sqlite":
            yield from _with_log(address.location, "-wal")
        case "duckdb":
            yield from _with_log(address.location, ".wal")
        case "files" if os.path.isdir(address.location):
            for name in sorted(filter(is_table_file, os.listdir(address.location))):
                yield name, _file(os.path.join(address.location, name))
        case "files":
            yield _file(address.location)
        case "postgres" | "mysql":
            try:
                yield from database.run(_COUNTS[address.kind]).rows
            except QueryError:  # a user without the right to see them
                return


def _with_log(location: str, ending: str) -> Iterator[object]:
    path = os.path.realpath(location)  # a log lies beside the file itself, not beside a link to it
    yield _file(path)
    yield _file(path + ending)


def _file(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
