"""Rows of one file → examples as a data folder holds them, each checked by the reader that training uses.

A path and its columns go in; records and rows that can't be used come out, one at a time. Knows no splits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from myna.builders.columns import Columns
from myna.builders.tables import Row, column_names, read_rows
from myna.data.example import Example, Source
from myna.data.messages import RecordError, read_json
from myna.data.records import Keys, read_line
from myna.data.split import content_key
from myna.errors import DataError, excerpt, listing
from myna.text2sql.facts import SqlFacts

_SUFFIXES = (".sqlite", ".db", ".sqlite3")


@dataclass(frozen=True, slots=True)
class Made:
    """An example: what is written, a 64-bit key that all rows with its question share, and where its database is."""

    record: Mapping[str, Any]
    key: int
    databases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RowError:
    """A row that can't be used: its place, what is wrong, and the kind of trouble that rows are counted by."""

    source: Source
    problem: str
    kind: str

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}"


class _UnusableError(Exception):
    """What is wrong with a row, and how it is counted."""

    def __init__(self, problem: str, kind: str) -> None:
        super().__init__(problem)
        self.kind = kind


class TableExamples:
    """The examples in one file. Each `read` goes through it again; nothing is held."""

    def __init__(self, path: Path, columns: Columns, databases: Path | None, seed: int) -> None:
        """databases: the folder they are in."""
        self.columns = columns
        self._path, self._databases, self._seed = path, databases, seed

    def read(self) -> Iterator[Made | RowError]:
        """Yield every row as an example, or why it can't be one. Raises what `read_rows` raises."""
        for row in read_rows(self._path):
            source = Source(str(self._path), row.line)
            try:
                yield self._made(row, source)
            except _UnusableError as error:
                yield RowError(source, str(error), error.kind)

    def notes(self) -> list[str]:
        """Return what a person should know about the columns, a sentence each."""
        unread = [name for name in column_names(self._path) if name and name not in self.columns.used().values()]
        notes = [f"{self._path}: columns that are not used: {listing(unread, 30)}"] if unread else []
        if self.columns.database and self._databases is None:
            notes.append(f"{self._path}: where its databases are is not in data.json; scoring needs --databases FOLDER")
        return notes

    def _made(self, row: Row, source: Source) -> Made:
        if row.problem:
            raise _UnusableError(row.problem, "rows that can't be read")
        record = self._record(row.cells)
        facts, databases = self._facts(row)
        if facts is not None:
            record["sql"] = facts.as_dict()
        line = json.dumps(record, ensure_ascii=False, default=_as_text).encode("utf-8", "surrogatepass")
        try:
            example = read_line(line, Keys(), source)
        except DataError as error:
            raise _UnusableError(str(error).removeprefix(f"{source}: "), "rows that are no example") from error
        return Made(record, content_key(_question(example), self._seed), databases)

    def _record(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        columns = self.columns
        if columns.text:
            return {"text": _needed(cells, columns.text)}
        record = self._conversation(cells)
        tools = cells.get(columns.tools) if columns.tools is not None else None
        if not tools or (isinstance(tools, str) and not tools.lstrip().startswith("[")):
            return record  # a column that is called so and describes none
        return {**record, "tools": _as_plain(tools)}

    def _conversation(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        columns = self.columns
        system = _text(cells, columns.system)
        first = [{"role": "system", "content": system}] if system else []
        if columns.messages:
            return {"messages": [*first, *_messages(cells, columns.messages)]}
        asked = (columns.prompt, columns.completion)
        if any(isinstance(cells.get(column), list | tuple) for column in asked if column is not None):
            return _conversational(cells, columns, first)
        prompt = _needed(cells, columns.prompt)
        if addition := _text(cells, columns.input):
            prompt = f"{prompt}\n\n{addition}"
        completion = _needed(cells, columns.completion)
        if not system:
            return {"prompt": prompt, "completion": completion}
        roles = {"system": system, "user": prompt, "assistant": completion}
        return {"messages": [{"role": role, "content": content} for role, content in roles.items()]}

    def _facts(self, row: Row) -> tuple[SqlFacts | None, dict[str, str]]:
        """Return what scoring must know of a row, and where its database is."""
        if self.columns.database is None:
            return None, {}
        name = _needed(row.cells, self.columns.database)
        if "://" in name:  # may hold a password, so it is not repeated
            raise _UnusableError("holds a database's address, expected its name", "rows with an address for a database")
        gold = _needed(row.cells, self.columns.gold or self.columns.completion)
        facts = SqlFacts(database=name, gold=gold, line=row.line)
        if self._databases is None:
            return facts, {}
        return facts, {name: str(_database(self._databases, name))}


def _question(example: Example) -> Example:
    """Return what is asked: rows that ask the same must not be on two sides, whatever they answer."""
    roles = [message.get("role") for message in example.messages]
    asked = roles.index("assistant") if "assistant" in roles else len(roles)
    return replace(example, messages=example.messages[:asked])


def _conversational(cells: Mapping[str, Any], columns: Columns, first: list[dict[str, str]]) -> dict[str, Any]:
    """Return a conversation that is parted into what is asked and what is learnt, after a system message."""
    parts: list[list[Any]] = []
    for column, role in ((columns.prompt, "user"), (columns.completion, "assistant")):
        cell = cells.get(str(column))
        if isinstance(cell, list | tuple):
            parts.append(_as_plain(cell))
        else:
            parts.append([{"role": role, "content": _needed(cells, column)}])
    prompt, completion = parts
    return {"prompt": [*first, *prompt], "completion": completion}


def _as_plain(value: Any) -> Any:
    """Return a value of JSON's types; Parquet's own become text."""
    return json.loads(json.dumps(value, default=_as_text))


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        raise _UnusableError("a cell holds bytes that are not UTF-8 text", "rows with bytes that are no text")
    return str(value)


def _text(cells: Mapping[str, Any], column: str | None) -> str:
    """Return a cell as text, empty when there is none."""
    value = cells.get(column) if column is not None else None
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, float) and math.isnan(value):  # how many tables say "nothing"
        return ""
    if isinstance(value, list | dict | tuple):
        raise _UnusableError(
            f"{excerpt(column)} holds a list or an object, expected a text", "rows with no text in a cell"
        )
    if isinstance(value, bytes):
        raise _UnusableError(
            f"{excerpt(column)} holds bytes that are not UTF-8 text", "rows with bytes that are no text"
        )
    return json.dumps(value, default=str).strip('"')


def _needed(cells: Mapping[str, Any], column: str | None) -> str:
    text = _text(cells, column)
    if not text.strip():
        raise _UnusableError(f"{excerpt(column)} is empty", f"rows with an empty {excerpt(column)}")
    return text


def _messages(cells: Mapping[str, Any], column: str) -> list[Any]:
    value = cells.get(column)
    if isinstance(value, str) and value.strip():
        try:
            value = read_json(value)
        except RecordError as error:
            raise _UnusableError(f"{excerpt(column)} is {error}", "rows with no messages") from error
    if not isinstance(value, list | tuple) or not value:
        raise _UnusableError(f"{excerpt(column)} holds no list of messages", "rows with no messages")
    plain: list[Any] = _as_plain(value)
    return plain


def _database(folder: Path, name: str) -> Path:
    for path in (folder / part for suffix in _SUFFIXES for part in (f"{name}{suffix}", f"{name}/{name}{suffix}")):
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path.resolve()
    raise _UnusableError(f"no database {excerpt(name)} in {folder}", "rows whose database is missing")
