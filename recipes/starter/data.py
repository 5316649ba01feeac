"""Make the starter's training data: `train.jsonl` in the order in which it is learnt, `valid.jsonl`, `data.json`.

    python recipes/starter/data.py SOURCES WIKISQL OUT

SOURCES is the folder that `make starter` fills: what `myna data` built of WikiSQL, Spider, sql-create-context and
generated databases. A pass tells everything once, each time a little differently; groups of questions that share a
schema stand together, so that training computes the schema once. OUT/first … OUT/fourth have what the four parts of
training learn.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import databases
import wikisql
from myna.builders.wikisql_source import QuestionFile
from myna.databases import Database, Schema
from myna.models.adapters import PROMPT
from myna.text2sql.prompt_settings import PromptSettings
from myna.text2sql.values import ValueIndex, hints

Conversation = list[dict[str, str]]
HELD_OUT = Path(__file__).with_name("held_out.txt")
"""Spider's training databases that the starter never sees; it is scored on pairs that are generated from them."""
_PARTS = {"first": ((0, 1), 0.45), "second": ((2,), 0.75), "third": ((3,), 0.75), "fourth": ((4,), 0.45)}
"""The passes of each part, and the share of the generated pairs that a pass tells."""


class Sources:
    """Everything that is told, read once."""

    def __init__(self, folder: Path, wikisql_folder: Path) -> None:
        held_out = set(HELD_OUT.read_text("utf-8").split())
        self.nouns: list[str] = json.loads((folder / "tables" / "nouns.json").read_text("utf-8"))
        self.tables, self.asked, self.kept_out = _wikisql(folder, wikisql_folder)
        built = [folder / "spider", *sorted((folder / "generated").iterdir())]
        self.spider: list[tuple[Schema, list[databases.Pair]]] = []
        self.generated: list[tuple[Schema, list[databases.Pair]]] = []
        unseen = set()
        for each in built:
            for path, pairs in databases.pairs_of(each).items():
                if Path(path).stem in held_out:
                    unseen |= {_key(pair.messages[1]["content"]) for pair in pairs}
                elif each.name == "spider":
                    self.spider.append((databases.schema_at(path), _with_hints(path, pairs)))
                else:
                    self.generated.append((databases.schema_at(path), pairs))
        self.without_database = [
            [json.loads(line)["messages"]]
            for line in (folder / "sql_create_context" / "train.jsonl").open(encoding="utf-8")
            if _key(json.loads(line)["messages"][1]["content"]) not in unseen
        ]

    def told(self, number: int, *, share: float) -> Iterator[list[Conversation]]:
        """Yield the groups of one pass, in the order in which they are learnt."""
        chance = random.Random(f"pass {number}")
        groups = list(self.without_database) if number % 2 == 0 else []
        for table_id, asked in self.asked.items():
            groups += wikisql.conversations(self.tables[table_id], asked, self.nouns, chance)
        for schema, pairs in self.spider:
            groups += databases.conversations(schema, pairs, chance)
        for schema, pairs in self.generated:
            part = [pair for pair in pairs if chance.random() < share]
            groups += databases.conversations(schema, part, chance)
        chance.shuffle(groups)
        yield from groups

    def validation(self) -> Iterator[list[Conversation]]:
        """Yield questions on tables that are not learnt."""
        chance = random.Random("validation")
        for table_id, asked in self.kept_out.items():
            yield from wikisql.conversations(self.tables[table_id], asked, self.nouns, chance)


Asked = dict[str, list[wikisql.Asked]]


def _wikisql(folder: Path, source: Path) -> tuple[dict[str, Any], Asked, Asked]:
    """Return tables, their questions with what these name, and apart the questions that settings are chosen by."""
    kept_out = {
        json.loads(line)["sql"]["query"]["table_id"] for line in (folder / "dev" / "valid.jsonl").open(encoding="utf-8")
    }
    matches = {}
    for line in (folder / "named.jsonl").open(encoding="utf-8"):
        record = json.loads(line)
        matches[record["line"]] = record["matches"]
    file = QuestionFile(source, "train.exec", seed=0)
    learnt: defaultdict[str, list[wikisql.Asked]] = defaultdict(list)
    kept: defaultdict[str, list[wikisql.Asked]] = defaultdict(list)
    tables: dict[str, Any] = {}
    for question, table in file.read(np.arange(len(file))):
        tables.setdefault(table.id, table)
        places = {name: number for number, name in enumerate(table.columns)}
        found = tuple(wikisql.Match(places[c], v, start, stop) for c, v, start, stop in matches[question.line])
        part = kept if table.id in kept_out else learnt
        part[table.id].append(wikisql.Asked(question.question, question.query, found))
    return tables, dict(learnt), dict(kept)


def _with_hints(path: str, pairs: Sequence[databases.Pair]) -> list[databases.Pair]:
    """Return Spider's pairs with the cells that the questions name, as asking finds them."""
    told = []
    with Database.open(path) as database, ValueIndex.open(database) as index:
        for pair in pairs:
            system, user, answer = pair.messages
            named = hints(index.matches(user["content"]))
            content = user["content"] + (f"\nHints: {'; '.join(named)}" if named else "")
            told.append(databases.pair_of([system, {"role": "user", "content": content}, answer]))
    return told


def _key(question: str) -> str:
    return "".join(char for char in question.partition("\nHints: ")[0].casefold() if char.isalnum())


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", type=Path)
    parser.add_argument("wikisql", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    sources = Sources(arguments.sources, arguments.wikisql)
    for name, (numbers, share) in _PARTS.items():
        told = (group for number in numbers for group in sources.told(number, share=share))
        folder = arguments.out / name
        folder.mkdir(parents=True)
        # What the prompts show goes on to the model, so that it is asked as it has learnt.
        made = {"source": {"builder": "recipes/starter"}, PROMPT: PromptSettings(samples=0).as_dict()}
        (folder / "data.json").write_text(json.dumps(made, indent=2) + "\n", "utf-8")
        counts = [_write(folder / "train.jsonl", told), _write(folder / "valid.jsonl", sources.validation())]
        print(f"{folder}: {counts[0]:,} and {counts[1]:,} examples", file=sys.stderr)


def _write(path: Path, groups: Iterable[list[Conversation]]) -> int:
    lines = [json.dumps({"messages": m}, ensure_ascii=False) + "\n" for group in groups for m in group]
    path.write_text("".join(lines), "utf-8")
    return len(lines)


if __name__ == "__main__":
    main()
