"""Where a question's database is, as the scorer tells its worker processes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """address: a path or URL. official: WikiSQL's file for its own evaluator, when the data folder has one."""

    address: str
    official: str | None = None
