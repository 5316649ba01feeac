"""WikiSQL's files: which stems a folder has, their tables by id, and their questions, read from disk when asked for.

Opening a file reads every line once, so that what is wrong is known and counted before anything is written; after
that only places in the files stay in memory (about 200 bytes a table, 40 a question). Knows no SQL and no data folder.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myna.builders.sides import key_of
from myna.data.example import Source
from myna.data.lines import LineFile
from myna.errors import DataError, did_you_mean
from myna.text2sql.wikisql import WikiSQLQuestion, WikiSQLTable, parse_question, parse_table

_TABLES = ".tables.jsonl"
_NAMED = 3
"""Bad lines of a file that are named one by one; all are counted."""


class TableFile:
    """The tables of one `STEM.tables.jsonl`. problems: what is wrong with lines that can't be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        self._lines = LineFile(path)
        self._places: dict[str, tuple[int, int, int, int]] = {}
        for line in self._lines.scan():
            source = Source(str(path), line.number)
            try:
                table = parse_table(line.content, source)
                if table.id in self._places:
                    raise DataError(f"{source}: table {table.id} stands here a second time; the first one counts")
            except DataError as error:
                self.problems.append(str(error))
            else:
                self._places[table.id] = (line.number, line.start, line.length, len(table.header))
        # Neighbouring questions mostly ask the same few tables.
        self.get = lru_cache(maxsize=64)(self._read)

    def width(self, table_id: str) -> int | None:
        """Return how many columns a table has, None when there is no such table."""
        place = self._places.get(table_id)
        return place[3] if place is not None else None

    def tables(self, ids: Iterable[str] | None = None) -> Iterator[WikiSQLTable]:
        """Yield these tables, or all, in the file's order."""
        wanted = self._places.keys() if ids is None else set(ids)
        return (self._read(table_id) for table_id in self._places if table_id in wanted)

    def _read(self, table_id: str) -> WikiSQLTable:
        number, start, length, _ = self._places[table_id]
        return parse_table(self._lines.read(start, length), Source(str(self.path), number))


class QuestionFile:
    """The questions of one `STEM.jsonl` that can be used.

    Raises `DataError` when there is none.

    stem: its name. skipped: how many can't be used, by reason. problems: the first of them, with file and line.
    tables, questions: 64-bit keys `[questions]` that hang on the seed and on the table's id, and on the question too.
    """

    def __init__(self, folder: Path, stem: str, *, seed: int) -> None:
        self.path, self.stem = folder / f"{stem}.jsonl", stem
        self.table_file = TableFile(_tables_path(folder, stem))
        self.skipped: Counter[str] = Counter()
        self.problems = self.table_file.problems[:_NAMED]
        self._lines = LineFile(self.path)
        places, keys = array("Q"), array("Q")
        for line in self._lines.scan():
            source = Source(str(self.path), line.number)
            question = self._usable(line.content, source)
            if question is not None:
                places.extend((line.number, line.start, line.length))
                table_id = question.query.table_id
                keys.extend((key_of(table_id, seed), key_of(f"{table_id}\0{question.question}", seed)))
        if not places:
            raise DataError(f"{self.path}: no line of it can be used; {self.problems[0]}")
        self._places = np.frombuffer(places, np.uint64).reshape(-1, 3)
        self.tables, self.questions = np.frombuffer(keys, np.uint64).reshape(-1, 2).T

    def __len__(self) -> int:
        return len(self._places)

    def read(self, chosen: NDArray[np.intp]) -> Iterator[tuple[WikiSQLQuestion, WikiSQLTable]]:
        """Yield the questions at these indices, each with its table."""
        places = self._places[chosen]
        contents = self._lines.read_many((int(start), int(length)) for _, start, length in places)
        for number, content in zip(places[:, 0], contents, strict=True):
            question = parse_question(content, Source(str(self.path), int(number)))
            yield question, self.table_file.get(question.query.table_id)

    def _usable(self, content: bytes | None, source: Source) -> WikiSQLQuestion | None:
        """Return the question in one line, None (and count it) when it can't be used."""
        name = self.table_file.path.name
        try:
            question = parse_question(content, source)
            width = self.table_file.width(question.query.table_id)
        except DataError as error:
            reason, problem = "the line is no WikiSQL question", str(error)
        else:
            if width is None:
                reason, problem = f"its table is not in {name}", f"no table {question.query.table_id} in {name}"
            elif question.query.width > width:
                reason = "its query names a column that the table has not"
                problem = f"column {question.query.width - 1} of a table of {width} columns"
            else:
                return question
            problem = f"{source}: {problem}"
        self.skipped[reason] += 1
        if self.skipped[reason] <= _NAMED:
            self.problems.append(problem)
        return None


def find_stem(folder: Path, stem: str, flag: str) -> str:
    """Return the name of an existing pair of files for what the user typed. Raises `DataError` that says which are."""
    name = stem.removesuffix(".jsonl")
    known = stems(folder)
    if name in known:
        return name
    if (folder / f"{name}.jsonl").is_file():
        raise DataError(f"{folder}: {name}.jsonl needs its tables beside it, {name}{_TABLES}")
    raise DataError(
        f"{folder}: there is no {name}.jsonl{did_you_mean(name, known)}; choose one of {', '.join(known)} with {flag}"
    )


def stems(folder: Path) -> list[str]:
    """Return the names of the question files that have tables. Raises `DataError` when there is none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the one with WikiSQL's train.jsonl and train{_TABLES}")
    names = sorted(path.name for path in folder.glob("*.jsonl"))
    questions = sorted(name.removesuffix(".jsonl") for name in names if not name.endswith(_TABLES))
    found = [stem for stem in questions if _tables_path(folder, stem).is_file()]
    if not found:
        listing = ", ".join(names[:8]) or "no .jsonl file"
        raise DataError(
            f"{folder}: expected WikiSQL's STEM.jsonl with STEM{_TABLES}, such as train.jsonl and train{_TABLES}; "
            f"found: {listing}"
        )
    return found


def _tables_path(folder: Path, stem: str) -> Path:
    """Return where a stem's tables are: `train.exec` shares those of `train`."""
    names = stem.split(".")
    paths = [folder / f"{'.'.join(names[:end])}{_TABLES}" for end in range(len(names), 0, -1)]
    return next((path for path in paths if path.is_file()), paths[0])
