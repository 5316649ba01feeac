"""Questions on databases, Spider's own and generated ones, each time with the schema told a little differently.

In: a data folder that `myna data` built with `--samples 0`. Out: groups of conversations that share a schema: tables
and columns in any order, some of those that no question of the group needs left out.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import sqlglot
from sqlglot import exp

from myna.databases import Database, Schema, Table
from myna.text2sql.prompt import question_messages
from myna.text2sql.schema_text import schema_text

Conversation = list[dict[str, str]]
_TOGETHER = 12
_MOST_TABLES = 8


@dataclass(frozen=True)
class Pair:
    """A question with its hints as the prompt has them, its SQL, and the names that the SQL and the hints need."""

    messages: tuple[dict[str, str], ...]
    tables: frozenset[str]
    names: frozenset[str]


def pairs_of(folder: Path, splits: Sequence[str] = ("train", "valid", "test")) -> dict[str, list[Pair]]:
    """Return the pairs of a data folder by the path of their database."""
    described = json.loads((folder / "data.json").read_text("utf-8"))
    found: defaultdict[str, list[Pair]] = defaultdict(list)
    for split in splits:
        path = folder / f"{split}.jsonl"
        for line in path.read_text("utf-8").splitlines() if path.exists() else ():
            record = json.loads(line)
            place = described["databases"].get(record["sql"]["database"])
            if place is not None:
                found[str(folder / place)].append(pair_of(record["messages"]))
    return dict(found)


def pair_of(messages: list[dict[str, str]]) -> Pair:
    """Return a conversation with what its SQL and its hints need of the schema."""
    tree = sqlglot.parse_one(messages[-1]["content"], read="sqlite")
    names = {column.name.casefold() for column in tree.find_all(exp.Column)}
    hinted = messages[1]["content"].partition("\nHints: ")[2]
    names |= {part.partition(" = ")[0].strip('"').casefold() for part in hinted.split("; ")}
    return Pair(tuple(messages), frozenset(t.name.casefold() for t in tree.find_all(exp.Table)), frozenset(names))


def schema_at(path: str) -> Schema:
    """Return the schema of a database file."""
    with Database.open(path) as database:
        return database.schema


def conversations(schema: Schema, pairs: Sequence[Pair], chance: random.Random) -> Iterator[list[Conversation]]:
    """Yield groups of conversations about one database."""
    shuffled = list(pairs)
    chance.shuffle(shuffled)
    # Questions on the same tables go together, where only a part of a large schema is shown.
    if len(schema.tables) > _MOST_TABLES:
        shuffled.sort(key=lambda pair: sorted(pair.tables))
    for start in range(0, len(shuffled), _TOGETHER):
        group = shuffled[start : start + _TOGETHER]
        shown = schema_text(_retold(schema, group, chance))
        yield [_conversation(pair, shown) for pair in group]


def _conversation(pair: Pair, shown: str) -> Conversation:
    question, _, hinted = pair.messages[1]["content"].partition("\nHints: ")
    return [*question_messages(shown, question, hints=[hinted] if hinted else []), pair.messages[-1]]


def _retold(schema: Schema, group: Sequence[Pair], chance: random.Random) -> Schema:
    """Return the schema with its tables and columns in another order and without some that nobody asks for."""
    needed = frozenset[str]().union(*(pair.tables for pair in group))
    names = frozenset[str]().union(*(pair.names for pair in group))
    keep_all = len(schema.tables) <= _MOST_TABLES and chance.random() < 0.5
    others = [table.name for table in schema.tables if table.name.casefold() not in needed]
    chance.shuffle(others)
    room = max(0, chance.randint(0, 3) if not keep_all else len(others))
    shown = {table.name for table in schema.tables if table.name.casefold() in needed} | set(others[:room])
    tables = [table for table in schema.tables if table.name in shown]
    drop = chance.choice((0.0, 0.0, 0.25))
    shuffled = chance.random() < 0.7
    if shuffled:
        chance.shuffle(tables)
    return Schema(tuple(_table(table, shown, names, drop, shuffled, chance) for table in tables))


def _table(
    table: Table, shown: set[str], names: frozenset[str], drop: float, shuffled: bool, chance: random.Random
) -> Table:
    keys = tuple(key for key in table.foreign_keys if key.table in shown)
    linked = {column for key in keys for column in key.columns}.union(table.primary_key)
    columns = [
        column
        for column in table.columns
        if column.name in linked or column.name.casefold() in names or chance.random() >= drop
    ] or list(table.columns)
    if shuffled:
        chance.shuffle(columns)
    return replace(table, columns=tuple(columns), foreign_keys=keys)
