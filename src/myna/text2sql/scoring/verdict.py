"""What is known of one answer: right or wrong by each measure, and why. Plain values that survive JSON.

Verdicts cross from worker processes to the scorer and lie in its journal, so everything in them is bounded. Knows
no database and no rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from myna.databases.query import Result
from myna.errors import QueryError
from myna.text2sql.constructs import CONSTRUCTS, constructs

Cell: TypeAlias = bool | int | float | str | None

PLAIN = "plain"
"""Stands among the constructs of a query that has none."""

_ROWS = 5
_COLUMNS = 20
_CELL_CHARACTERS = 200
_MESSAGE_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Shown:
    """The beginning of a query's result: at most 5 rows of 20 columns, cells of 200 characters.

    count: all rows of the result. truncated: the database gave no more than these because of a limit.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    count: int
    truncated: bool

    @classmethod
    def of(cls, result: Result) -> Shown:
        """Return what is shown of `result`."""
        return cls(
            columns=tuple(_bounded(name) for name in result.columns[:_COLUMNS]),
            rows=tuple(tuple(_cell(value) for value in row[:_COLUMNS]) for row in result.rows[:_ROWS]),
            count=len(result.rows),
            truncated=result.truncated,
        )

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Shown:
        """Read back what `asdict` gave and JSON carried."""
        return cls(
            columns=tuple(fields["columns"]),
            rows=tuple(tuple(row) for row in fields["rows"]),
            count=fields["count"],
            truncated=fields["truncated"],
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer, judged.

    sql: what was taken out of the answer; None when there is no SQL in it.
    execution: its result is that of the gold SQL; None where there is no database to run either on.
    exact: it is the gold SQL by the rule of its benchmark.
    valid: it is a query that its database accepts; None without a database.
    cause: why it is wrong, the first of `differences` that applies; None when it is right.
    message: what a parser or the database said of it.
    gold, predicted: both results, of wrong answers.
    left_out: why the question can't be scored at all, a sentence; empty when it can.
    constructs, difficulty: of the gold SQL.
    official: the answer as its benchmark's own evaluator reads it, where that is not plain SQL.
    """

    sql: str | None = None
    execution: bool | None = None
    exact: bool = False
    valid: bool | None = None
    cause: str | None = None
    differences: tuple[str, ...] = ()
    message: str = ""
    gold: Shown | None = None
    predicted: Shown | None = None
    left_out: str = ""
    constructs: tuple[str, ...] = ()
    difficulty: str = ""
    official: str | None = None

    @property
    def right(self) -> bool:
        """Right by execution, or by exact match where nothing can be executed."""
        return self.exact if self.execution is None else self.execution

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return {**asdict(self), "message": _bounded(self.message, _MESSAGE_CHARACTERS)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Verdict:
        """Read back what `as_dict` gave and JSON carried; other keys are passed over."""
        results = {name: fields[name] and Shown.from_dict(fields[name]) for name in ("gold", "predicted")}
        lists = {name: tuple(fields[name]) for name in ("differences", "constructs")}
        return cls(**{name: {**fields, **results, **lists}[name] for name in cls.__dataclass_fields__})


def of_gold(gold: str, dialect: str, difficulty: str) -> Verdict:
    """Return a verdict of nothing but what the gold SQL is like; one that can't be parsed is like nothing."""
    try:
        found = constructs(gold, dialect)
    except QueryError:
        return Verdict(difficulty=difficulty)
    return Verdict(constructs=tuple(name for name in CONSTRUCTS if name in found) or (PLAIN,), difficulty=difficulty)


def _cell(value: Any) -> Cell:
    match value:
        case None | bool():
            return value
        case int():
            return value if abs(value) < 2**63 else str(value)
        case float():
            return value if value - value == 0 else str(value)
        case bytes():
            return _bounded(f"x'{value[:_CELL_CHARACTERS].hex()}'")
        case _:
            return _bounded(str(value))


def _bounded(text: str, characters: int = _CELL_CHARACTERS) -> str:
    """Return the beginning of `text` as characters that UTF-8 can hold."""
    cut = text if len(text) <= characters else text[: characters - 1] + "…"
    return cut.encode("utf-8", "replace").decode()
