"""Which columns of a file hold question and answer, a conversation or a text: as told, else by their usual names.

Column names go in, a `Columns` comes out, or an error that names the columns found. Knows no rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from myna.data.records import USUAL_NAMES
from myna.errors import DataError, did_you_mean, excerpt, listing

_ADDITION = "input"
"""Beside an instruction this column holds what the instruction is about; by itself it may be a prompt."""
_ALPACA_PROMPT, _SHAREGPT = "instruction", "conversations"
_SYSTEM, _TOOLS = "system", "tools"
_KINDS = (("prompt", "completion"), ("messages",), ("text",))


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of columns; None where there is none. Either prompt and completion, or messages, or text."""

    prompt: str | None = None
    completion: str | None = None
    input: str | None = None
    """Goes below the prompt where it isn't empty."""
    system: str | None = None
    messages: str | None = None
    text: str | None = None
    database: str | None = None
    gold: str | None = None
    tools: str | None = None
    """Descriptions of the tools that a conversation may call, beside question and answer or messages."""

    def used(self) -> dict[str, str]:
        """Return which columns are read for what."""
        return {field.name: name for field in fields(self) if (name := getattr(self, field.name)) is not None}


def find_columns(path: Path, found: Sequence[str], told: Columns) -> Columns:
    """Return `told` as the file spells it, with what it leaves open where the usual names leave no doubt.

    Raises `DataError` for a column that is not there, when two could be meant, and when there are none.
    """
    spelt = Columns(**{field.name: _spelt(path, found, told, field.name) for field in fields(told)})
    kinds = [kind for kind in _KINDS if any(getattr(spelt, name) for name in kind)]
    if len(kinds) > 1:
        raise DataError(f"{path}: columns for {_flags(kinds[0])} and {_flags(kinds[1])} were named; name one kind")
    for kind in kinds or _KINDS:
        guesses = {name: getattr(spelt, name) or _usual(path, found, name, spelt) for name in kind}
        missing = [name for name, guess in guesses.items() if not guess]
        if not missing:
            return _with_addition(path, spelt, found, guesses)
        if kinds:
            raise DataError(f"{path}: which column is {_flags(missing)}? Found: {_listed(found)}")
    raise DataError(
        f"{path}: no columns with usual names (found: {_listed(found)}); name yours with --prompt and --completion, "
        "--messages, or --text"
    )


def _spelt(path: Path, found: Sequence[str], told: Columns, name: str) -> str | None:
    column: str | None = getattr(told, name)
    if column is None or column in found:
        return column
    same = [candidate for candidate in found if candidate.casefold() == column.casefold()]
    if len(same) == 1:
        return same[0]
    raise DataError(
        f"{path}: no column {excerpt(column)} for --{name}{did_you_mean(column, found)} (found: {_listed(found)})"
    )


def _usual(path: Path, found: Sequence[str], name: str, told: Columns) -> str | None:
    """Return the one column that is usually called so. A column that was told for something else is not it."""
    by_name = {column.strip().casefold(): column for column in found if column not in told.used().values()}
    if name in by_name:
        return by_name[name]
    usual = [by_name[candidate] for candidate in USUAL_NAMES[name] if candidate in by_name]
    if len(usual) > 1 and name == "prompt":
        usual = [column for column in usual if column.casefold() != _ADDITION]
    if len(usual) > 1:
        raise DataError(f"{path}: {_listed(usual)} could each be --{name}; name one")
    return usual[0] if usual else None


def _with_addition(path: Path, told: Columns, found: Sequence[str], guesses: dict[str, str | None]) -> Columns:
    columns = {field.name: getattr(told, field.name) for field in fields(told)} | guesses
    if columns["input"] is None and (columns["prompt"] or "").casefold() == _ALPACA_PROMPT:
        columns["input"] = next((name for name in found if name.strip().casefold() == _ADDITION), None)
    by_name = {name.strip().casefold(): name for name in found}
    if columns["tools"] is None and not columns["text"]:
        columns["tools"] = by_name.get(_TOOLS)
    # ShareGPT's and Alpaca's files have their system messages in a column of their own
    own = (columns["messages"] or columns["prompt"] or "").casefold()
    if columns["system"] is None and own in (_ALPACA_PROMPT, _SHAREGPT):
        columns["system"] = by_name.get(_SYSTEM)
    if columns["database"] and not (columns["gold"] or columns["completion"]):
        raise DataError(f"{path}: which column holds the right SQL? Name it with --gold (found: {_listed(found)})")
    return Columns(**columns)


def _flags(names: Sequence[str]) -> str:
    return " and ".join(f"--{name}" for name in names)


def _listed(names: Sequence[str]) -> str:
    return listing(names, 30)
