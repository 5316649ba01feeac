"""Does the gold SQL run, does it give anything, do different queries for one prompt agree? On the databases, read-only.

Splits as read and the folder's `data.json` go in; findings come out. One database is open at a time. Knows no models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from myna.checking.duplicates import locate
from myna.checking.findings import Finding, Severity, Tallies, Tally
from myna.checking.split import Split, facts_of
from myna.data.example import Example
from myna.databases.allowed import place_in_data
from myna.errors import DatabaseError, DataError, MissingDependency, QueryError
from myna.text2sql.facts import NOTE, SqlFacts, named_databases

if TYPE_CHECKING:
    from myna.databases import Database, Limits

_REMEMBERED = 4096
"""Queries of a database whose outcome is kept: one query is often asked in several ways, near each other."""
_OWN_READING = "spider"
"""Its gold writes texts in double quotes, as SQLite lets one do."""
_MOST_ANSWERS = 20
"""A prompt with more examples is no question with one right query."""

_MEANING: dict[str, tuple[Severity, str]] = {
    "database unknown": ("serious", '"databases" in data.json does not say where it is, so nothing is scored'),
    "database unusable": ("serious", "It can't be opened, so nothing that asks it is scored"),
    "gold SQL fails": ("serious", "It does not run, so a model learns it and can't be right: mend or remove it"),
    "empty gold result": ("note", "No row comes back, so any wrong query that finds nothing is right too"),
}


class GoldRuns:
    """Runs gold SQL on the databases of one data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: Mapping[str, str] = {}
        with suppress(DataError):  # what can't be read names no database, which is found below
            self._places = named_databases(folder)
        self._tallies = Tallies(Tally)
        self._not_allowed = Tallies(Tally)
        """By what is wrong with the place of a database, and how to allow it."""

    def check(self, splits: Sequence[Split]) -> Iterator[Finding]:
        """Run the gold SQL of all splits, database by database."""
        for split in splits:
            for number, name in enumerate(split.names):
                self._check(split, name, np.flatnonzero(split.databases == number))
        for kind, (severity, advice) in _MEANING.items():
            if kind in self._tallies:
                yield self._tallies[kind].finding(kind, severity, advice)
        for reason, tally in self._not_allowed.items():
            yield tally.finding("database not opened", "serious", reason)

    def part(
        self, splits: Sequence[Split], groups: Sequence[NDArray[np.int64]]
    ) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
        """Part contradicted prompts into those whose gold SQL gives one result, however it is written, and the rest."""
        known = [(facts, number) for number, group in enumerate(groups) if (facts := self._known(splits, group))]
        known.sort(key=lambda question: (question[0][0].database, question[1]))
        agree = set[int]()
        for _, questions in groupby(known, key=lambda question: question[0][0].database):
            agree |= self._agreeing(list(questions))
        agreeing = [group for number, group in enumerate(groups) if number in agree]
        return agreeing, [group for number, group in enumerate(groups) if number not in agree]

    def _check(self, split: Split, name: str, rows: NDArray[np.int64]) -> None:
        """Run the gold SQL of these examples of a split, which all ask the database `name`."""
        from myna.databases import Limits

        examples = split.examples.subset(rows)
        if name not in self._places:
            for example in examples:
                self._tallies["database unknown"].add(example.source, name)
            return
        try:
            self._place(name)
        except DatabaseError as error:
            for example in examples:
                self._not_allowed[str(error)].add(example.source, name)
            return
        try:
            # one row tells whether there is any
            with self._open(name, _source(examples[0]), Limits(rows=1)) as database:
                self._run_all(database, examples)
        except (DatabaseError, MissingDependency) as error:
            for example in examples:
                self._tallies["database unusable"].add(example.source, str(error))

    def _run_all(self, database: Database, examples: Sequence[Example]) -> None:
        @lru_cache(_REMEMBERED)
        def outcome(sql: str) -> tuple[str, str] | None:
            """Return what is wrong with a query, as a kind and a reason."""
            try:
                return None if database.run(sql).rows else ("empty gold result", "")
            except QueryError as error:
                return "gold SQL fails", f"{error} — "

        for example in examples:
            facts = facts_of(example)
            if facts is not None and (wrong := outcome(facts.gold)) is not None:
                kind, reason = wrong
                self._tallies[kind].add(example.source, f"{reason}{facts.gold}")

    def _known(self, splits: Sequence[Split], group: NDArray[np.int64]) -> list[SqlFacts]:
        """Return the SQL facts of a prompt's examples; nothing where not all have some, on one database."""
        if len(group) > _MOST_ANSWERS:
            return []
        examples = [split.examples[row] for split, row in (locate(splits, int(row)) for row in group)]
        known = [facts for facts in map(facts_of, examples) if facts is not None]
        databases = {facts.database for facts in known}
        return known if len(known) == len(group) and len(databases & self._places.keys()) == len(databases) == 1 else []

    def _agreeing(self, questions: Sequence[tuple[list[SqlFacts], int]]) -> set[int]:
        """Return the numbers of those of a database's questions whose queries all give the same result."""
        from myna.databases import Limits

        (first, *_), _ = questions[0]
        agree = set[int]()
        with suppress(DatabaseError, MissingDependency), self._open(first.database, first.source, Limits()) as database:
            for known, number in questions:
                with suppress(QueryError):
                    if _same_results(database, dict.fromkeys(facts.gold for facts in known)):
                        agree.add(number)
        return agree

    def _open(self, name: str, source: str, limits: Limits) -> Database:
        from myna.databases import Database  # needs SQL libraries, which data without SQL doesn't

        return Database.open(self._place(name), limits=limits, double_quoted_strings=source == _OWN_READING)

    def _place(self, name: str) -> str:
        """Return where a database is. Raises `DatabaseError` when data may not name it."""
        return place_in_data(self._places[name], self._folder, where=f"{NOTE}: the database {name!r}")


def _same_results(database: Database, queries: Iterable[str]) -> bool:
    """Raises `QueryError` when one of them does not run."""
    from myna.text2sql.comparison import is_ordered, same_result

    first, *others = queries
    result, ordered = database.run(first), is_ordered(first, database.dialect)
    return all(same_result(result, database.run(other), ordered=ordered) for other in others)


def _source(example: Example) -> str:
    facts = facts_of(example)
    return facts.source if facts is not None else ""
