"""The SQL facts of an example: which database it asks, what the right SQL is, and where the question came from.

They stand under `"sql"` in a line of a data folder, and where its databases are in the folder's `data.json`. Scoring
and data checks read both here; data builders write them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myna.data.example import Example
from myna.errors import DataError, excerpt
from myna.runs import restore

NOTE = "data.json"
"""Says how a data folder was made."""


@dataclass(frozen=True, slots=True)
class SqlFacts:
    """What scoring must know of a question."""

    database: str
    """A key of `databases` in the folder's `data.json`, which says where it is; empty where there is only a schema."""
    gold: str
    source: str = ""
    """The data set it comes from, `wikisql`, `spider` …: scored by that benchmark's published rule."""
    line: int | None = None
    """1-based line (or number) of the question in the source's own file."""
    query: Mapping[str, Any] | None = None
    """WikiSQL's own form of the gold query, `{"table_id", "sel", "agg", "conds"}`."""

    def as_dict(self) -> dict[str, Any]:
        """Return what stands under `"sql"`."""
        database = {"database": self.database} if self.database else {}
        query = {"query": dict(self.query)} if self.query is not None else {}
        return {**database, "gold": self.gold, "source": self.source, "line": self.line, **query}

    @classmethod
    def of(cls, example: Example) -> SqlFacts | None:
        """Return the facts of `example`, None when it has none. Raises `DataError` for incomplete ones."""
        facts = example.sql
        if facts is None:
            return None
        if not isinstance(facts.get("gold"), str) or not facts["gold"]:
            raise DataError(
                f'{example.source}: "sql" needs a "gold" that is a text, found {excerpt(facts.get("gold"))}'
            )
        if not isinstance(facts.get("database", ""), str):
            raise DataError(
                f'{example.source}: the "database" of "sql" must be a name, found {excerpt(facts["database"])}'
            )
        line = facts.get("line")
        query = facts.get("query")
        return cls(
            database=facts.get("database", ""),
            gold=facts["gold"],
            source=str(facts.get("source") or ""),
            line=line if isinstance(line, int) else None,
            query=query if isinstance(query, Mapping) else None,
        )


def named_databases(folder: Path) -> Mapping[str, str]:
    """Return where the databases of a data folder are, by name: paths, relative ones to the folder, or URLs.

    Empty when its `data.json` names none. Raises `DataError` when that can't be read.
    """
    named = data_note(folder).get("databases", {})
    if not isinstance(named, dict) or not all(isinstance(place, str) for place in named.values()):
        raise DataError(f'{folder / NOTE}: "databases" must say where each database is, {{"NAME": "PATH OR URL"}}')
    return named


def official_folder(folder: Path) -> Path:
    """Return where a data folder has the files of its benchmark's own evaluator: `official/`, or what `data.json` says.

    Raises `DataError` when that can't be read.
    """
    return folder / str(data_note(folder).get("official") or "official")


def data_note(folder: Path) -> Mapping[str, Any]:
    """Return what `data.json` says of how a data folder was made; empty without one.

    Raises `DataError` when it can't be read.
    """
    restore(folder)
    note = folder / NOTE
    try:
        content = json.loads(note.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{note}: can't be read ({error}); build the data folder again") from error
    return content if isinstance(content, dict) else {}
