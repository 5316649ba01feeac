"""Spider's files → a data folder: schema, question and SQL as a conversation, with the databases beside it.

    FOLDER/train_spider.json, train_others.json, dev.json    [{"db_id", "question", "query"}, …]
    FOLDER/tables.json                                       what the official evaluators know of the databases
    FOLDER/database/ID/ID.sqlite

An answer is the gold SQL as `text2sql/surface.py` writes queries, which decoding can be held to, where that scores
as gold does. The facts keep the gold as it stands in its file, which is what official files are written from. Databases
go to `databases/ID/ID.sqlite` and their entries of `tables.json` to `official/`, where the official evaluator takes
both (`--db`, `--table`). No database is on two sides.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from myna.builders.layout import Format, wants_text
from myna.builders.sides import Shares, key_of
from myna.builders.writer import SPLITS, Built, FolderWriter, new_data_folder
from myna.databases import Database, Result
from myna.errors import DatabaseError, DataError, QueryError, RecipeError
from myna.runs import writing
from myna.text2sql.comparison import is_ordered, same_result
from myna.text2sql.facts import SqlFacts
from myna.text2sql.prompt_settings import PromptSettings
from myna.text2sql.prompter import Prompter, QuestionPrompt
from myna.text2sql.spider import exact_set_match, single_quoted_values
from myna.text2sql.surface import canonical
from myna.text2sql.values import ValueIndex

_TRAINING_FILES = ("train_spider.json", "train_others.json")
_DEV_FILE = "dev.json"
_SPACE = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\])|\s+""")
_SHOWN = 3
"""Cases that a note names."""


@dataclass(frozen=True, slots=True)
class _Question:
    file: str
    number: int
    """1-based, in its file."""
    database: str
    question: str
    gold: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}"


def build_spider(
    folder: Path,
    out: Path,
    *,
    model: str | None = None,
    format: Format = "auto",
    samples: int = 3,
    hints: bool = False,
    size: int | None = None,
    valid_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
) -> Built:
    """Make a data folder of Spider.

    folder: with the files above; `dev.json`, where it is, becomes the test split. format: `text` is one text with `Q:`
    and `A:`; `auto` takes `chat` unless `model`, a folder or hub id, has no chat template. samples: values shown of a
    column of texts; 0 shows no values at all. hints: show the cells that a question names, as asking does; that reads
    the databases at inference too, which published scores distinguish. size: at most this many examples of each split,
    chosen by a hash of content and `seed`.
    valid_share, test_share: about which share of the training files' databases goes to validation and, where there is
    no `dev.json`, to testing; at least one of each while there are any to spare.

    Questions are left out, and counted, whose database is missing or can't be opened, or whose gold SQL does not run;
    of training and validation also those whose prompt has no room for all that their SQL needs.
    Raises `DataError` for files that are missing or not Spider's, and for an `out` that is in the way; `RecipeError`
    for a size, number of samples or shares that can't be, and for hints in `text`; `MissingDependency` for hints
    without the libraries that values are looked up with.
    """
    shares = Shares(valid_share, test_share)
    settings = PromptSettings(samples=samples, hints=hints)
    if size is not None and size < 1:
        raise RecipeError(f"--size {size}: expected at least 1")
    text = wants_text(format, model)
    if text and hints:
        raise RecipeError("--hints has no place in one text with Q: and A:; use --format chat, or no hints")
    asked, descriptions = _read_questions(folder), _read_descriptions(folder)
    source = {
        "builder": "spider",
        "folder": str(folder),
        "files": [file for file in asked if asked[file]],
        "format": "text" if text else "chat",
        **({"size": size} if size is not None else {}),
    }
    with new_data_folder(out, source, origin="folder", seed=seed, prompt=settings) as writer:
        by_split = _by_split(folder, asked, shares, seed, writer)
        chosen = {split: _choose(split, found, size, seed, writer) for split, found in by_split.items()}
        prepared = _prepare(folder, [question for found in chosen.values() for question in found], settings, writer)
        for split, found in chosen.items():
            _write(split, found, prepared, writer, text=text)
        _write_descriptions(writer, descriptions)
        _add_notes(writer, by_split, has_dev=_DEV_FILE in asked)
    return writer.built(out)


def _read_questions(folder: Path) -> dict[str, list[Any]]:
    """Return the entries of each file that is there, by its name."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the one with train_spider.json and database/")
    there = [name for name in (*_TRAINING_FILES, _DEV_FILE) if (folder / name).is_file()]
    if not any(name in _TRAINING_FILES for name in there):
        raise DataError(f"{folder}: neither {' nor '.join(_TRAINING_FILES)}; give the folder that Spider unpacks to")
    return {name: _read_list(folder / name) for name in there}


def _read_list(path: Path) -> list[Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read as JSON ({error}); fetch it again") from error
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a list of objects, found {type(content).__name__}")
    return content


def _read_descriptions(folder: Path) -> dict[str, Any]:
    """Return the entries of `tables.json` by database; empty where there is no such file."""
    path = folder / "tables.json"
    entries = _read_list(path) if path.is_file() else []
    return {str(entry["db_id"]): entry for entry in entries if isinstance(entry, dict) and "db_id" in entry}


def _by_split(
    folder: Path, asked: Mapping[str, list[Any]], shares: Shares, seed: int, writer: FolderWriter
) -> dict[str, list[_Question]]:
    """Sort the questions that have a database into splits, each database into one."""
    training = [question for name in _TRAINING_FILES for question in _usable(folder, name, asked.get(name, []), writer)]
    dev = list(_usable(folder, _DEV_FILE, asked.get(_DEV_FILE, []), writer))
    in_dev = {question.database for question in dev}
    free = sorted({question.database for question in training} - in_dev, key=lambda name: key_of(name, seed))
    sides = _sides(free, Shares(shares.valid, 0.0) if _DEV_FILE in asked else shares)
    found: dict[str, list[_Question]] = {split: [] for split in SPLITS}
    for question in training:
        if question.database in in_dev:
            writer.skip("its database is in dev.json too")
        else:
            found[sides[question.database]].append(question)
    found["test"] += dev
    return found


def _sides(databases: Sequence[str], shares: Shares) -> dict[str, str]:
    """Return each database's split: the first ones are tested on, the next validate, the rest train."""
    spare = max(len(databases) - 1, 0)
    test = min(max(round(shares.test * len(databases)), shares.test > 0), spare)
    valid = min(max(round(shares.valid * len(databases)), shares.valid > 0), spare - test)
    names = ["test"] * test + ["valid"] * valid + ["train"] * (len(databases) - test - valid)
    return dict(zip(databases, names, strict=True))


def _usable(folder: Path, file: str, entries: Sequence[Any], writer: FolderWriter) -> Iterator[_Question]:
    for number, entry in enumerate(entries, 1):
        fields = [entry.get(name) if isinstance(entry, dict) else None for name in ("db_id", "question", "query")]
        if not all(isinstance(field, str) and field.strip() for field in fields):
            writer.skip("no db_id, question or query")
            continue
        database, question, gold = (str(field).strip() for field in fields)
        if not _is_plain_name(database):
            writer.skip("its db_id is not the name of a folder")
        elif not _file(folder, database).is_file():
            writer.skip(f"database missing: {database}")
        else:
            yield _Question(file, number, database, question, gold)


def _is_plain_name(name: str) -> bool:
    return name not in (".", "..") and not re.search(r"[/\\:\x00-\x1f]", name)


def _file(folder: Path, database: str) -> Path:
    return folder / "database" / database / f"{database}.sqlite"


def _choose(
    split: str, questions: list[_Question], size: int | None, seed: int, writer: FolderWriter
) -> list[_Question]:
    if size is None or len(questions) <= size:
        return questions
    writer.skip(f"{split}: beyond the {size:,} examples asked for", len(questions) - size)
    keys = {at: key_of(f"{asked.database}\0{asked.question}\0{asked.gold}", seed) for at, asked in enumerate(questions)}
    return [questions[at] for at in sorted(sorted(keys, key=keys.__getitem__)[:size])]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A database that questions are asked of. prompts: by question. fails: gold SQL that does not run, and why."""

    prompts: Mapping[str, QuestionPrompt]
    answers: Mapping[str, str]
    """Gold SQL that runs → as it is learnt."""
    fails: Mapping[str, str]


def _prepare(
    folder: Path, questions: Sequence[_Question], settings: PromptSettings, writer: FolderWriter
) -> dict[str, _Prepared | DatabaseError]:
    """Copy and read the databases, and run the gold SQL on them."""
    asked: defaultdict[str, list[_Question]] = defaultdict(list)
    for question in questions:
        asked[question.database].append(question)

    def prepare(name: str) -> _Prepared | DatabaseError:
        place = writer.path / "databases" / name / f"{name}.sqlite"
        with writing(place):
            place.parent.mkdir(parents=True)
            shutil.copyfile(_file(folder, name), place)
        try:
            return _read_database(place, asked[name], settings)
        except DatabaseError as error:
            shutil.rmtree(place.parent)
            return error

    names = sorted(asked)
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # each database works in a process of its own
        prepared = dict(zip(names, threads.map(prepare, names), strict=True))
    for name in names:
        if isinstance(prepared[name], _Prepared):
            writer.databases[name] = f"databases/{name}/{name}.sqlite"
    return prepared


def _read_database(path: Path, asked: Sequence[_Question], settings: PromptSettings) -> _Prepared:
    with ExitStack() as open_things:
        database = open_things.enter_context(Database.open(path, double_quoted_strings=True))
        index = None
        if settings.hints:
            folder = open_things.enter_context(TemporaryDirectory(prefix="myna-spider-"))
            index = open_things.enter_context(ValueIndex.open(database, folder=Path(folder)))
        prompter = Prompter.of(database, settings, index=index)
        prompts = {question.question: prompter.prompt(question.question) for question in asked}
        answers, fails = {}, {}
        for sql in dict.fromkeys(question.gold for question in asked):
            try:
                answers[sql] = _answer(sql, database.run(sql), database)
            except QueryError as error:
                fails[sql] = str(error)
        return _Prepared(prompts, answers, fails)


def _answer(gold: str, result: Result, database: Database) -> str:
    """Return the gold SQL as it is learnt: in the surface that decoding can be held to, where that scores as gold does.

    Else with texts in single quotes, single blanks and no semicolon at the end.
    """
    with suppress(QueryError):
        written = canonical(gold, database.schema)
        same = same_result(result, database.run(written), ordered=is_ordered(gold, database.dialect))
        if same and exact_set_match(gold, written, database.schema):
            return written
    spaced = _SPACE.sub(lambda piece: piece[1] or " ", single_quoted_values(gold, database.schema))
    return spaced.strip().rstrip(";").rstrip()


def _write(
    split: str,
    questions: Sequence[_Question],
    prepared: Mapping[str, _Prepared | DatabaseError],
    writer: FolderWriter,
    *,
    text: bool,
) -> None:
    failing = []
    for question in questions:
        database = prepared[question.database]
        if isinstance(database, DatabaseError):
            writer.skip(f"database can't be opened: {question.database}")
        elif question.gold in database.fails:
            writer.skip("its gold SQL does not run")
            failing.append(f"{question.place} ({question.database}): {database.fails[question.gold]}")
        else:
            answer, prompt = database.answers[question.gold], database.prompts[question.question]
            if split != "test" and prompt.lacks(answer):
                writer.skip("its prompt has no room for a table or column that its SQL needs")
                continue
            facts = SqlFacts(question.database, question.gold, "spider", question.number)
            writer.add(split, {**_form(question.question, prompt, answer, text), "sql": facts.as_dict()})
    writer.notes += [f"left out, its gold SQL does not run: {case}" for case in failing[:_SHOWN]]


def _form(question: str, prompt: QuestionPrompt, answer: str, text: bool) -> dict[str, Any]:
    if text:
        return {"text": f"{prompt.schema_text}\nQ: {question}\nA: {answer}"}
    return {"messages": [*prompt.messages, {"role": "assistant", "content": answer}]}


def _write_descriptions(writer: FolderWriter, descriptions: Mapping[str, Any]) -> None:
    known = [descriptions[name] for name in writer.databases if name in descriptions]
    if known:
        with writing(writer.path):
            (writer.path / "official").mkdir()
            (writer.path / "official" / "tables.json").write_text(json.dumps(known, ensure_ascii=False) + "\n", "utf-8")
    if unknown := [name for name in writer.databases if name not in descriptions]:
        writer.notes.append(
            f"tables.json does not describe {len(unknown)} databases ({', '.join(unknown[:_SHOWN])}"
            f"{' …' if len(unknown) > _SHOWN else ''}): the official evaluator can't tell exact matches there"
        )


def _add_notes(writer: FolderWriter, by_split: Mapping[str, Sequence[_Question]], *, has_dev: bool) -> None:
    numbers = {split: len({question.database for question in found}) for split, found in by_split.items()}
    listing = ", ".join(f"{number} {split}" for split, number in numbers.items())
    writer.notes.append(
        f"databases: {listing}; {'test is dev.json' if has_dev else 'no dev.json, so test is split off as well'}; "
        "no database is in two splits"
    )
    writer.notes.append(
        "the official evaluator reads databases/ (--db) and official/tables.json (--table); give it --keep_distinct, "
        "because DISTINCT counts here"
    )
