"""Does the gold SQL run, and does it give anything? Every gold query of a split on its own database, read-only.

Splits as read and the folder's `data.json` go in; findings come out. One database is open at a time. Knows no models.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from myna.checking.findings import Finding, Severity, Tallies, Tally
from myna.checking.split import Split, facts_of
from myna.data.example import Example
from myna.errors import DatabaseError, MissingDependency, QueryError

if TYPE_CHECKING:
    from myna.databases import Database

_REMEMBERED = 4096
"""Queries of a database whose outcome is kept: one query is often asked in several ways, near each other."""
_OWN_READING = "spider"
"""Its gold writes texts in double quotes, as SQLite lets one do."""

_Outcome: TypeAlias = Literal["fine", "empty"] | str


def gold_findings(folder: Path, splits: Sequence[Split]) -> Iterator[Finding]:
    """Run the gold SQL of all splits."""
    if not any(split.names for split in splits):
        return
    runs = _Runs(folder, locations(folder))
    for split in splits:
        for number, name in enumerate(split.names):
            runs.run(split, name, np.flatnonzero(split.databases == number))
    yield from runs.findings()


def locations(folder: Path) -> Mapping[str, str]:
    """Return where the databases of a data folder are, by name; empty when its `data.json` doesn't say."""
    try:
        databases = json.loads((folder / "data.json").read_text("utf-8"))["databases"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    if not isinstance(databases, dict):
        return {}
    return {name: place for name, place in databases.items() if isinstance(place, str)}


@dataclass(slots=True)
class _Runs:
    """Runs queries and keeps what is to be said about them."""

    folder: Path
    places: Mapping[str, str]
    _tallies: Tallies = field(default_factory=lambda: Tallies(Tally))

    def run(self, split: Split, name: str, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        """Run the gold SQL of these examples of a split, which all ask the database `name`."""
        examples = split.examples.subset(rows)
        from myna.databases import Database, Limits  # needs SQL libraries, which data without SQL doesn't

        if name not in self.places:
            for example in examples:
                self._tallies["database unknown"].add(example.source, name)
            return
        place = self.places[name]
        where = place if "://" in place else self.folder / place
        lenient = _source(examples[0]) == _OWN_READING
        try:
            with Database.open(where, limits=Limits(rows=1), double_quoted_strings=lenient) as database:
                self._run_all(database, examples)
        except (DatabaseError, MissingDependency) as error:
            for example in examples:
                self._tallies["database unusable"].add(example.source, str(error))

    def _run_all(self, database: Database, examples: Sequence[Example]) -> None:
        @lru_cache(_REMEMBERED)
        def outcome(sql: str) -> _Outcome:
            try:
                return "fine" if database.run(sql).rows else "empty"
            except QueryError as error:
                return str(error)

        for example in examples:
            facts = facts_of(example)
            if facts is None or (found := outcome(facts.gold)) == "fine":
                continue
            if found == "empty":
                self._tallies["empty gold result"].add(example.source, facts.gold)
            else:
                self._tallies["gold SQL fails"].add(example.source, f"{found} — {facts.gold}")

    def findings(self) -> Iterator[Finding]:
        """Return what was found so far."""
        meaning: dict[str, tuple[Severity, str]] = {
            "database unknown": ("serious", '"databases" in data.json does not say where it is, so nothing is scored'),
            "database unusable": ("serious", "It can't be opened, so nothing that asks it is scored"),
            "gold SQL fails": (
                "serious",
                "It does not run, so a model learns it and can't be right: mend or remove it",
            ),
            "empty gold result": ("note", "No row comes back, so any wrong query that finds nothing is right too"),
        }
        for kind, (severity, advice) in meaning.items():
            if kind in self._tallies:
                yield self._tallies[kind].finding(kind, severity, advice)


def _source(example: Example) -> str:
    facts = facts_of(example)
    return facts.source if facts is not None else ""
