"""A data folder → the questions to score, and where their databases are.

In: the folder, a split, what the user said of databases. Out: `Question`s in the file's order and the addresses of
their databases. Knows nothing of models, answers or SQL.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from myna.data.example import Example, Message
from myna.data.folder import Examples, Split, open_split
from myna.data.lines import split_lines
from myna.databases.allowed import path_in_data, place_in_data
from myna.errors import DataError, did_you_mean, excerpt
from myna.evaluation import fixed_selection
from myna.text2sql.facts import NOTE, SqlFacts, named_databases, official_folder
from myna.text2sql.scoring.places import Place

_EDGE = 2**20
"""Bytes at either end of a database file that identify it; SQLite counts every change in its first hundred."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its gold SQL. where: file and line. asked: the user's words, for a person to read."""

    where: str
    asked: str
    facts: SqlFacts
    prompt: str | tuple[Message, ...]
    """What the model is given: a text to go on with, or the conversation before the answer."""


@dataclass(frozen=True, slots=True)
class Questions:
    """What is to be scored.

    chosen: index of each question in its file, which has `total` usable lines and is called `file`. places: the
    databases by name; empty when the data has none. content_hash: of questions, gold SQL and databases.
    """

    questions: tuple[Question, ...]
    chosen: tuple[int, ...]
    total: int
    file: str
    places: Mapping[str, Place]
    content_hash: str


def read_questions(data: Path, split: Split, *, size: int | None, databases: Path | None) -> Questions:
    """Read the questions of a split, `size` of them (always the same ones) or all.

    databases: a folder that is searched for NAME.sqlite, NAME.db and NAME/NAME.sqlite before what `data.json` says.
    Raises `DataError` for a folder without SQL facts, a line without them, and a database that is named but missing,
    `DatabaseError` for one that `data.json` may not name.
    """
    examples = open_split(data, split)
    chosen = np.array(fixed_selection(len(examples), size, seed=0), np.int64)
    questions = tuple(question_of(example) for example in examples.subset(chosen))
    places = places_of(data, questions, databases)
    return Questions(
        questions=questions,
        chosen=tuple(int(index) for index in chosen),
        total=len(examples),
        file=str(examples.path),
        places=places,
        content_hash=_content_hash(examples, questions, places),
    )


def question_of(example: Example) -> Question:
    """Return the question that an example with SQL facts is. Raises `DataError` for one without."""
    facts = SqlFacts.of(example)
    if facts is None:
        raise DataError(
            f'{example.source}: no "sql" facts, so there is no gold SQL to score by; '
            "make the folder with myna data wikisql, spider or sql-create-context, "
            'or give each line a "sql": {"database": NAME, "gold": SQL}'
        )
    prompt, asked = _prompt(example, facts)
    return Question(where=str(example.source), asked=asked, facts=facts, prompt=prompt)


def _prompt(example: Example, facts: SqlFacts) -> tuple[str | tuple[Message, ...], str]:
    """Return what the model is given of an example, and the user's question in it."""
    if example.kind == "text":
        given = _before_answer(example.text, facts.gold)
        return given, asked_in(given)
    answers = [index for index, message in enumerate(example.messages) if message["role"] == "assistant"]
    given_messages = example.messages[: answers[-1]]
    users = [message for message in given_messages if message["role"] == "user"]
    content = users[-1].get("content") if users else ""
    return given_messages, asked_in(content if isinstance(content, str) else "")


def _before_answer(text: str, gold: str) -> str:
    """Return a ready-made text up to its answer: the gold SQL at its end, else what follows the last `A:`."""
    if text.rstrip().endswith(gold):
        return text.rstrip().removesuffix(gold)
    begin = text.rfind("\nA:")
    return text[: begin + len("\nA:")] if begin >= 0 else text[: text.rstrip().rfind("\n") + 1]


def asked_in(content: str) -> str:
    """Return the question in a user's message, which may hold the schema too."""
    marked = [line for line in split_lines(content) if line.startswith(("Q:", "QUESTION:", "Question:"))]
    return marked[-1].partition(":")[2].strip() if marked else content.strip()


def places_of(data: Path, questions: tuple[Question, ...], databases: Path | None) -> dict[str, Place]:
    """Return where the databases of the questions are, by name.

    databases: as `read_questions` takes it. Raises `DataError` for one that is named but not there, `DatabaseError`
    for one that data may not name (`databases.allowed`).
    """
    named = named_databases(data)
    if databases is not None and not databases.is_dir():
        raise DataError(f"{databases}: no such folder; --databases takes one with NAME.sqlite or NAME/NAME.sqlite")
    first_use: dict[str, str] = {}
    for question in questions:
        if question.facts.database:
            first_use.setdefault(question.facts.database, question.where)
    return {name: _place(name, data, named, databases, where) for name, where in first_use.items()}


def _place(name: str, data: Path, named: Mapping[str, str], databases: Path | None, where: str) -> Place:
    if databases is not None and (found := find_database(databases, name)) is not None:
        return Place(str(found), _official(data, name))
    if name not in named:
        looked = f"neither in {databases} nor in data.json" if databases is not None else "not in data.json"
        raise DataError(
            f"{where}: the database {excerpt(name)} is {looked}{did_you_mean(name, named)}; "
            "name the folder that has it: --databases FOLDER"
        )
    place = place_in_data(named[name], data, where=f"{data / NOTE}: the database {name!r}")
    if "://" in place:
        return Place(place)
    if not os.path.exists(place):
        raise DataError(
            f"{where}: its database {excerpt(name)} should be at {place}, where nothing is; build the data folder "
            "again, or name the folder that has it: --databases FOLDER"
        )
    return Place(place, _official(data, name))


def find_database(databases: Path, name: str) -> Path | None:
    """Return NAME.sqlite, NAME.db or NAME/NAME.sqlite in the folder `databases`, None when none of them is there."""
    layouts = (f"{name}.sqlite", f"{name}.db", f"{name}/{name}.sqlite")
    if not _stays_below(name):
        return None
    return next((databases / layout for layout in layouts if (databases / layout).is_file()), None)


def _stays_below(name: str) -> bool:
    """Return whether a name, which data chooses, leads to nothing outside of the folder that it is looked up in."""
    return ".." not in Path(name).parts and not Path(name).is_absolute()


def _official(data: Path, name: str) -> str | None:
    """Return what the benchmark's own evaluator reads. Raises `DatabaseError` when that is not the data folder's."""
    if not _stays_below(name):
        return None
    where = f'{data / NOTE}: "official"'
    folder = path_in_data(str(official_folder(data).absolute()), data, where=where)
    files = (folder / f"{name}.db", folder / "tables.json")
    found = next((path for path in files if path.is_file()), None)
    return None if found is None else str(path_in_data(str(found), folder, where=where))


def _content_hash(examples: Examples, questions: tuple[Question, ...], places: Mapping[str, Place]) -> str:
    digest = hashlib.sha256(examples.content_hash.encode())
    digest.update(json.dumps([question.where.rpartition(":")[2] for question in questions]).encode())
    for name, place in sorted(places.items()):
        digest.update(json.dumps([name, place.address if "://" in place.address else ""]).encode())
        for path in (place.address, place.official):
            if path is not None and "://" not in path:
                _hash_file(Path(path), digest)
    return digest.hexdigest()


def _hash_file(path: Path, digest: Any) -> None:
    """Add what identifies a database file: its size, its beginning and its end."""
    if not path.is_file():  # a folder of CSV files, say
        for inner in sorted(path.rglob("*")):
            if inner.is_file():
                _hash_file(inner, digest)
        return
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            digest.update(size.to_bytes(8, "little"))
            for start in {0, max(0, size - _EDGE)}:
                file.seek(start)
                digest.update(file.read(_EDGE))
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror or error})") from error
