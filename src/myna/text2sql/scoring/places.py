"""Where a question's database is, as the scorer tells its worker processes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """address: a path or URL. official: what its benchmark's own evaluator reads of it, when the data folder has that.

    WikiSQL's `.db` file, or Spider's `tables.json`.
    """

    address: str
    official: str | None = None
