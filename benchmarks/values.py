"""How well are a question's values found, how few literals are left to choose from, and how long does it take?

Questions of WikiSQL's training half (never its test half) on a database of the tables they ask about. Recall: of all
gold condition values, those among the literals that their column allows (equality) or that comparisons take. A question
counts when all of its values are there. Beside it the literals that a column allows on average, and those of the whole
table. Then an index of a made table of many rows: time to make, size, time of a question.

    python benchmarks/values.py
    python benchmarks/values.py --questions 2000 --rows 10000000 --misses 20
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from myna.databases import Database, Limits, Schema
from myna.text2sql.values import ValueIndex, contents
from myna.text2sql.wikisql import WikiSQLQuestion, WikiSQLTable, read_questions, read_tables, write_database

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def read(folder: Path, count: int) -> list[tuple[WikiSQLQuestion, WikiSQLTable]]:
    """Return questions drawn with a fixed seed, each with its table."""
    questions = random.Random(0).sample(list(read_questions(folder / "train.exec.jsonl")), count)
    asked = {question.query.table_id for question in questions}
    tables = {table.id: table for table in read_tables(folder / "train.tables.jsonl") if table.id in asked}
    return [(question, tables[question.query.table_id]) for question in questions]


def same(gold: Any, literal: Any) -> bool:
    try:
        return float(gold) == float(literal)
    except ValueError:
        return str(gold).strip().casefold() == str(literal).strip().casefold()


def wikisql(folder: Path, count: int, misses: int) -> dict[str, Any]:
    asked = read(folder, count)
    with tempfile.TemporaryDirectory(prefix="myna-values-") as directory:
        path = Path(directory) / "tables.sqlite"
        write_database(path, {table.id: table for _, table in asked}.values())
        with Database.open(path) as database:
            began = time.perf_counter()
            index = ValueIndex.open(database, folder=Path(directory))
            figures: dict[str, Any] = {"tables": len(database.schema.tables), "seconds": time.perf_counter() - began}
            with index:
                return figures | ask(index, database.schema, asked, misses)


def ask(
    index: ValueIndex, schema: Schema, asked: list[tuple[WikiSQLQuestion, WikiSQLTable]], misses: int
) -> dict[str, Any]:
    tables = {table.name: table for table in schema.tables}
    held, all_held, free = Counter[str](), 0, 0
    counts, of_table, seconds = list[float](), list[int](), list[float]()
    for question, table in asked:
        began = time.perf_counter()
        found = contents(index, Schema((tables[table.id],)), question.question)
        seconds.append(time.perf_counter() - began)
        free += found.free
        complete = True
        for column, operator, value in question.query.conds:
            kind = "equality" if operator == 0 else "comparison"
            allowed = (
                found.values.equal.get((table.id, table.columns[column])) if operator == 0 else found.values.compared
            )
            hit = allowed is None or any(same(value, literal) for literal in allowed)
            held[kind] += hit
            held[f"{kind} in all"] += 1
            complete &= hit
            if not hit and misses > 0:
                misses -= 1
                print(f"missed: {question.question!r}: {table.columns[column]} {value!r}, allowed {allowed!r}")
        all_held += complete
        if not found.free:
            counts.append(statistics.mean(map(len, found.values.equal.values())) if found.values.equal else 0.0)
            of_table.append(sum(map(len, found.values.equal.values())))
    return {
        "questions": len(asked),
        "recall of equality values": held["equality"] / held["equality in all"],
        "recall of comparison values": held["comparison"] / max(held["comparison in all"], 1),
        "questions with all values": all_held / len(asked),
        "free": free / len(asked),
        "literals a column": statistics.mean(counts),
        "literals a table": statistics.mean(of_table),
        "milliseconds a question (median)": 1000 * statistics.median(seconds),
        "milliseconds a question (95 %)": 1000 * sorted(seconds)[int(0.95 * len(seconds))],
    }


def large(rows: int) -> dict[str, Any]:
    """Index a table of people with that many rows."""
    draw = random.Random(0)
    syllables = [
        first + last for first in "bdfgklmnprstvz" for last in ("a", "e", "i", "o", "u", "an", "en", "on", "ir")
    ]
    names = ["".join(draw.choices(syllables, k=3)).title() for _ in range(5_000)]
    cities = ["".join(draw.choices(syllables, k=4)).title() for _ in range(2_000)]
    with tempfile.TemporaryDirectory(prefix="myna-values-") as directory:
        path = Path(directory) / "people.sqlite"
        connection = sqlite3.connect(path)
        connection.execute(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, city TEXT, age INTEGER, height REAL)"
        )
        made = (
            (f"{draw.choice(names)} {draw.choice(names)}", draw.choice(cities), draw.randrange(100), draw.random())
            for _ in range(rows)
        )
        connection.executemany("INSERT INTO people (name, city, age, height) VALUES (?, ?, ?, ?)", made)
        connection.commit()
        first = connection.execute("SELECT name, city FROM people WHERE id = 77").fetchone()
        connection.close()
        question = f"How old is {first[0].lower()} of {first[1][:3]}{first[1][4:]}?"
        with Database.open(path, limits=Limits(seconds=60.0)) as database:
            began = time.perf_counter()
            with ValueIndex.open(database, folder=Path(directory) / "index") as index:
                made_in = time.perf_counter() - began
                began = time.perf_counter()
                matches = index.matches(question)
                asked_in = time.perf_counter() - began
                cells = sum(column.values for column in index.columns)
        size = sum(file.stat().st_size for file in (Path(directory) / "index").iterdir())
    print(f"{question} -> {', '.join(f'{match.column} = {match.value} ({match.score})' for match in matches)}")
    return {
        "rows": rows,
        "seconds": made_in,
        "cells": cells,
        "MB": size / 1e6,
        "milliseconds a question": 1000 * asked_in,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wikisql", type=Path, default=SHARED / "wikisql", help="folder with train.exec.jsonl")
    parser.add_argument("--questions", type=int, default=2_000)
    parser.add_argument("--misses", type=int, default=0, help="show so many values that were not found")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the made table; 0: none")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"wikisql": wikisql(arguments.wikisql, arguments.questions, arguments.misses)}
    if arguments.rows:
        figures["large"] = large(arguments.rows)
    for name, found in figures.items():
        print(name)
        for label, value in found.items():
            print(f"  {label:<36}{value:>12,.3f}" if isinstance(value, float) else f"  {label:<36}{value:>12,}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
