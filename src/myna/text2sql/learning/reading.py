"""A file of corrections, as `myna ask` keeps them → `Correction`s; a line that is none is named with what it lacks.

Knows no database: whether the SQL of a correction runs is seen later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myna.data.example import Message, Source
from myna.data.lines import Line, LineFile, line_content
from myna.data.records import Keys, RecordError, read_line, read_record
from myna.errors import DataError, excerpt, listing
from myna.text2sql.facts import SqlFacts

_KEYS = ("messages", "sql", "correction")
_KEPT = "myna ask keeps corrections there with \\good and \\fix"


@dataclass(frozen=True, slots=True)
class Correction:
    """A question, the messages it was asked with, and what should have been answered.

    messages: the last one is the answer that is learnt. facts: `database` is its place, a path or URL. record: the
    line as it stands in the file.
    """

    source: Source
    question: str
    messages: tuple[Message, ...]
    facts: SqlFacts
    record: Mapping[str, Any]

    @property
    def answer(self) -> str:
        """The SQL that is learnt."""
        return str(self.messages[-1]["content"])


def read_corrections(path: Path) -> tuple[Correction, ...]:
    """Read every line. Raises `DataError`, with file and line, for one that `myna ask` did not write."""
    if not path.is_file():
        raise DataError(f"{path}: no such file of corrections; {_KEPT}")
    corrections = tuple(_correction(line, path) for line in LineFile(path).scan())
    if not corrections:
        raise DataError(f"{path}: there are no corrections in it; {_KEPT}")
    return corrections


def last_words(corrections: Iterable[Correction]) -> tuple[Correction, ...]:
    """Return each question's last correction: who corrects an answer twice means the second time."""
    last = {(each.facts.database, spelt_alike(each.question)): each for each in corrections}
    return tuple(last.values())


def spelt_alike(question: str) -> str:
    """Return what questions share that differ in letter case and white space alone."""
    return " ".join(question.casefold().split())


def _correction(line: Line, path: Path) -> Correction:
    source = Source(str(path), line.number)
    content = line_content(line, source)
    try:
        record = read_record(content)
    except RecordError as error:
        raise DataError(f"{source}: {error}") from error
    for key in _KEYS:
        if key not in record:
            raise DataError(
                f'{source}: no "{key}" key (found: {listing(record) or "none"}), so this is no line of corrections; '
                f"expected {', '.join(_KEYS)}, as myna ask writes them with \\good and \\fix"
            )
    example = read_line(content, Keys(), source)
    return Correction(
        source=source,
        question=_question(record["correction"], source),
        messages=_conversation(example.messages, source),
        facts=_facts(SqlFacts.of(example), source),
        record=record,
    )


def _question(note: object, source: Source) -> str:
    question = note.get("question") if isinstance(note, Mapping) else None
    if not isinstance(question, str) or not question.strip():
        raise DataError(f'{source}: "correction" must say which question was asked, {{"question": TEXT}}')
    return question


def _conversation(messages: Sequence[Message], source: Source) -> tuple[Message, ...]:
    last = messages[-1]
    if last["role"] != "assistant" or not isinstance(last.get("content"), str):
        raise DataError(
            f'{source}: "messages" must end with the assistant\'s SQL, found a message of {excerpt(last["role"])}'
        )
    return tuple(messages)


def _facts(facts: SqlFacts | None, source: Source) -> SqlFacts:
    if facts is None:
        raise DataError(f'{source}: "sql" must be an object, {{"database": PATH OR URL, "gold": SQL}}')
    if not facts.database:
        raise DataError(f'{source}: "sql" names no "database", so its SQL can\'t be run again')
    return facts
