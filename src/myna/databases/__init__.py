"""Databases: read-only access to people's databases. `Database.open(url)`, then `schema`, `prepare(sql)`, `run(sql)`.

A URL and SQL go in, schema and rows come out. Whatever SQL is given, nothing is changed and nothing lasts. Knows no
models, prompts or questions. Each name is imported when it is first used: a database's worker process loads only what
its own kind needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from myna.databases.database import Database
    from myna.databases.query import Limits, Result
    from myna.databases.schema import Column, ForeignKey, Schema, Skipped, Table

__all__ = ["Column", "Database", "ForeignKey", "Limits", "Result", "Schema", "Skipped", "Table"]

_HOMES = {
    "Database": "myna.databases.database",
    "Limits": "myna.databases.query",
    "Result": "myna.databases.query",
    "Column": "myna.databases.schema",
    "ForeignKey": "myna.databases.schema",
    "Schema": "myna.databases.schema",
    "Skipped": "myna.databases.schema",
    "Table": "myna.databases.schema",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'myna.databases' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
