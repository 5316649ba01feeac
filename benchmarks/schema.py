"""What does a schema cost in tokens, and does what a question needs survive when a large schema is cut?

Tokens per column of the schema text, with and without sample values, over Spider's databases, by tokenizer. Then one
schema of a thousand tables: those of all Spider databases (a name that comes again gets a number) and as many of
WikiSQL's training tables as are missing. For training questions of Spider it is cut to the budget; recall is the share
of the gold query's tables, and columns, that are still there. Once by names alone, once with the cells that the
question names in any of the databases.

    python benchmarks/schema.py
    python benchmarks/schema.py --questions 1000 --budget 2000 --tokenizer qwen2.5 --misses 10
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from sqlglot import exp
from tokenizers import Tokenizer

from myna.databases import Database, Schema, Table
from myna.errors import QueryError
from myna.text2sql.relevant import relevant_schema
from myna.text2sql.schema_text import Samples, sample_values, schema_text
from myna.text2sql.syntax import parse_query
from myna.text2sql.values import ValueIndex, ValueMatch
from myna.text2sql.wikisql import read_tables, schema_of

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
TABLES = 1_000


def read_spider(folder: Path) -> dict[str, tuple[Schema, Samples]]:
    read: dict[str, tuple[Schema, Samples]] = {}
    for path in sorted((folder / "database").glob("*/*.sqlite")):
        with Database.open(path) as database:
            samples = {table.name: sample_values(database, table) for table in database.schema.tables}
            read[path.stem] = (database.schema, samples)
    return read


def counter(file: Path) -> Callable[[str], int]:
    tokenizer = Tokenizer.from_file(str(file))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def tokens_per_column(spider: Mapping[str, tuple[Schema, Samples]], folder: Path) -> dict[str, dict[str, float]]:
    columns = sum(len(table.columns) for schema, _ in spider.values() for table in schema.tables)
    figures = {}
    for file in sorted(folder.glob("*/tokenizer.json")):
        tokens = counter(file)
        plain = sum(tokens(schema_text(schema)) for schema, _ in spider.values())
        sampled = sum(tokens(schema_text(schema, samples)) for schema, samples in spider.values())
        figures[file.parent.name] = {"plain": plain / columns, "with samples": sampled / columns}
    return figures


def merged(spider: Mapping[str, tuple[Schema, Samples]], wikisql: Path) -> tuple[Schema, dict[tuple[str, str], str]]:
    """Return the large schema, and the name there of each (database, table)."""
    names: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    tables: list[Table] = []
    for database, (schema, _) in spider.items():
        for table in schema.tables:
            name, number = table.name, 2
            while name.casefold() in taken:
                name, number = f"{table.name}_{number}", number + 1
            taken.add(name.casefold())
            names[database, table.name.casefold()] = name
        for table in schema.tables:
            keys = (
                replace(key, table=names.get((database, key.table.casefold()), key.table)) for key in table.foreign_keys
            )
            tables.append(replace(table, name=names[database, table.name.casefold()], foreign_keys=tuple(keys)))
    others = read_tables(wikisql)
    while len(tables) < TABLES:
        tables.extend(schema_of(next(others)).tables)
    random.Random(0).shuffle(tables)
    return Schema(tuple(tables)), names


def needed(sql: str, schema: Schema) -> tuple[set[str], set[tuple[str, str]]]:
    """Return the tables and columns of a query, in lower case."""
    tree = parse_query(sql, "sqlite")
    having = {table.name.casefold(): {column.name.casefold() for column in table.columns} for table in schema.tables}
    named = {node.alias_or_name.casefold(): node.name.casefold() for node in tree.find_all(exp.Table)}
    tables = set(named.values()) & having.keys()
    columns = set()
    for node in tree.find_all(exp.Column):
        name = node.name.casefold()
        of = named.get(node.table.casefold()) if node.table else None
        columns |= {(table, name) for table in ([of] if of else tables) if name in having.get(table, ())}
    return tables, columns


@dataclass
class Cutter:
    """Cuts the large schema for questions, and says what survived. indexes: of cells, by database."""

    large: Schema
    names: Mapping[tuple[str, str], str]
    spider: Mapping[str, tuple[Schema, Samples]]
    indexes: Mapping[str, ValueIndex]
    tokens: Callable[[str], int]
    budget: int

    def ask(self, database: str, question: str, sql: str, *, with_values: bool) -> dict[str, float]:
        """Raises `QueryError` for SQL that can't be parsed."""
        tables, columns = needed(sql, self.spider[database][0])
        values = self.values(question) if with_values else []
        began = time.perf_counter()
        cut = relevant_schema(self.large, question, budget=self.budget, size=self.tokens, values=values)
        seconds = time.perf_counter() - began
        shown = {table.name for table in cut.schema.tables}
        having = {(table.name, column.name.casefold()) for table in cut.schema.tables for column in table.columns}
        found = {
            "tables": sum(self.names[database, table] in shown for table in tables),
            "all tables": len(tables),
            "columns": sum((self.names[database, table], column) in having for table, column in columns),
            "all columns": len(columns),
        }
        whole = found["tables"] == len(tables) and found["columns"] == len(columns)
        size = self.tokens(schema_text(cut.schema))
        return found | {"whole": whole, "shown": len(shown), "tokens": size, "seconds": seconds}

    def values(self, question: str) -> list[ValueMatch]:
        """Return the cells of all databases that the question names, as one index of all would."""
        found = [
            replace(match, table=self.names[database, match.table.casefold()])
            for database, index in self.indexes.items()
            for match in index.matches(question)
        ]
        return sorted(found, key=lambda match: (match.start - match.stop, -match.score))[:10]


def recall(arguments: argparse.Namespace, spider: Mapping[str, tuple[Schema, Samples]]) -> list[dict[str, float]]:
    shared: Path = arguments.shared
    large, names = merged(spider, shared / "wikisql" / "train.tables.jsonl")
    tokens = counter(shared / "tokenizers" / arguments.tokenizer / "tokenizer.json")
    asked = json.loads((shared / "spider" / "train_spider.json").read_text("utf-8"))
    asked = random.Random(0).sample([each for each in asked if each["db_id"] in spider], arguments.questions)
    with tempfile.TemporaryDirectory(prefix="myna-schema-") as folder, ExitStack() as stack:
        indexes = {}
        for name in spider:
            with Database.open(shared / "spider" / "database" / name / f"{name}.sqlite") as database:
                indexes[name] = stack.enter_context(ValueIndex.open(database, folder=Path(folder)))
        cutter = Cutter(large, names, spider, indexes, tokens, arguments.budget)
        return [survival(cutter, asked, with_values, arguments.misses) for with_values in (False, True)]


def survival(cutter: Cutter, asked: list[dict[str, str]], with_values: bool, misses: int) -> dict[str, float]:
    found = []
    for each in asked:
        try:
            found.append(cutter.ask(each["db_id"], each["question"], each["query"], with_values=with_values))
        except QueryError:
            continue
        if not found[-1]["whole"] and misses > 0:
            misses -= 1
            print(f"missed ({each['db_id']}): {each['question']} | {each['query']}")
    return {
        "with values": with_values,
        "questions": len(found),
        "tables": sum(each["tables"] for each in found) / sum(each["all tables"] for each in found),
        "columns": sum(each["columns"] for each in found) / sum(each["all columns"] for each in found),
        "whole queries": statistics.mean(each["whole"] for each in found),
        "tables shown": statistics.mean(each["shown"] for each in found),
        "tokens, most": max(each["tokens"] for each in found),
        "seconds, median": statistics.median(each["seconds"] for each in found),
        "seconds, most": max(each["seconds"] for each in found),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder with spider/, wikisql/ and tokenizers/")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--budget", type=int, default=2_000, help="tokens of the schema's text")
    parser.add_argument("--tokenizer", default="qwen2.5", help="of tokenizers/, which counts them")
    parser.add_argument("--misses", type=int, default=0, help="show so many questions whose query did not survive")
    arguments = parser.parse_args()
    spider = read_spider(arguments.shared / "spider")
    columns = tokens_per_column(spider, arguments.shared / "tokenizers")
    for name, figures in columns.items():
        print(f"{name:<12}" + "".join(f"{label:>16}{value:>6.2f}" for label, value in figures.items()))
    survived = recall(arguments, spider)
    for each in survived:
        print("\n".join(f"{label:<20}{value:>10.4f}" for label, value in each.items()), end="\n\n")
    print(json.dumps({"tokens per column": columns, "recall": survived}))


if __name__ == "__main__":
    main()
