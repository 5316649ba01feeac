"""Rows of people's files: CSV, TSV, JSON, JSONL (each also packed with gzip) and Parquet, one row at a time.

A path goes in; numbered rows by column name come out, and rows that can't be read with the reason. Encoding and
delimiter are found out. Knows nothing of what the columns mean.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TextIO

from myna.builders.decoding import open_text
from myna.data.lines import MAX_LINE_BYTES
from myna.data.records import RecordError, read_record
from myna.errors import DataError, MissingDependency, excerpt

_DELIMITERS = (",", "\t", ";", "|")
_SAMPLE_CHARACTERS = 2**16
_SAMPLE_ROWS = 50
_SPACE_AND_COMMA = re.compile(r"[\s,]*")
_PARQUET_BATCH = 1024
_DUCKDB: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,  # each more would hold row groups of its own
    "memory_limit": "512MB",  # it would keep all that it has read in memory otherwise
    "temp_directory": "",  # nothing is written
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row: the line it begins on (Parquet: its number), its cells by column, or what is wrong with it."""

    line: int
    cells: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, in order; its name's ending says what it is.

    Raises `DataError` when it is missing, empty, damaged or of another kind, `MissingDependency` for Parquet without
    DuckDB.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if not path.is_file():
        raise DataError(f"{path}: is no regular file; name the files in it one by one")
    kind = _kind(path)
    if kind not in _READERS:
        raise DataError(f"{path}: can't tell what it is; expected a name ending in {', '.join(_READERS)} (or .gz)")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")
    return _READERS[kind](path)


def column_names(path: Path) -> list[str]:
    """Return the columns of a file as far as its first rows show them. Raises what `read_rows` raises."""
    names: dict[str, None] = {}
    problem = "it has no rows"
    for row in islice(read_rows(path), _SAMPLE_ROWS):
        names.update(dict.fromkeys(row.cells))
        problem = f"line {row.line}: {row.problem}" if row.problem else problem
    if not names:
        raise DataError(f"{path}: {problem}; none of it can be used")
    return list(names)


def _kind(path: Path) -> str:
    return path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _csv_rows(path: Path) -> Iterator[Row]:
    with open_text(path) as file, _long_cells():
        dialect = _dialect(file.read(_SAMPLE_CHARACTERS), ".tsv" if _kind(path) in (".tsv", ".tab") else "")
        file.seek(0)
        reader = csv.reader(file, strict=True, **dialect)
        header = _header(reader, path)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(line, problem=f"can't be read: {error}; quotes inside of quotes are doubled")
                continue
            if not cells:
                continue
            if len(cells) == len(header):
                yield Row(line, dict(zip(header, cells, strict=True)))
            else:
                yield Row(line, problem=f"has {len(cells)} cells, expected {len(header)} as in the header")


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let a cell be as long as a line of a data file may be."""
    before = csv.field_size_limit(MAX_LINE_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _header(reader: Iterator[list[str]], path: Path) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise DataError(f"{path}:1: the header can't be read: {error}") from error
    if not any(header):
        raise DataError(f"{path}:1: no column names; the first line must hold them")
    repeated = next((name for name, times in Counter(header).items() if name and times > 1), None)
    if repeated is not None:
        raise DataError(f"{path}:1: two columns are called {excerpt(repeated)}; give them different names")
    return header


def _dialect(sample: str, kind: str) -> dict[str, Any]:
    """Return how the cells of a file are parted, from its beginning.

    In tab-separated text quotes often mean themselves; so they do where that makes the rows more even.
    """
    choices = [(delimiter, False) for delimiter in _DELIMITERS if delimiter == "\t" or kind != ".tsv"]
    delimiter, literal = max([*choices, ("\t", True)], key=lambda choice: _evenness(sample, *choice))
    return {"delimiter": delimiter, "quoting": csv.QUOTE_NONE if literal else csv.QUOTE_MINIMAL}


def _evenness(sample: str, delimiter: str, literal: bool) -> tuple[float, int]:
    """Return which share of rows has as many cells as the header, and how many those are. One cell is no division."""
    file = io.StringIO(sample, newline="")
    quoting: Literal[0, 3] = csv.QUOTE_NONE if literal else csv.QUOTE_MINIMAL
    reader = csv.reader(file, strict=True, delimiter=delimiter, quoting=quoting)
    counts: list[int] = []
    while len(counts) < _SAMPLE_ROWS:
        try:
            counts.append(len(next(reader)))
        except StopIteration:
            break
        except csv.Error:
            counts.append(0)
    if not counts or counts[0] < 2:
        return 0.0, 0
    return counts.count(counts[0]) / len(counts), counts[0]


def _json_lines(path: Path) -> Iterator[Row]:
    with open_text(path, newline="\n") as file:
        number = 0
        while text := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(text) > MAX_LINE_BYTES:
                raise DataError(f"{path}:{number}: the line has over {MAX_LINE_BYTES:,} characters; is it JSONL?")
            if text.strip():
                yield _json_row(text, number)


def _json_row(text: str, line: int) -> Row:
    try:
        return Row(line, read_record(text.strip().encode("utf-8")))
    except RecordError as error:
        return Row(line, problem=str(error))


def _json_rows(path: Path) -> Iterator[Row]:
    """Yield the objects of an array; files that are JSONL in truth are read as such."""
    with open_text(path) as file:
        begin = file.read(_SAMPLE_CHARACTERS).lstrip()
        file.seek(0)
        if begin.startswith("["):
            yield from _array(file, path)
            return
    first = _json_row(begin.partition("\n")[0], 1)
    if first.problem:
        raise DataError(
            f"{path}: expected an array of objects, [{{…}}, {{…}}], or one object a line; found "
            f"{'one object' if begin.startswith('{') else repr(begin[:20])}"
        )
    yield from _json_lines(path)


def _array(file: TextIO, path: Path) -> Iterator[Row]:
    """Yield the elements of one JSON array without holding more than one of them."""
    decoder = json.JSONDecoder()
    text, line, ended = file.read(_SAMPLE_CHARACTERS), 1, False
    place = text.index("[") + 1
    line += text.count("\n", 0, place)
    while True:
        start = place
        place = _after_space(text, place)
        line += text.count("\n", start, place)
        if text.startswith("]", place):
            return
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            if ended or len(text) - place > MAX_LINE_BYTES or isinstance(error, RecursionError):
                raise DataError(f"{path}:{line}: the element that begins here is no JSON: {error}") from error
            more = file.read(max(_SAMPLE_CHARACTERS, len(text) - place))
            ended = not more
            text, place = text[place:] + more, 0
            continue
        yield _json_row(text[place:end], line) if isinstance(value, dict) else Row(line, problem="is no JSON object")
        line += text.count("\n", place, end)
        place = end


def _after_space(text: str, place: int) -> int:
    match = _SPACE_AND_COMMA.match(text, place)
    return match.end() if match else place


def _plain(value: Any) -> Any:
    """Return a cell with its bytes as the UTF-8 text that they mostly are, and without the nulls that Arrow filled in.

    Columns that were written without a type of text come as bytes; what is no text, such as an image, stays bytes.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        content = bytes(value)
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            return content
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import duckdb
    except ImportError as error:
        raise MissingDependency(
            f"{path}: Parquet is read with DuckDB; install it with: pip install 'myna[sql]'"
        ) from error
    try:
        with duckdb.connect(config=_DUCKDB) as connection:
            result = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
            names = [column[0] for column in result.description or ()]
            number = 0
            while batch := result.fetchmany(_PARQUET_BATCH):
                for values in batch:
                    number += 1
                    yield Row(number, dict(zip(names, map(_plain, values), strict=True)))
    except duckdb.Error as error:
        reason, _, _ = str(error).partition("\n")
        raise DataError(f"{path}: can't be read as Parquet: {reason}") from error


_READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".tab": _csv_rows,
    ".json": _json_rows,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet_rows,
}
