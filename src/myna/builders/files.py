"""`build_files`: rows of people's own files (CSV, TSV, JSON, JSONL, Parquet) → a data folder.

Which column is what is told, or found by its usual names. Rows are read, checked as any example is, and written one
at a time. Rows that ask the same fall on the same side of the split, whatever they answer.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path

from myna.builders.columns import Columns, find_columns
from myna.builders.sides import Shares
from myna.builders.table_examples import RowError, TableExamples
from myna.builders.tables import column_names
from myna.builders.writer import Built, FolderWriter, new_data_folder
from myna.errors import DataError, RecipeError

_NAMED = 5


def build_files(
    files: Sequence[Path],
    out: Path,
    *,
    prompt: str | None = None,
    completion: str | None = None,
    input: str | None = None,
    system: str | None = None,
    messages: str | None = None,
    text: str | None = None,
    database: str | None = None,
    gold: str | None = None,
    databases: Path | None = None,
    size: int | None = None,
    valid_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
) -> Built:
    """Make a data folder at `out` from rows of `files`.

    prompt, completion: columns of question and answer. input: column that goes below the prompt where it isn't empty.
    system: column of the system message. messages: column of whole conversations (a list, or JSON of one). text:
    column of ready-made text. What is left open is found by its usual names: prompt, question, instruction (with its
    input) …; completion, answer, output, sql …

    database: column that names each row's database, which makes the rows scorable; gold: column of the right SQL
    (otherwise the completion). databases: folder in which the database NAME is `NAME.sqlite` or `NAME/NAME.sqlite`.

    size: about so many rows, chosen by the seed from all of them. valid_share, test_share: about which share is kept
    for validation and testing, by a hash of the question and `seed`.

    Raises `DataError` when a file or column is missing or nothing can be used, `RecipeError` for settings that can't
    be met, `MissingDependency` for Parquet without DuckDB.
    """
    told = Columns(prompt, completion, input, system, messages, text, database, gold)
    _check(files, told, size, databases, seed)
    shares = Shares(valid_share, test_share)
    tables = [TableExamples(path, find_columns(path, column_names(path), told), databases, seed) for path in files]
    facts = {
        "builder": "files",
        "files": [str(path) for path in files],
        "columns": [table.columns.used() for table in tables],
        "valid_share": valid_share,
        "test_share": test_share,
    }
    last = None if size is None else _last_chosen(tables, size)
    with new_data_folder(out, facts if size is None else facts | {"size": size}, origin="files", seed=seed) as folder:
        _write(folder, tables, shares, last)
        folder.notes.extend(note for table in tables for note in table.notes())
    return folder.built(out)


def _check(files: Sequence[Path], told: Columns, size: int | None, databases: Path | None, seed: int) -> None:
    if not files:
        raise RecipeError("no file was named; give at least one CSV, TSV, JSON, JSONL or Parquet file")
    if size is not None and size < 1:
        raise RecipeError(f"a size of {size} leaves nothing; give at least 1")
    if not 0 <= seed < 2**63:
        raise RecipeError(f"a seed of {seed} can't be used; give a number from 0 to {2**63 - 1}")
    if told.database is None and (told.gold is not None or databases is not None):
        raise RecipeError("right SQL needs a database to run on; name the column that says which with --database")
    if databases is not None and not databases.is_dir():
        raise DataError(f"{databases}: no such folder; expected one with NAME.sqlite or NAME/NAME.sqlite in it")


def _last_chosen(tables: Sequence[TableExamples], size: int) -> tuple[int, int]:
    """Return the last of the `size` examples that come first in the seed's order, holding only their places."""
    chosen = heapq.nsmallest(size, _places(tables))
    return chosen[-1] if chosen else (0, 0)


def _places(tables: Sequence[TableExamples]) -> Iterator[tuple[int, int]]:
    number = 0
    for table in tables:
        for made in table.read():
            if not isinstance(made, RowError):
                yield _place(made.key, number)
                number += 1


def _place(key: int, number: int) -> tuple[int, int]:
    """Return an example's place in the seed's order, which is not that of the keys: these say the side."""
    digest = hashlib.blake2b(key.to_bytes(8), digest_size=8, person=b"size")
    return int.from_bytes(digest.digest()), number


def _write(folder: FolderWriter, tables: Sequence[TableExamples], shares: Shares, last: tuple[int, int] | None) -> None:
    number, in_training, problems = 0, 0, list[RowError]()
    for table in tables:
        for made in table.read():
            if isinstance(made, RowError):
                folder.skip(made.kind)
                if len(problems) < _NAMED:
                    problems.append(made)
                continue
            if last is None or _place(made.key, number) <= last:
                side = shares.side(made.key)
                folder.add(side, made.record)
                in_training += side == "train"
                folder.databases.update(made.databases)
            number += 1
    folder.notes.extend(f"left out: {problem}" for problem in problems)
    if number and not in_training:
        raise DataError(
            f"all examples ({number}) fell to validation and testing; give another --seed, smaller shares, or more rows"
        )
