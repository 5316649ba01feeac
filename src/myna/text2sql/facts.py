"""The SQL facts of an example: which database it asks, what the right SQL is, and where the question came from.

They stand under `"sql"` in a line of a data folder. Scoring and data checks read them here; data builders write them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from myna.data.example import Example
from myna.errors import DataError


@dataclass(frozen=True, slots=True)
class SqlFacts:
    """What scoring must know of a question."""

    database: str
    """A key of `databases` in the folder's `data.json`, which says where it is."""
    gold: str
    source: str = ""
    """The data set it comes from, `wikisql`, `spider` …: scored by that benchmark's published rule."""
    line: int | None = None
    """1-based line (or number) of the question in the source's own file."""
    query: Mapping[str, Any] | None = None
    """WikiSQL's own form of the gold query, `{"table_id", "sel", "agg", "conds"}`."""

    def as_dict(self) -> dict[str, Any]:
        """Return what stands under `"sql"`."""
        named = {"database": self.database, "gold": self.gold, "source": self.source, "line": self.line}
        return {**named, "query": dict(self.query)} if self.query is not None else named

    @classmethod
    def of(cls, example: Example) -> SqlFacts | None:
        """Return the facts of `example`, None when it has none. Raises `DataError` for incomplete ones."""
        facts = example.sql
        if facts is None:
            return None
        for name in ("database", "gold"):
            if not isinstance(facts.get(name), str) or not facts[name]:
                raise DataError(f'{example.source}: "sql" needs a "{name}" that is a text, found {facts.get(name)!r}')
        line = facts.get("line")
        query = facts.get("query")
        return cls(
            database=facts["database"],
            gold=facts["gold"],
            source=str(facts.get("source") or ""),
            line=line if isinstance(line, int) else None,
            query=query if isinstance(query, Mapping) else None,
        )
