"""WikiSQL's files → a data folder, with the databases that scoring needs.

A line holds the conversation (or the text of the MLX LoRA example) and its SQL facts: the gold SQL, WikiSQL's own form
of it, and the line in the source. `databases/STEM.sqlite` has the tables that the examples ask about, for SQL that
runs; `official/STEM.db` is what the data set's evaluator reads, written for validation and test. Tables and questions
stream from disk; nothing but their places is held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myna.builders.layout import Format, wants_text
from myna.builders.wikisql_prompts import TablePrompts
from myna.builders.wikisql_source import QuestionFile, find_stem, stems
from myna.builders.writer import Built, FolderWriter, new_data_folder
from myna.data.split import choose_validation
from myna.errors import DataError, QueryError, RecipeError
from myna.text2sql.facts import SqlFacts
from myna.text2sql.prompt_settings import PromptSettings
from myna.text2sql.wikisql import (
    SqlStyle,
    WikiSQLQuestion,
    WikiSQLTable,
    official_sql,
    text_prompt,
    to_sql,
    write_database,
    write_official_database,
)


@dataclass(slots=True)
class _Split:
    """What goes into one split. own: whether the split has a source file of its own."""

    name: str
    file: QuestionFile
    chosen: NDArray[np.intp]
    own: bool = True
    asked: set[str] = field(default_factory=set)
    """Ids of the tables that its examples ask about."""


def build_wikisql(
    folder: Path,
    out: Path,
    *,
    model: str | None = None,
    format: Format = "auto",
    sql_style: SqlStyle = "executable",
    hints: bool = False,
    size: int | None = None,
    train_size: int | None = None,
    valid_size: int | None = None,
    test_size: int | None = None,
    train_file: str = "train",
    valid_file: str | None = None,
    test_file: str | None = None,
    seed: int = 0,
) -> Built:
    """Make a data folder of WikiSQL.

    folder: with `STEM.jsonl` and `STEM.tables.jsonl`; `train.exec` may share `train.tables.jsonl`. format: `text` is
    the layout of the MLX LoRA example, byte for byte with `sql_style="wikisql"`; `auto` takes `chat` unless `model`, a
    folder or hub id, has no chat template. size: at most this many examples of each split, `train_size` … of one (0: no
    such split); which ones hangs on their content and the seed, and a larger size holds all of a smaller one.
    hints: show the cells of its table that a question names, as asking does; that reads the tables at inference too,
    which published scores distinguish.
    valid_file: without it `dev` where there is one, else a tenth of the training tables is kept for validation with all
    their questions. test_file: without it `test` where there is one, else there is no test split.

    Raises `DataError` for files that are missing or hold nothing to use, and for an `out` that is in the way;
    `RecipeError` for a size below its least, and for hints in `text`; `MissingDependency` for hints without the
    libraries that values are looked up with.
    """
    sizes = _sizes(size, {"train": train_size, "valid": valid_size, "test": test_size})
    files = _files(folder, {"train": train_file, "valid": valid_file, "test": test_file}, sizes, seed)
    text = wants_text(format, model)
    if text and hints:
        raise RecipeError("--hints has no place in the text of the MLX LoRA example; use --format chat, or no hints")
    source = {
        "builder": "wikisql",
        "folder": str(folder),
        "files": {split: file.path.name for split, file in files.items()},
        "format": "text" if text else "chat",
        "sql_style": sql_style,
        "sizes": {split: count for split, count in sizes.items() if count is not None},
    }
    settings = PromptSettings(samples=0, hints=hints)
    with new_data_folder(out, source, origin="folder", seed=seed, prompt=None if text else settings) as writer:
        splits = _splits(files, sizes, writer)
        with TablePrompts(settings) as prompts:
            for split in splits:
                _write_examples(split, writer, style=sql_style, prompts=None if text else prompts)
        _write_databases(splits, writer)
        _add_notes(folder, files, splits, writer, seed)
    return writer.built(out)


def _sizes(size: int | None, of_one: Mapping[str, int | None]) -> dict[str, int | None]:
    sizes = {split: count if count is not None else size for split, count in of_one.items()}
    for split, count in sizes.items():
        least = 1 if split == "train" or of_one[split] is None else 0
        if count is not None and count < least:
            flag = "--size" if of_one[split] is None else f"--{split}-size"
            raise RecipeError(f"{flag} {count}: expected at least {least} example{'s' * (least != 1)}")
    return sizes


def _files(
    folder: Path, named: Mapping[str, str | None], sizes: Mapping[str, int | None], seed: int
) -> dict[str, QuestionFile]:
    """Open the file of each split that has one of its own."""
    known = stems(folder)
    usual = {"valid": "dev", "test": "test"}
    chosen: dict[str, str] = {}
    for split, stem in named.items():
        if sizes[split] == 0:
            continue
        if stem is not None:
            chosen[split] = find_stem(folder, stem, f"--{split}-file")
        elif usual[split] in known:
            chosen[split] = usual[split]
    for split, stem in chosen.items():
        twin = next((other for other in chosen if other != split and chosen[other] == stem), None)
        if twin is not None:
            raise DataError(
                f"{folder}: {stem}.jsonl can't be both {split} and {twin}; choose another --{twin}-file, or leave "
                "out --valid-file to split validation off the training tables"
            )
    return {split: QuestionFile(folder, stem, seed=seed) for split, stem in chosen.items()}


def _splits(files: Mapping[str, QuestionFile], sizes: Mapping[str, int | None], writer: FolderWriter) -> list[_Split]:
    """Choose the questions of each split, and count those left out."""
    for file in files.values():
        for reason, count in file.skipped.items():
            writer.skip(f"{file.path.name}: {reason}", count)
    splits = [_Split(name, file, np.arange(len(file))) for name, file in files.items()]
    if "valid" not in files and sizes["valid"] != 0:
        train = files["train"]
        held_out = choose_validation(train.tables)  # by the table's key: all questions of a table go together
        if held_out.any():
            splits[0].chosen = np.flatnonzero(~held_out)
            splits.insert(1, _Split("valid", train, np.flatnonzero(held_out), own=False))
        else:
            writer.notes.append(f"{train.path.name}: all questions ask one table, so nothing is left for validation")
    for split in splits:
        size = sizes[split.name]
        if size is not None and size < len(split.chosen):
            writer.skip(f"{split.name}: beyond the {size:,} examples asked for", len(split.chosen) - size)
            order = np.argsort(split.file.questions[split.chosen], kind="stable")
            split.chosen = np.sort(split.chosen[order[:size]])
    return splits


def _write_examples(split: _Split, writer: FolderWriter, *, style: SqlStyle, prompts: TablePrompts | None) -> None:
    """prompts: of conversations; None for texts."""
    for question, table in split.file.read(split.chosen):
        split.asked.add(table.id)
        answer = to_sql(question.query, table, style)
        facts = SqlFacts(
            database=split.file.stem,
            gold=to_sql(question.query, table),
            source="wikisql",
            line=question.line,
            query=question.query.as_dict(),
        )
        form = _text(question, table, answer) if prompts is None else _chat(prompts, question, table, answer)
        writer.add(split.name, {**form, "sql": facts.as_dict()})


def _text(question: WikiSQLQuestion, table: WikiSQLTable, answer: str) -> dict[str, Any]:
    return {"text": f"{text_prompt(question.question, table)} {answer}"}


def _chat(prompts: TablePrompts, question: WikiSQLQuestion, table: WikiSQLTable, answer: str) -> dict[str, Any]:
    return {"messages": [*prompts.of(question.question, table), {"role": "assistant", "content": answer}]}


def _write_databases(splits: list[_Split], writer: FolderWriter) -> None:
    """Write each stem's databases.

    The official one of a split that has a file of its own holds all its tables, so that the evaluator can be run
    over the whole source file, however few of its questions were asked for.
    """
    asked: dict[str, set[str]] = {}
    for split in splits:
        asked.setdefault(split.file.stem, set()).update(split.asked)
    for split in splits:
        stem, tables = split.file.stem, split.file.table_file
        if stem not in writer.databases:
            writer.databases[stem] = f"databases/{stem}.sqlite"
            write_database(writer.path / "databases" / f"{stem}.sqlite", tables.tables(asked[stem]))
        if split.name != "train":
            official = tables.tables(None if split.own else split.asked)
            write_official_database(writer.path / "official" / f"{stem}.db", official)


def _add_notes(
    folder: Path, files: Mapping[str, QuestionFile], splits: list[_Split], writer: FolderWriter, seed: int
) -> None:
    for file in files.values():
        writer.notes.extend(file.problems)
        if unused := len(file.table_file.problems):
            writer.notes.append(f"{file.table_file.path.name}: {unused} lines that are no table of their own")
    for split in splits:
        if not split.own:
            writer.notes.append(
                f"no --valid-file and no dev.jsonl: validation asks about {len(split.asked):,} tables of "
                f"{split.file.path.name}, chosen by seed {seed}, that training never sees"
            )
        if split.name != "train":
            writer.notes.extend(_unscorable(split))
    if "test" not in files:
        writer.notes.append(f"no test split; {folder} has {', '.join(stems(folder))}: choose one with --test-file")


def _unscorable(split: _Split) -> Iterator[str]:
    """Say how many gold queries the official evaluator itself stops at."""
    count, first = 0, ""
    for question, table in split.file.read(split.chosen):
        try:
            official_sql(question.query, table)
        except QueryError as error:
            count += 1
            first = first or f"{split.file.path.name}:{question.line}: {error}"
    if count:
        yield f"{split.name}: the official evaluator can't run {count} gold queries; the first: {first}"
