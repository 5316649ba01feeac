"""`ValueIndex`: a question's words → the cells of a database that they name, and their columns.

    with Database.open("school.sqlite") as database, ValueIndex.open(database) as index:
        index.matches("How old is wang junjian?")

A cell is found when a run of the question's words has its key (`words.key_of`), or its pinyin; when a run is a typo of
it; when a run is at least half of it; a number when the question has it as a word of its own. Of the database nothing
but the matched cells is given away. Knows no model and no prompt.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from myna.databases import Database
from myna.errors import MissingDependency, RunError
from myna.text2sql.chinese_words import spoken_in_chinese
from myna.text2sql.grammar import Literal
from myna.text2sql.prompt_settings import ValueNames
from myna.text2sql.values.cells import Cells
from myna.text2sql.values.file import cache_folder, fill, is_stale, open_file, path_of, tidy, write_file
from myna.text2sql.values.finding import Finder, Found
from myna.text2sql.words import key_of, name_words, singular, words

LONGEST_QUESTION = 2_000
"""Characters of a question that are looked at."""
_MOST_MATCHES = 10
_OF_A_COLUMN = 3
"""Matches of one column that are given; more is a choice that the words don't make."""


@dataclass(frozen=True, slots=True)
class ValueMatch:
    """A cell that a question names. score: 0 to 1, how surely. start, stop: where in the question."""

    table: str
    column: str
    value: Literal
    score: float
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class IndexedColumn:
    """A column of the index. complete: the index has all its values but long texts. rows: of its table seen."""

    table: str
    name: str
    complete: bool
    rows: int
    values: int


class ValueIndex:
    """The values of one database in its present state. Threads may share it."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        temporary: tempfile.TemporaryDirectory[str] | None,
        value_names: ValueNames | None = None,
    ) -> None:
        """Use `ValueIndex.open`."""
        self._connection = connection
        self._temporary = temporary
        rows = connection.execute(
            'SELECT "table", name, complete, rows, first, last FROM columns ORDER BY id'
        ).fetchall()
        self.columns = tuple(
            IndexedColumn(table, name, bool(complete), seen, last - first + 1)
            for table, name, complete, seen, first, last in rows
        )
        self._firsts = [first for *_, first, _ in rows]
        self._lasts = [last for *_, last in rows]
        self._names = [frozenset(name_words(column.name)) for column in self.columns]
        self._chinese = [tuple(spoken_in_chinese(name_words(column.name))) for column in self.columns]
        self._places: dict[str, list[int]] = {}
        for place, column in enumerate(self.columns):
            self._places.setdefault(column.table, []).append(place)
        schema_words = frozenset().union(*self._names, *map(name_words, self._places))
        named: dict[str, list[tuple[int, Literal]]] = {}
        for place, column in enumerate(self.columns):
            names = (value_names or {}).get(column.table, {}).get(column.name, {})
            cells = set(self.values_of(place)) if names and column.complete else ()
            for name, value in names.items():
                if value in cells or not column.complete:
                    named.setdefault(key_of(name), []).append((place, value))
        self._finder = Finder(connection, self._firsts, schema_words, named)

    @classmethod
    def open(
        cls, database: Database, *, folder: Path | None = None, value_names: ValueNames | None = None
    ) -> ValueIndex:
        """Open the index of `database`, which is made first where none is for its present state.

        folder: where indexes are kept, by default `cache_folder()`; where nothing can be written there, the index lasts
        until it is closed. value_names: what people call values, beside what the cells say; a name whose value the
        column no longer has is passed over. Raises `DatabaseError` when the database can't be read,
        `MissingDependency` without RapidFuzz or pypinyin, and `ResourceError` when the disk is full.
        """
        _require_libraries()
        path = path_of(database, folder or cache_folder())
        try:
            if not is_stale(database, path, time.time()):
                return cls(open_file(path), None, value_names)
        except (OSError, sqlite3.Error):
            pass  # there is none, or a damaged one: it is made again
        try:
            write_file(database, path)
            tidy(path)
            return cls(open_file(path), None, value_names)
        except (OSError, RunError, sqlite3.Error):
            temporary = tempfile.TemporaryDirectory(prefix="myna-values-", ignore_cleanup_errors=True)
            write_file(database, Path(temporary.name) / path.name)
            return cls(open_file(Path(temporary.name) / path.name), temporary, value_names)

    @classmethod
    def of(cls, cells: Iterable[Cells]) -> ValueIndex:
        """Make an index of these cells in memory. Raises `MissingDependency` without RapidFuzz or pypinyin."""
        _require_libraries()
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        fill(connection, cells)
        return cls(connection, None)

    def matches(self, question: str) -> tuple[ValueMatch, ...]:
        """Return the cells that a question names, those named by most of its letters first, ten at most.

        What a longer match covers is left out ("York" in "New York"), and so are words like "the".
        """
        asked = question[:LONGEST_QUESTION]
        mentioned = {singular(word.text) for word in words(asked)}
        everything = self.find(asked)
        parts = Counter((each.column, each.start, each.stop) for each in everything if each.how == "part")
        ranked = []
        for found in everything:
            is_named = not self._names[found.column].isdisjoint(mentioned) or any(
                name in asked for name in self._chinese[found.column]
            )
            if found.is_common or (found.how == "number" and not is_named):
                continue
            if parts[found.column, found.start, found.stop] > _OF_A_COLUMN and found.how == "part":
                continue  # "university" in the names of many
            column = self.columns[found.column]
            match = ValueMatch(column.table, column.name, found.value, round(found.score, 3), found.start, found.stop)
            ranked.append(((found.start - found.stop, -found.score, not is_named, found.column), match))
        ranked.sort(key=lambda each: each[0])
        return tuple(_chosen(match for _, match in ranked))[:_MOST_MATCHES]

    def find(self, question: str, *, tables: Collection[str] | None = None) -> list[Found]:
        """Return every cell that some words of a question name, also words that a longer match covers.

        tables: looks in these only.
        """
        places = range(len(self.columns)) if tables is None else self.places_of(tables)
        return self._finder.find(question[:LONGEST_QUESTION], self._ranges(places))

    def places_of(self, tables: Collection[str]) -> list[int]:
        """Return the places in `columns` of the columns of these tables, in order."""
        return sorted(place for table in set(tables) for place in self._places.get(table, ()))

    def values_of(self, column: int) -> list[Literal]:
        """Return all values of the column at this place of `columns`."""
        rows = self._connection.execute(
            "SELECT value FROM cells WHERE id BETWEEN ? AND ?", (self._firsts[column], self._lasts[column])
        )
        return [value for (value,) in rows]

    def _ranges(self, places: Iterable[int]) -> list[tuple[int, int]]:
        """Return the first and last cell of the columns at these places; neighbours together."""
        ranges: list[tuple[int, int]] = []
        for place in places:
            first, last = self._firsts[place], self._lasts[place]
            if ranges and ranges[-1][1] == first - 1:
                ranges[-1] = ranges[-1][0], last
            else:
                ranges.append((first, last))
        return ranges

    def close(self) -> None:
        """Close it; harmless when called twice."""
        self._connection.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _require_libraries() -> None:
    try:
        import rapidfuzz  # noqa: F401 -- better before the index is made than after
    except ImportError as error:
        raise MissingDependency("values are looked up with RapidFuzz: pip install 'myna[sql]'") from error


def _chosen(ranked: Iterable[ValueMatch]) -> Iterator[ValueMatch]:
    """Leave out what a longer match covers, what was given already, and a column's choices beyond the first few."""
    longer: list[tuple[int, int]] = []
    given: Counter[tuple[str, str]] = Counter()
    seen = set[tuple[str, str, Literal]]()
    for match in ranked:
        place, column = (match.start, match.stop), (match.table, match.column)
        covered = any(start <= place[0] and place[1] <= stop and (start, stop) != place for start, stop in longer)
        if covered or given[column] == _OF_A_COLUMN or (*column, match.value) in seen:
            continue
        longer.append(place)
        given[column] += 1
        seen.add((*column, match.value))
        yield match
