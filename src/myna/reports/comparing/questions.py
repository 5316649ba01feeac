"""The questions that all runs of a comparison are asked: from a file, or from test data.

In: a file of questions, or a data folder; a database. Out: `Listed` questions and where their databases are. Knows no
model and no run.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from myna.data.example import Example, Message, Source
from myna.data.folder import Keys, open_split
from myna.data.records import RecordError, read_line, read_record
from myna.databases import Database
from myna.errors import DatabaseError, DataError, listing
from myna.evaluation import fixed_selection
from myna.models.files import expanded
from myna.text2sql.facts import SqlFacts, named_databases
from myna.text2sql.scoring.places import Place
from myna.text2sql.scoring.questions import Question, asked_in, places_of, question_of
from myna.training.conversations import split_answer

GIVEN = "database"
"""The name that the database has which the user names."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A question to all runs.

    asked: a person's words. prompt: what the model is given: a text to go on with, or a conversation; None asks as
    `myna ask` does where there is a database, and as one user's message elsewhere. expected: the right answer, empty
    when nobody says. facts: of a question whose answer is SQL that can be judged.
    """

    where: str
    asked: str
    prompt: str | tuple[Message, ...] | None
    expected: str
    facts: SqlFacts | None


@dataclass(frozen=True, slots=True)
class Questions:
    """All questions, and the databases by name.

    asked_of: address of the database that questions without a prompt of their own are about, None without one; it may
    hold a password. source: where the questions are from. notes: for a person.
    """

    listed: tuple[Listed, ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict, repr=False)
    asked_of: str | None = field(default=None, repr=False)
    source: str = ""
    notes: tuple[str, ...] = ()


def given_database(database: Path | str) -> str:
    """Return the address of the database that the user names, whole.

    Raises `DatabaseError` when it can't be opened: better now than after an hour of measuring.
    """
    text = str(database)
    address = text if "://" in text else str(expanded(text).absolute())
    Database.open(address).close()
    return address


def from_file(path: Path, *, keys: Keys, data: Path | None, database: str | None) -> Questions:
    """Read a file of questions.

    `.jsonl`: a line is `{"question"}` with an optional `"gold"`, or an example as in a data folder. Anything else: a
    question a line, a tab and the right SQL behind it where it is known. data: a folder whose one database is taken
    where none is given. Raises `DataError`, naming the line.
    """
    path = expanded(path)
    read = _json_question if path.suffix == ".jsonl" else _plain_question
    listed = [read(content, keys, Source(str(path), number)) for number, content in _lines(path)]
    if not listed:
        raise DataError(f"{path}: no question in it; write one a line")
    return _with_databases(listed, str(path), data, database)


def from_data(data: Path, *, keys: Keys, size: int, database: str | None) -> Questions:
    """Take `size` examples of a data folder's test set, always the same ones.

    Raises `DataError` for a folder without test data or with a bad line.
    """
    examples = open_split(data, "test", keys=keys)
    listed = [_listed(examples[index]) for index in fixed_selection(len(examples), size, seed=0)]
    return _with_databases(listed, str(examples.path), data, database)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror or error}); give a file of questions") from error
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        if line.strip():
            yield number, line.removesuffix(b"\r")


def _plain_question(content: bytes, keys: Keys, source: Source) -> Listed:
    try:
        asked, _, gold = content.decode("utf-8").partition("\t")
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: not UTF-8; save the file as UTF-8") from error
    return _bare(asked, gold, source)


def _json_question(content: bytes, keys: Keys, source: Source) -> Listed:
    try:
        record = read_record(content)
    except RecordError as error:
        raise DataError(f"{source}: {error}") from error
    if {keys.messages, keys.text, keys.completion} & record.keys():
        return _listed(read_line(content, keys, source))
    asked, gold = record.get("question"), record.get("gold", "")
    if not isinstance(asked, str) or not isinstance(gold, str):
        raise DataError(
            f'{source}: expected {{"question": TEXT, "gold": SQL}} or an example as in a data folder '
            f"(found: {listing(record) or 'nothing'})"
        )
    return _bare(asked, gold, source)


def _bare(asked: str, gold: str, source: Source) -> Listed:
    asked, gold = asked.strip(), gold.strip()
    if not asked:
        raise DataError(f"{source}: no question before the SQL; write the question, a tab, and the SQL")
    facts = SqlFacts(database="", gold=gold) if gold else None
    return Listed(str(source), asked, None, gold, facts)


def _listed(example: Example) -> Listed:
    if example.sql is not None:
        question = question_of(example)
        return Listed(question.where, question.asked, question.prompt, question.facts.gold, question.facts)
    prompt, expected = split_answer(example)
    content = prompt if isinstance(prompt, str) else str(prompt[-1].get("content") or "") if prompt else ""
    given = prompt if isinstance(prompt, str) else tuple(prompt)
    return Listed(str(example.source), asked_in(content), given, expected, None)


def _with_databases(listed: list[Listed], source: str, data: Path | None, database: str | None) -> Questions:
    """Say which database each question is about: the one given, else its own, else the data's only one."""
    if database is not None:
        # the question's benchmark has a rule for its own database; on another one results are compared
        moved = [
            one if one.facts is None else replace(one, facts=SqlFacts(database=GIVEN, gold=one.facts.gold))
            for one in listed
        ]
        return Questions(tuple(moved), {GIVEN: Place(database)}, database, source)
    named = {} if data is None else named_databases(data)
    only = next(iter(named)) if len(named) == 1 else ""
    listed = [
        replace(one, facts=replace(one.facts, database=only)) if one.facts and not one.facts.database else one
        for one in listed
    ]
    needed = [
        Question(one.where, one.asked, one.facts or SqlFacts(database=only, gold=""), "")
        for one in listed
        if (one.facts is not None and one.facts.database) or (one.prompt is None and only)
    ]
    try:
        places = places_of(data or Path(), tuple(needed), None)
    except (DataError, DatabaseError) as error:
        return Questions(tuple(listed), source=source, notes=(f"answers are not executed: {error}",))
    asked_of = places[only].address if only in places and any(one.prompt is None for one in listed) else None
    return Questions(tuple(listed), places, asked_of, source)
