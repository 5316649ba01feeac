"""The index's file: cells of a database, by key and by trigrams, in SQLite.

    columns   id, table, name, whether complete, rows seen, first and last of its cells
    cells     value and key of each; ids ascend column by column
    keys      key → cell, by spelling and, for Chinese cells, by pinyin
    trigrams  full-text index over the keys, in which each Chinese character stands twice: a trigram is then a pair

A file belongs to one state of one database. It is written beside its place and renamed, for its owner's eyes only;
readers need no lock. Format: https://www.sqlite.org/fts5.html#the_trigram_tokenizer, section 4.3.4.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from myna.databases import Database
from myna.databases.state import state
from myna.errors import ResourceError
from myna.runs import new_file
from myna.text2sql.values.cells import LIMITS, Cells, read_cells
from myna.text2sql.values.pinyin import in_pinyin
from myna.text2sql.words import has_han, is_han, key_of

_VERSION = 1
SHORTEST_IN_TRIGRAMS = 4
"""Characters of a key, or pairs of Chinese ones, in which a typo can be told."""
_BYTES_OF_ALL = 2 * 2**30
"""What all files of the folder may take; those not used for longest go first."""
_SECONDS_TO_KEEP = 24 * 3600.0
"""After this time a server's cells are read again, because its counts of changes may lag or be hidden."""

_TABLES = """
CREATE TABLE columns (
    id INTEGER PRIMARY KEY, "table" TEXT, name TEXT, complete INTEGER, rows INTEGER, first INTEGER, last INTEGER
);
CREATE TABLE cells (id INTEGER PRIMARY KEY, value, key TEXT);
CREATE TABLE keys (key TEXT, cell INTEGER, by_pinyin INTEGER, PRIMARY KEY (key, cell)) WITHOUT ROWID;
CREATE VIRTUAL TABLE trigrams USING fts5(key, tokenize = 'trigram', content = '');
CREATE VIRTUAL TABLE trigram_counts USING fts5vocab(trigrams, row);
"""


def cache_folder() -> Path:
    """Return where indexes lie: `myna/values` in the user's cache, `$XDG_CACHE_HOME` or `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "myna" / "values"


def path_of(database: Database, folder: Path) -> Path:
    """Return the file of a database in its present state. Its name tells neither address nor content."""
    address = hashlib.sha256(f"{database.address.kind}\0{_place(database)}".encode("utf-8", "surrogatepass"))
    return folder / f"{address.hexdigest()[:24]}-{state(database)}-{_VERSION}.sqlite"


def is_stale(database: Database, path: Path, now: float) -> bool:
    """Return whether a server's file has grown old."""
    return database.address.kind in ("postgres", "mysql") and path.stat().st_mtime < now - _SECONDS_TO_KEEP


def write_file(database: Database, path: Path) -> None:
    """Read the database's cells into a new file at `path`, which appears whole or not at all.

    Raises `DatabaseError` when the database can't be read, `ResourceError` when the disk is full, `OSError` or
    `RunError` when the folder can't be written to.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with new_file(path) as new:
            os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # only its owner reads it
            with database.another(limits=LIMITS) as reader, closing(sqlite3.connect(new, isolation_level=None)) as file:
                fill(file, read_cells(reader))
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise ResourceError(
                f"the disk is full while values are indexed in {path.parent}; free some, or go on with --no-values"
            ) from error
        raise


def tidy(path: Path) -> None:
    """Delete the files of the same database in other states, and the oldest of all while they take too much."""
    address = path.name.partition("-")[0]
    left = _BYTES_OF_ALL
    files = []
    for other in path.parent.glob("*.sqlite"):
        with suppress(OSError):  # another process tidies too
            files.append((other == path, max(other.stat().st_atime, other.stat().st_mtime), other))
    for ours, _, other in sorted(files, reverse=True):
        with suppress(OSError):
            left -= other.stat().st_size
            if not ours and (other.name.startswith(address) or left < 0):
                other.unlink()


def open_file(path: Path) -> sqlite3.Connection:
    """Open a finished file for reading. Raises `sqlite3.Error` for one that is missing or damaged."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cell_size_check = ON")
        if connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'trigram_counts'").fetchone() != (1,):
            raise sqlite3.DatabaseError("not an index of values")
        connection.execute("SELECT key FROM keys LIMIT 1").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def for_trigrams(key: str) -> str:
    """Return a key as the full-text index has it."""
    return "".join(character * 2 if is_han(character) else character for character in key) if has_han(key) else key


def _place(database: Database) -> str:
    address = database.address
    return address.shown if address.kind in ("postgres", "mysql") else os.path.realpath(address.location)


def fill(connection: sqlite3.Connection, found: Iterable[Cells]) -> None:
    """Write these cells into an empty database, which is open in autocommit mode. Raises `sqlite3.Error`."""
    # A file that is not finished is thrown away.
    connection.execute("PRAGMA journal_mode = OFF").close()
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(_TABLES)
    connection.execute("BEGIN")
    first = 1
    for number, cells in enumerate(found):
        last = first + len(cells.values) - 1
        described = (number, cells.table, cells.column, cells.complete, cells.rows, first, last)
        connection.execute("INSERT INTO columns VALUES (?, ?, ?, ?, ?, ?, ?)", described)
        keyed = [(place, value, key_of(str(value))) for place, value in enumerate(cells.values, first)]
        connection.executemany("INSERT INTO cells VALUES (?, ?, ?)", keyed)
        connection.executemany("INSERT OR IGNORE INTO keys VALUES (?, ?, ?)", _spellings(keyed))
        trigrams = [(place, for_trigrams(key)) for place, value, key in keyed if isinstance(value, str)]
        long = [each for each in trigrams if len(each[1]) >= SHORTEST_IN_TRIGRAMS]
        connection.executemany("INSERT INTO trigrams (rowid, key) VALUES (?, ?)", long)
        first = last + 1
    connection.execute("COMMIT")


def _spellings(keyed: Iterable[tuple[int, object, str]]) -> Iterator[tuple[str, int, bool]]:
    for place, _, key in keyed:
        yield key, place, False
        if has_han(key):
            yield in_pinyin(key), place, True
