"""Small data folders with real SQLite databases, to score answers on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from myna.text2sql import wikisql
from myna.text2sql.facts import SqlFacts

SCHOOL = """
CREATE TABLE students (id INTEGER PRIMARY KEY, name TEXT, age INTEGER, grade REAL);
INSERT INTO students VALUES (1, 'Ada', 20, 1.0), (2, 'Bob', 22, 2.5), (3, 'Cy', 22, NULL), (4, 'Dee', 25, 3.0);
CREATE TABLE visits (student_id INTEGER REFERENCES students (id), course TEXT, day TEXT);
INSERT INTO visits VALUES (1, 'sql', '2024-01-01'), (1, 'law', '2024-01-02'), (2, 'sql', '2024-01-01');
"""

GOLD = (
    "SELECT name FROM students WHERE age = 22",
    "SELECT count(*) FROM students",
    "SELECT name FROM students ORDER BY age DESC LIMIT 1",
    "SELECT students.name FROM students JOIN visits ON students.id = visits.student_id WHERE visits.course = 'sql'",
    "SELECT age, count(*) FROM students GROUP BY age",
    "SELECT max(grade) FROM students WHERE age > 21",
)
"""Queries on the school; none has an empty result."""

CITIES = wikisql.WikiSQLTable(
    id="1-100-1",
    header=("City", "Population", "Mayor", "Notes, in short"),
    types=("text", "real", "text", "text"),
    rows=(
        ("Ulm", 126329, "Czisch", "cathedral"),
        ("Jena", 111343, "Nitzsche", "optics"),
        ("Trier", 110674, "Leibe", "oldest"),
        ("Jena", 42, "Nitzsche", "optics"),
    ),
)
CITY_QUERIES = (
    wikisql.WikiSQLQuery(CITIES.id, 2, 0, ((0, 0, "Ulm"),)),
    wikisql.WikiSQLQuery(CITIES.id, 1, 1, ()),
    wikisql.WikiSQLQuery(CITIES.id, 0, 3, ((1, 1, 111000),)),
    wikisql.WikiSQLQuery(CITIES.id, 1, 0, ((0, 0, "Jena"), (2, 0, "Nitzsche"))),
)


def database(path: Path, script: str = SCHOOL) -> Path:
    """Write a SQLite file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path


def line(question: str, facts: SqlFacts) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": facts.gold}]
    return {"messages": messages, "sql": facts.as_dict()}


def folder(path: Path, lines: Iterable[Mapping[str, Any]], databases: Mapping[str, str]) -> Path:
    """Write a data folder with a test split."""
    path.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines)
    (path / "test.jsonl").write_text(text, "utf-8")
    (path / "data.json").write_text(json.dumps({"databases": databases} if databases else {}), "utf-8")
    return path


def school(path: Path, gold: Sequence[str] = GOLD, source: str = "") -> Path:
    """Write a data folder with questions on the school, scored by the rule of `source`."""
    database(path / "databases" / "school.sqlite")
    lines = [line(f"question {number}", SqlFacts("school", sql, source, number)) for number, sql in enumerate(gold, 1)]
    return folder(path, lines, {"school": "databases/school.sqlite"})


def cities(path: Path, queries: Sequence[wikisql.WikiSQLQuery] = CITY_QUERIES) -> Path:
    """Write a data folder in WikiSQL's form, with both of its databases."""
    wikisql.write_database(path / "databases" / "cities.sqlite", [CITIES])
    wikisql.write_official_database(path / "official" / "cities.db", [CITIES])
    facts = (
        SqlFacts("cities", wikisql.to_sql(query, CITIES), "wikisql", number, query.as_dict())
        for number, query in enumerate(queries, 1)
    )
    prompts = (wikisql.text_prompt(f"question {number}", CITIES) for number in range(1, len(queries) + 1))
    lines = [line(prompt, each) for prompt, each in zip(prompts, facts, strict=True)]
    return folder(path, lines, {"cities": "databases/cities.sqlite"})


def predictions(path: Path, answers: Iterable[str]) -> Path:
    """Write one answer a line."""
    path.write_text("".join(f"{answer}\n" for answer in answers), "utf-8")
    return path
