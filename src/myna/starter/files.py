"""The demo's databases: SQL text that ships with the package → SQLite files.

Knows nothing of what is asked of them.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from myna.runs import write_file

DATABASES = Path(__file__).parent / "databases"
"""`students.sql`: one table. `birds.sql`: three, with foreign keys and dates."""


def write_database(name: str, path: Path) -> None:
    """Write the database `name` as a SQLite file, whole or not at all.

    Raises `ResourceError` when the disk is full and `RunError` when writing is not permitted.
    """
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript((DATABASES / f"{name}.sql").read_text(encoding="utf-8"))
        connection.commit()
        content = connection.serialize()
    finally:
        connection.close()
    write_file(path, content)
