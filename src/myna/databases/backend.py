"""What a kind of database must be able to do, behind the wall: `Backend`. One module here implements it for each kind.

A backend lives in the worker process (`worker.py`), opens its database so that nothing can be written through it, and
is given only statements that passed `statement.py`. It need not trust that check: the wall stands in the database.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from myna.databases.query import Limits, Result
from myna.databases.schema import Schema


class Backend(Protocol):
    """An open database of one kind."""

    dialect: str
    """sqlglot's name of its SQL: sqlite, postgres, mysql, duckdb."""

    def run(self, sql: str, limits: Limits) -> Result:
        """Run one query within `limits`. Raises `QueryError`."""

    def prepare(self, sql: str) -> None:
        """Let the database check a query without running it. Raises `QueryError`."""

    def schema(self) -> Schema:
        """Describe the tables and views. Raises `DatabaseError`."""

    def close(self) -> None:
        """Close it; harmless when called twice."""


@runtime_checkable
class RunsOnServer(Protocol):
    """A backend whose queries run on when this process ends, on a server that does not notice by itself."""

    def abandon(self) -> None:
        """End the query that is running, because nobody waits for it any more. Called from another thread."""
