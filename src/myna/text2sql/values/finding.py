"""A question → the cells that runs of its words name: by key, by pinyin, with typos, in part. Numbers by their value.

Works on an index's file (`file.py`) and knows nothing else of the database. Every run of words is looked up, so that
whoever asks can choose between "New York" and "York"; typos and parts are looked for only where nothing fits exactly.
"""

from __future__ import annotations

import json
import re
import sqlite3
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from typing import Literal as OneOf
from typing import TypeAlias

from myna.text2sql.grammar import Literal
from myna.text2sql.values.file import SHORTEST_IN_TRIGRAMS, for_trigrams
from myna.text2sql.values.pinyin import in_pinyin
from myna.text2sql.words import Word, has_han, is_comparing, is_han, key, key_of, keys, numbers, singular, words

_WORDS_IN_A_RUN = 30
_CANDIDATES = 50
"""Cells that are compared letter by letter, for each run of words that nothing fits exactly."""
_COMMON = 20_000
"""A trigram in more cells tells too little for what it takes to count them."""
_TEXTS_KEPT, _CELLS_KEPT = 1_024, 8_192
"""Texts whose candidates are kept, and cells that are kept as they were taken apart."""
_TRIGRAMS = 12
"""The rarest of a run, which are looked up."""
_BY_PINYIN, _OTHER_CHARACTERS, _LEAST_PART = 0.9, 0.8, 0.5
_SIGNS = re.compile(r"[^\w\s?.,;:!'\"()\[\]，。？！、；：（）]+")


@dataclass(frozen=True, slots=True)
class Found:
    """A cell and the words that name it. start, stop: in the question. column: its place among the index's columns."""

    column: int
    value: Literal
    start: int
    stop: int
    score: float
    how: OneOf["words", "pinyin", "typo", "part", "number"]
    is_common: bool = False
    """Whether the words are such as "the", or signs."""


_Shape: TypeAlias = tuple[str, tuple[str, ...]]
"""The first letter of a key, and its words of one letter: "University A" is not "University" mistyped."""


@dataclass(frozen=True, slots=True, eq=False)
class _Cell:
    """A cell, taken apart to be compared with parts of questions.

    places: of each word among its words. shape: what a typo leaves, see `_shape`. size: characters of all words.
    """

    id: int
    value: str
    key: str
    texts: tuple[str, ...]
    places: Mapping[str, Sequence[int]]
    shape: _Shape
    size: int
    has_han: bool

    @classmethod
    def of(cls, id: int, value: str, key: str) -> _Cell:
        found = words(value)
        texts = tuple(word.text for word in found)
        places: dict[str, list[int]] = {}
        for place, text in enumerate(texts):
            places.setdefault(text, []).append(place)
        return cls(id, value, key, texts, places, _shape(key, found), sum(map(len, texts)), has_han(key))


class Finder:
    """Looks questions up in one index file."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        firsts: Sequence[int],
        schema_words: Collection[str],
        named: Mapping[str, Sequence[tuple[int, Literal]]],
    ) -> None:
        """firsts: the first cell of each column. schema_words: of tables and columns; never taken for typos. named:
        columns and values by the key of what people call the value.
        """
        self._connection = connection
        self._firsts = firsts
        self._schema_words = schema_words
        self._named = named
        # Questions about one database have many words in common, and its index never changes.
        self._alike = lru_cache(maxsize=_TEXTS_KEPT)(self._look_for_alike)
        self._taken_apart = lru_cache(maxsize=_CELLS_KEPT)(_Cell.of)

    def find(self, question: str, ranges: Sequence[tuple[int, int]]) -> list[Found]:
        """Return what is found among the cells in `ranges` (first and last id)."""
        asked = words(question)
        by_key = self._by_key(asked, ranges)
        by_pinyin = self._by_pinyin(asked, ranges) if has_han(question) else ()
        exact = [*by_key, *by_pinyin, *self._signs(question, ranges)]
        telling = [each for each in exact if not each.is_common]
        taken = [any(each.start <= word.start and word.stop <= each.stop for each in telling) for word in asked]
        return [*exact, *self._numbers(question, ranges), *self._nearly(asked, taken, ranges)]

    def _by_key(self, asked: Sequence[Word], ranges: Sequence[tuple[int, int]]) -> Iterator[Found]:
        runs = _runs(asked)
        for found, by_pinyin, cell, value in self._look_up(runs, ranges):
            if isinstance(value, str) and not (by_pinyin and _han(value) < 2):
                for first, last in runs[found]:
                    part = asked[first : last + 1]
                    common = all(word.is_stop_word for word in part)
                    if by_pinyin:
                        yield self._found(cell, value, part, _BY_PINYIN, "pinyin", common)
                    else:
                        yield self._found(cell, value, part, 1.0, "words", common)
        for written, places in runs.items() if self._named else ():
            for column, value in self._named.get(written, ()):
                if any(first <= self._firsts[column] <= last for first, last in ranges):
                    for first, last in places:
                        part = asked[first : last + 1]
                        common = all(word.is_stop_word for word in part)
                        yield self._found(self._firsts[column], value, part, 1.0, "words", common)

    def _by_pinyin(self, asked: Sequence[Word], ranges: Sequence[tuple[int, int]]) -> Iterator[Found]:
        """Find what Chinese words name in Latin letters, or in other characters of the same sound."""
        runs = _runs_in_pinyin(asked)
        for found, by_pinyin, cell, value in self._look_up(runs, ranges) if runs else ():
            for first, last in runs[found]:
                part = asked[first : last + 1]
                written = key(part)
                if is_comparing(written):
                    continue
                if by_pinyin and key_of(str(value)) != written and len(written) >= 3:
                    yield self._found(cell, value, part, _OTHER_CHARACTERS, "pinyin")
                elif not by_pinyin and isinstance(value, str) and not has_han(value):
                    yield self._found(cell, value, part, _BY_PINYIN, "pinyin")

    def _signs(self, question: str, ranges: Sequence[tuple[int, int]]) -> Iterator[Found]:
        """Find cells without any word: ✓, +, –."""
        signs: dict[str, list[re.Match[str]]] = {}
        for match in _SIGNS.finditer(question):
            signs.setdefault(key_of(match[0]), []).append(match)
        for found, _, cell, value in self._look_up(signs, ranges) if signs else ():
            for match in signs[found]:
                yield Found(self._column(cell), value, match.start(), match.end(), 1.0, "words", is_common=True)

    def _numbers(self, question: str, ranges: Sequence[tuple[int, int]]) -> Iterator[Found]:
        named = numbers(question)
        keys = {word.text for number in named for word in words(str(abs(number.value)))}
        for _, _, cell, value in self._look_up(keys, ranges) if named else ():
            if not isinstance(value, str):
                for number in named:
                    if number.value == value:
                        yield Found(self._column(cell), value, number.start, number.stop, 1.0, "number")

    def _look_up(self, keys: Collection[str], ranges: Sequence[tuple[int, int]]) -> list[tuple[str, int, int, Literal]]:
        """Return key, whether by pinyin, id and value of the cells with these keys."""
        sql = (
            "SELECT keys.key, by_pinyin, cell, value FROM keys JOIN cells ON cells.id = keys.cell "
            "WHERE keys.key IN (SELECT value FROM json_each(?)) AND cell BETWEEN ? AND ?"
        )
        listed = json.dumps(list(keys))
        return [row for bounds in ranges for row in self._connection.execute(sql, (listed, *bounds))]

    def _nearly(
        self, asked: Sequence[Word], taken: Sequence[bool], ranges: Sequence[tuple[int, int]]
    ) -> Iterator[Found]:
        """Find cells of which a run of words, not taken yet, is a typo or a part."""
        for run in _untaken(asked, taken, self._schema_words):
            bounds = tuple(ranges)
            alike = {cell.id: cell for text in _pieces(run) for cell in self._alike(text, bounds)}.values()
            windows = _windows(run, {cell.key[:1] for cell in alike})
            texts = {word.text for word in run}
            for cell in alike:
                by_length = windows.get(cell.shape)
                likeness, nearest = _nearest(by_length, cell) if by_length is not None else (0.0, ())
                if likeness and not self._is_of_the_schema(nearest):
                    yield self._found(cell.id, cell.value, nearest, likeness, "typo")
                elif not texts.isdisjoint(cell.texts):
                    part = _part(run, cell)
                    if part is not None and not self._is_of_the_schema(part[0]):
                        yield self._found(cell.id, cell.value, part[0], part[1], "part")

    def _look_for_alike(self, text: str, ranges: tuple[tuple[int, int], ...]) -> tuple[_Cell, ...]:
        """Return the cells that share most of the text's rare trigrams."""
        doubled = for_trigrams(text)
        trigrams = {doubled[place : place + 3] for place in range(len(doubled) - 2)}
        if len(doubled) < SHORTEST_IN_TRIGRAMS or not trigrams:
            return ()
        counted = self._connection.execute(
            "SELECT term, doc FROM trigram_counts WHERE term IN (SELECT value FROM json_each(?))",
            (json.dumps(list(trigrams)),),
        ).fetchall()
        rare = sorted((count, term) for term, count in counted if count <= _COMMON)[:_TRIGRAMS]
        if not rare:
            return ()
        match = " OR ".join('"' + term.replace('"', '""') + '"' for _, term in rare)
        sql = (
            "SELECT cells.id, cells.value, cells.key FROM (SELECT rowid FROM trigrams WHERE trigrams MATCH ? "
            "AND rowid BETWEEN ? AND ? ORDER BY rank LIMIT ?) AS near JOIN cells ON cells.id = near.rowid"
        )
        found = (self._connection.execute(sql, (match, *bounds, _CANDIDATES)) for bounds in ranges)
        return tuple(self._taken_apart(*row) for rows in found for row in rows)

    def _is_of_the_schema(self, part: Sequence[Word]) -> bool:
        return all(word.is_stop_word or singular(word.text) in self._schema_words for word in part)

    def _column(self, cell: int) -> int:
        return bisect_right(self._firsts, cell) - 1

    def _found(
        self,
        cell: int,
        value: Literal,
        part: Sequence[Word],
        score: float,
        how: OneOf["words", "pinyin", "typo", "part", "number"],
        is_common: bool = False,
    ) -> Found:
        return Found(self._column(cell), value, part[0].start, part[-1].stop, score, how, is_common)


def _runs(asked: Sequence[Word]) -> dict[str, list[tuple[int, int]]]:
    """Return the key of each run of words, and where it is: first and last word."""
    found: dict[str, list[tuple[int, int]]] = {}
    for first in range(len(asked)):
        for last, written in enumerate(keys(asked[first : first + _WORDS_IN_A_RUN]), start=first):
            found.setdefault(written, []).append((first, last))
    return found


def _runs_in_pinyin(asked: Sequence[Word]) -> dict[str, list[tuple[int, int]]]:
    """Return the same of runs with two or more Chinese characters, each key in pinyin."""
    spoken = [replace(word, text=in_pinyin(word.text)) for word in asked]
    han = [_han(word.text) for word in asked]
    found: dict[str, list[tuple[int, int]]] = {}
    for first in range(len(asked)):
        characters = 0
        for last, written in enumerate(keys(spoken[first : first + _WORDS_IN_A_RUN]), start=first):
            characters += han[last]
            if characters >= 2:
                found.setdefault(written, []).append((first, last))
    return found


def _han(text: str) -> int:
    return 0 if text.isascii() else sum(map(is_han, text))


def _untaken(asked: Sequence[Word], taken: Sequence[bool], schema_words: Collection[str]) -> Iterator[Sequence[Word]]:
    """Yield the longest runs of words that nothing took, without words at their ends that name nothing."""
    run: list[Word] = []
    for word, is_taken in [*zip(asked, taken, strict=True), (Word("", 0, 0), True)]:
        if not is_taken:
            run.append(word)
            continue
        while run and _names_nothing(run[0], schema_words):
            run.pop(0)
        while run and _names_nothing(run[-1], schema_words):
            run.pop()
        if run:
            yield run
        run = []


def _names_nothing(word: Word, schema_words: Collection[str]) -> bool:
    return word.is_stop_word or word.is_number or singular(word.text) in schema_words


def _pieces(run: Sequence[Word]) -> list[str]:
    """Return the texts whose trigrams a cell should share: the whole run, each word, each row of Chinese characters."""
    rows = "".join(word.text if is_han(word.text) else " " for word in run).split()
    return list(dict.fromkeys([key(run), *(word.text for word in run), *rows]))


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of a run and its key. order: among the parts."""

    order: int
    key: str
    part: Sequence[Word]


_ByLength: TypeAlias = Mapping[int, Sequence[_Window]]
"""Parts of a run by the length of the key."""


def _windows(run: Sequence[Word], beginnings: Collection[str]) -> Mapping[_Shape, _ByLength]:
    """Return the parts of a run whose keys begin with one of these letters."""
    found: dict[_Shape, dict[int, list[_Window]]] = {}
    for first, word in enumerate(run):
        beginning = word.text[:1]
        if beginning in beginnings:
            for stop, written in enumerate(keys(run[first : first + _WORDS_IN_A_RUN]), start=first + 1):
                part = run[first:stop]
                by_length = found.setdefault(_shape(written, part), {})
                window = _Window(first * _WORDS_IN_A_RUN + stop, written, part)
                by_length.setdefault(len(written), []).append(window)
    return found


def _nearest(windows: _ByLength, cell: _Cell) -> tuple[float, Sequence[Word]]:
    """Return how much alike the likest of the cell's shape is, of several the shortest and first; 0 where none is."""
    best: tuple[float, int, int, Sequence[Word]] = (0.0, 0, 0, ())
    size = len(cell.key)
    most = _typos_allowed(size)
    for length in range(size - most, size + most + 1):
        for window in windows.get(length, ()):
            likeness = _likeness(window.key, cell)
            if likeness:
                best = max(best, (likeness, -len(window.part), -window.order, window.part))
    return best[0], best[3]


def _shape(key: str, part: Sequence[Word]) -> _Shape:
    return key[:1], tuple(word.text for word in part if len(word.text) == 1 and not is_han(word.text))


def _likeness(written: str, cell: _Cell) -> float:
    """Return how much alike a key and a cell with the same first letter are when one is a typo of the other, else 0.

    A typo leaves the first letter and all digits; one in four to seven letters (or in three Chinese characters), two in
    eight to fifteen, three in more. A letter too many, too few, another one, or two in the wrong order is one typo.
    """
    from rapidfuzz.distance import OSA

    shortest = min(len(written), len(cell.key))
    if shortest < (3 if cell.has_han else 4):
        return 0.0
    allowed = _typos_allowed(shortest)
    distance = OSA.distance(written, cell.key, score_cutoff=allowed)
    if distance > allowed or _digits(written) != _digits(cell.key):
        return 0.0
    return 0.95 * (1 - distance / max(len(written), len(cell.key)))


def _typos_allowed(letters: int) -> int:
    return 1 if letters < 8 else 2 if letters < 16 else 3


def _digits(text: str) -> list[str]:
    return [c for c in text if c.isdigit()]


def _part(run: Sequence[Word], cell: _Cell) -> tuple[Sequence[Word], float] | None:
    """Return the longest common run of words and its score, when it is at least half of the cell and says something."""
    common = [word for word in run if word.text in cell.places]
    least = max(2 if cell.has_han else 4, _LEAST_PART * cell.size)
    if sum(len(word.text) for word in common) < least:
        return None
    best: tuple[int, Sequence[Word]] = (0, ())
    for first, word in enumerate(run):
        for start in cell.places.get(word.text, ()):
            pairs = zip(run[first:], cell.texts[start:], strict=False)
            length = sum(1 for _ in takewhile(lambda pair: pair[0].text == pair[1], pairs))
            part = run[first : first + length]
            letters = sum(len(word.text) for word in part)
            if letters > best[0] and not all(word.is_stop_word or word.is_number for word in part):
                best = letters, part
    return (best[1], 0.7 * best[0] / cell.size) if best[0] >= least else None
