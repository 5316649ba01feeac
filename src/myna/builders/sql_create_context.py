"""sql-create-context, questions over CREATE TABLE statements → a data folder, worded as in the well-known tutorial.

    {"question": "How old is Tony?", "context": "CREATE TABLE head (name VARCHAR, age INTEGER)", "answer": "SELECT …"}

A line's conversation is system (with the SCHEMA), user (the question) and assistant (the SQL). There is no database
behind the schemas, and empty tables would make wrong SQL look right, so the facts name none: such questions are scored
by exact match alone. No schema is on two sides. The source streams from disk.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from myna.builders.sides import Shares, key_of
from myna.builders.tables import Row, read_rows
from myna.builders.writer import SPLITS, Built, FolderWriter, new_data_folder
from myna.errors import DataError, RecipeError
from myna.text2sql.facts import SqlFacts

SYSTEM_PROMPT = """\
You are an text to SQL query translator. Users will ask you questions in English and you will generate a SQL query \
based on the provided SCHEMA.
SCHEMA:
{schema}"""
"""The tutorial's own words ("How to Fine-Tune LLMs in 2024 with Hugging Face", Phil Schmid), its "an text" included:
adapters trained after it know this prompt and no other."""

PLACE_OF_SCHEMA = "{schema}"
_KEYS = ("question", "context", "answer")
_CREATE = re.compile(r"create table (?:if not exists )?(.+?) ?\((.*)\)")
_NAMED = 3
"""Bad rows that notes name."""


@dataclass(frozen=True, slots=True)
class _Question:
    line: int
    question: str
    context: str
    answer: str
    split: str
    place: int
    """In the seed's order."""


@dataclass(frozen=True, slots=True)
class _BadRow:
    line: int
    problem: str
    kind: str


def build_sql_create_context(
    file: Path,
    out: Path,
    *,
    system_prompt: str = SYSTEM_PROMPT,
    size: int | None = None,
    valid_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
) -> Built:
    """Make a data folder of sql-create-context.

    file: JSON (a list), JSONL, CSV or Parquet with question, context and answer. system_prompt: the system message,
    `{schema}` in it stands for the CREATE TABLE statements. size: at most this many examples of each split, chosen by a
    hash of content and `seed`. valid_share, test_share: about which share of the schemas is validated and tested on,
    by a hash of tables and columns and `seed`.

    Rows that can't be used are left out, counted by reason, and the first of them named. Raises `DataError` for a file
    that is missing or holds nothing to use, and for an `out` that is in the way; `RecipeError` for settings that can't
    be.
    """
    shares = Shares(valid_share, test_share)
    if PLACE_OF_SCHEMA not in system_prompt:
        raise RecipeError(f"--system-prompt {system_prompt!r}: expected {PLACE_OF_SCHEMA} where the schema goes")
    if size is not None and size < 1:
        raise RecipeError(f"--size {size}: expected at least 1")
    last = {} if size is None else _last_places(file, shares, seed, size)
    source = {
        "builder": "sql-create-context",
        "file": str(file),
        "system_prompt": system_prompt,
        "valid_share": valid_share,
        "test_share": test_share,
        **({"size": size} if size is not None else {}),
    }
    with new_data_folder(out, source, origin="file", seed=seed) as writer:
        _write(file, shares, seed, last, system_prompt, writer)
        writer.notes.append("no databases: these questions are scored by exact match, not by execution")
    return writer.built(out)


def _last_places(file: Path, shares: Shares, seed: int, size: int) -> dict[str, int]:
    """Return for each split the place of the last example that is taken, holding only places."""
    last = {}
    for split in SPLITS:
        places = (
            each.place for each in _read(file, shares, seed) if isinstance(each, _Question) and each.split == split
        )
        chosen = heapq.nsmallest(size, places)
        if len(chosen) == size:
            last[split] = chosen[-1]
    return last


def _write(
    file: Path, shares: Shares, seed: int, last: dict[str, int], system_prompt: str, writer: FolderWriter
) -> None:
    read, trained, named = 0, 0, 0
    for each in _read(file, shares, seed):
        if isinstance(each, _BadRow):
            writer.skip(each.kind)
            if named < _NAMED:
                writer.notes.append(f"left out: {file}:{each.line}: {each.problem}")
            named += 1
            continue
        read += 1
        trained += each.split == "train"
        if each.place > last.get(each.split, each.place):
            writer.skip("beyond the examples asked for")
            continue
        turns = {
            "system": system_prompt.replace(PLACE_OF_SCHEMA, each.context),
            "user": each.question,
            "assistant": each.answer,
        }
        facts = SqlFacts("", each.answer, "sql-create-context", each.line)
        messages = [{"role": role, "content": content} for role, content in turns.items()]
        writer.add(each.split, {"messages": messages, "sql": facts.as_dict()})
    if read and not trained:
        raise DataError(
            f"{file}: all {read:,} examples fell to validation and testing; give another --seed or smaller shares"
        )


def _read(file: Path, shares: Shares, seed: int) -> Iterator[_Question | _BadRow]:
    for row in read_rows(file):
        problem = row.problem or _problem(row)
        if problem:
            yield _BadRow(row.line, problem, "can't be read" if row.problem else problem)
            continue
        question, context, answer = (str(row.cells[key]).strip() for key in _KEYS)
        split = shares.side(key_of(schema_key(context), seed))
        yield _Question(row.line, question, context, answer, split, key_of(f"{context}\0{question}\0{answer}", seed))


def _problem(row: Row) -> str:
    for key in _KEYS:
        content = row.cells.get(key)
        if not isinstance(content, str) or not content.strip():
            return f"no {key}"
    return "" if "create" in str(row.cells["context"]).casefold() else "its context has no CREATE TABLE"


def schema_key(context: str) -> str:
    """Return what all ways of writing one schema share: names of tables and columns, without order, case and types."""
    return "; ".join(sorted(filter(None, map(_table_key, context.split(";")))))


def _table_key(statement: str) -> str:
    squeezed = " ".join(statement.split()).casefold()
    found = _CREATE.fullmatch(squeezed)
    if found is None:
        return squeezed
    columns = sorted({item.strip().partition(" ")[0] for item in found[2].split(",")})
    return f"{found[1]}({','.join(columns)})"
