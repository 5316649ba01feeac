"""What asking gives: a query with its rows, or the best query with why it fails. Never rows that no query gave.

Knows no model and no database.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from myna.data.example import Message
from myna.databases.query import Result
from myna.errors import QueryError


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer of the model. Exactly one of `result` and `error` is there.

    text: all that the model said. sql: the SQL in it, None where there is none. repairs: how often the database's
    error was given back to the model before it said this.
    """

    text: str
    sql: str | None
    result: Result | None
    error: QueryError | None
    repairs: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question.

    sql: the query; of a failed answer the best one, None where the model gave none. result: its rows, None when no
    candidate survived; then `error` says why the best one fails. repairs: how often the database's error was given
    back to the model. agreed, of: how many candidates gave this result, of how many. messages: the conversation the
    model was asked with. notes: what a person should know, a sentence each.
    """

    question: str
    sql: str | None
    result: Result | None
    error: QueryError | None
    repairs: int
    agreed: int
    of: int
    messages: tuple[Message, ...]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` shows: `{"sql", "columns", "rows", "repairs", …}`."""
        columns: Sequence[str] = () if self.result is None else self.result.columns
        rows: Sequence[Sequence[Any]] = () if self.result is None else self.result.rows
        return {
            "question": self.question,
            "sql": self.sql,
            "columns": list(columns),
            "rows": [[json_cell(cell) for cell in row] for row in rows],
            "truncated": self.result is not None and self.result.truncated,
            "repairs": self.repairs,
            "agreed": self.agreed,
            "of": self.of,
            "notes": list(self.notes),
        }


def json_cell(cell: Any) -> Any:
    """Return a cell as JSON can hold it.

    A decimal stays a number where a float is the same number, bytes become hexadecimal digits, dates and times ISO
    8601; what else the database has becomes its text. What is no number in JSON becomes `"NaN"`, `"Infinity"` or
    `"-Infinity"`, as in PostgreSQL's JSON, so that only NULL is null.
    """
    if isinstance(cell, Mapping):
        return {str(name): json_cell(value) for name, value in cell.items()}
    if isinstance(cell, list | tuple):
        return [json_cell(value) for value in cell]
    if isinstance(cell, bytes | bytearray | memoryview):
        return bytes(cell).hex()
    if isinstance(cell, Decimal | float):
        return _number(cell)
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    return cell if cell is None or isinstance(cell, bool | int | float | str) else str(cell)


def _number(value: Decimal | float) -> int | float | str:
    exact = Decimal(value)
    if not exact.is_finite():
        return "NaN" if exact.is_nan() else "Infinity" if exact > 0 else "-Infinity"
    if isinstance(value, float):
        return value
    if value == value.to_integral_value() and abs(value) < 10**15:
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)
