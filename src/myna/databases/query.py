"""What a query may cost, what it gives, and the errors that say it cost too much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from myna.errors import QueryError


@dataclass(frozen=True, slots=True)
class Limits:
    """The cost of one query. What exceeds rows or bytes is cut (`Result.truncated`); the others end it."""

    seconds: float = 10.0
    rows: int = 10_000
    bytes: int = 16 * 2**20
    """Of the result's rows as Python holds them in memory, where a number takes 28 and a short text about 60."""
    memory: int = 200 * 2**20
    """Of the process that runs the query, in bytes."""


@dataclass(frozen=True, slots=True)
class Result:
    """A query's answer. Cells are None, int, float, str, bytes, or what stands for the database's own types."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool
    seconds: float


def took_too_long(seconds: float) -> QueryError:
    """Return the error for a query that was ended after `seconds`."""
    message = f"the query took longer than {seconds:g} s; ask for less, or raise the limit"
    return QueryError(f"{message} (--time-limit, in Python Limits.seconds)", "time")


def took_too_much_memory() -> QueryError:
    """Return the error for a query that met the memory limit."""
    return QueryError(
        "the query takes more memory than the limit; ask for less, or raise the limit (in Python Limits.memory)",
        "memory",
    )
