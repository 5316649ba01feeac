"""WikiSQL's form: a table, and a query as column numbers, an aggregate and conditions.

In: lines of `STEM.tables.jsonl` and `STEM.jsonl`. Out: frozen values in which every number is known to be in range
of its kind. Knows no SQL and no database. Form: Zhong, Xiong & Socher, Seq2SQL, 2017 (arXiv:1709.00103), section 3,
and the data set's own README.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from myna.data.example import Source
from myna.data.lines import MAX_LINE_BYTES, LineFile
from myna.errors import DataError, cut, excerpt

AGGREGATES = ("", "MAX", "MIN", "COUNT", "SUM", "AVG")
OPERATORS = ("=", ">", "<")
"""The data set's list has a fourth, `OP`, which stands for no operator and occurs in no query."""

Value: TypeAlias = str | int | float
Cell: TypeAlias = str | int | float | None
Condition: TypeAlias = tuple[int, int, Value]
"""Column number, operator number, value."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class WikiSQLTable:
    """A table. types: `text` or `real` for each column of `header`. rows: `[rows][columns]`, as in the source."""

    id: str
    header: tuple[str, ...]
    types: tuple[str, ...]
    rows: Sequence[Sequence[Cell]] = field(default=(), repr=False, compare=False)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns' names in every SQL we write: the header, made to name each column differently.

        Databases and readers ignore case, so a header that repeats one before it gets the first free number from 2
        (`name`, `name 2`); an empty one is `column N`, counted from 1. Control characters become spaces.
        """
        plain = [_CONTROL.sub(" ", text).strip() for text in self.header]
        claimed = {text.casefold() for text in plain}
        taken: set[str] = set()
        last_number: dict[str, int] = {}
        names = []
        for place, text in enumerate(plain, start=1):
            name = base = text or f"column {place}"
            while name.casefold() in taken or (name != text and name.casefold() in claimed):
                last_number[base] = last_number.get(base, 1) + 1
                name = f"{base} {last_number[base]}"
            taken.add(name.casefold())
            names.append(name)
        return tuple(names)

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Case-folded name → column number."""
        return {name.casefold(): number for number, name in enumerate(self.columns)}


@dataclass(frozen=True, slots=True)
class WikiSQLQuery:
    """A query on one table: column `sel` under aggregate number `agg`, where all of `conds` hold."""

    table_id: str
    sel: int
    agg: int
    conds: tuple[Condition, ...] = ()

    @classmethod
    def of(cls, table_id: Any, sql: Any) -> WikiSQLQuery:
        """Return the query in the data set's `{"sel", "agg", "conds"}`. Raises `DataError` for anything else."""
        if not isinstance(table_id, str) or not isinstance(sql, Mapping):
            raise DataError('expected a "table_id" that is a text and an object with "sel", "agg" and "conds"')
        conditions = sql.get("conds")
        if not isinstance(conditions, list | tuple):
            raise DataError(f'"conds" must be a list of [column, operator, value], found {excerpt(conditions)}')
        return cls(
            table_id,
            _number(sql.get("sel"), '"sel"', None),
            _number(sql.get("agg"), '"agg"', len(AGGREGATES)),
            tuple(_condition(condition) for condition in conditions),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what `SqlFacts.query` holds."""
        return {"table_id": self.table_id, **self.official()}

    def official(self) -> dict[str, Any]:
        """Return it as the data set and its evaluator write it, `{"sel", "agg", "conds"}`."""
        return {"sel": self.sel, "agg": self.agg, "conds": [list(condition) for condition in self.conds]}

    @property
    def width(self) -> int:
        """How many columns a table must have for this query."""
        return 1 + max([self.sel, *(column for column, _, _ in self.conds)])


@dataclass(frozen=True, slots=True)
class WikiSQLQuestion:
    """A line of the data set. line: its 1-based number in the source."""

    question: str
    query: WikiSQLQuery
    line: int


def read_tables(path: Path) -> Iterator[WikiSQLTable]:
    """Yield the tables of a `STEM.tables.jsonl`, one at a time. Raises `DataError`, with file and line."""
    for line in LineFile(path).scan():
        yield parse_table(line.content, Source(str(path), line.number))


def read_questions(path: Path) -> Iterator[WikiSQLQuestion]:
    """Yield the questions of a `STEM.jsonl`, one at a time. Raises `DataError`, with file and line."""
    for line in LineFile(path).scan():
        yield parse_question(line.content, Source(str(path), line.number))


def parse_table(content: bytes | None, source: Source) -> WikiSQLTable:
    """Return the table in one line; None is a line too long to read. Raises `DataError`, with file and line."""
    try:
        record = _record(content)
        name, header, types, rows = (record.get(key) for key in ("id", "header", "types", "rows"))
        if not isinstance(name, str) or not name.strip() or _CONTROL.search(name):
            raise DataError(f'a table needs an "id" that is a text, found {excerpt(name)}')
        if not isinstance(header, list) or not header or not all(isinstance(text, str) for text in header):
            raise DataError(f'table {cut(name)}: "header" must be a list of texts, found {excerpt(header)}')
        if not isinstance(types, list) or len(types) != len(header) or not set(map(str, types)) <= {"text", "real"}:
            raise DataError(f'table {cut(name)}: "types" must say text or real for each of {len(header)} columns')
        return WikiSQLTable(name, tuple(header), tuple(types), _rows(rows, name, len(header)))
    except DataError as error:
        raise DataError(f"{source}: {error}") from error


def parse_question(content: bytes | None, source: Source) -> WikiSQLQuestion:
    """Return the question in one line; None is a line too long to read. Raises `DataError`, with file and line."""
    try:
        record = _record(content)
        question = record.get("question")
        if not isinstance(question, str) or not question.strip():
            raise DataError(f'expected a "question" that is a text, found {excerpt(question)}')
        return WikiSQLQuestion(question, WikiSQLQuery.of(record.get("table_id"), record.get("sql")), source.line)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error


def _record(content: bytes | None) -> Mapping[str, Any]:
    if content is None:
        raise DataError(
            f"the line has over {MAX_LINE_BYTES:,} bytes; WikiSQL's files have one table or question a line"
        )
    try:
        record = json.loads(content)
        if b"\\u" in content:
            json.dumps(record, ensure_ascii=False).encode()  # half a surrogate pair can be escaped, but not written
    except (ValueError, RecursionError) as error:
        raise DataError(f"not a JSON object in UTF-8 ({error})") from error
    if not isinstance(record, dict):
        raise DataError(f"expected a JSON object, found {excerpt(record)}")
    return record


def _rows(rows: Any, table: str, width: int) -> Sequence[Sequence[Cell]]:
    if not isinstance(rows, list):
        raise DataError(f'table {cut(table)}: "rows" must be a list of rows, found {excerpt(rows)}')
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list) or len(row) != width:
            raise DataError(f"table {cut(table)}: row {number} must be a list of {width} cells, found {excerpt(row)}")
        if not set(map(type, row)) <= {str, int, float, type(None)}:
            raise DataError(
                f"table {cut(table)}: row {number} has a cell that is no text, number or null: {excerpt(row)}"
            )
    return rows


def _number(value: Any, name: str, end: int | None) -> int:
    if type(value) is not int or value < 0 or (end is not None and value >= end):
        expected = "a column number from 0" if end is None else f"a number from 0 to {end - 1}"
        raise DataError(f"{name} must be {expected}, found {excerpt(value)}")
    return value


def _condition(condition: Any) -> Condition:
    if not isinstance(condition, list | tuple) or len(condition) != 3:
        raise DataError(f"a condition must be [column, operator, value], found {excerpt(condition)}")
    column, operator, value = condition
    usable = type(value) in (str, int) or (type(value) is float and math.isfinite(value))
    if not usable or (isinstance(value, str) and "\0" in value):
        raise DataError(f"a condition's value must be a text or a number, found {excerpt(value)}")
    return (
        _number(column, "a condition's column", None),
        _number(operator, "a condition's operator", len(OPERATORS)),
        value,
    )
