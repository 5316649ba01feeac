"""Where a database is: what a person types (a path or URL) → its kind, what a driver needs, and what may be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

DatabaseKind: TypeAlias = Literal["sqlite", "postgres", "mysql", "duckdb", "files"]


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address. `location` may hold a password and is never shown; `shown` never holds one."""

    kind: DatabaseKind
    location: str = field(repr=False)
    shown: str

    @classmethod
    def parse(cls, text: str | Path) -> Address:
        """Return the address in `text`. Raises `DatabaseError` for one that names no kind we know."""
        raise NotImplementedError
