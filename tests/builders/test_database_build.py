"""A database becomes questions and SQL that can be trusted."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from myna.builders.database.build import build_database
from myna.builders.database.private import Disguise
from myna.builders.database.query import Aggregate, ColumnOf, DatePart, Having, OneOf
from myna.data.folder import open_folder
from myna.databases import Database
from myna.errors import DataError, RecipeError
from myna.text2sql.scoring import score
from myna.text2sql.surface import canonical

SCHOOLS = ("North School", "Lakeside", "Hill School", "Old Town")
NAMES = ("Wang Junjian", "Li Na", "Ann Berg", "Tom Hale", "Zhao Min", "Eva Roth", "Max Holm", "Ida Vance")


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("school") / "school.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE schools (id INTEGER PRIMARY KEY, name TEXT, city TEXT)")
        connection.execute(
            "CREATE TABLE students (id INTEGER PRIMARY KEY, name TEXT, age INTEGER, grade INTEGER, height REAL, "
            "school_id INTEGER REFERENCES schools(id))"
        )
        for number, name in enumerate(SCHOOLS, 1):
            connection.execute("INSERT INTO schools VALUES (?, ?, ?)", (number, name, f"City {number % 3}"))
        for number in range(120):
            name = f"{NAMES[number % 8]} {number // 8}" if number >= 8 else NAMES[number]
            row = (number + 1, name, 12 + number % 7, 7 + number % 3, 140 + number * 0.5, number % 4 + 1)
            connection.execute("INSERT INTO students VALUES (?, ?, ?, ?, ?, ?)", row)
    return path


def lines(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        split: [json.loads(line) for line in (folder / f"{split}.jsonl").read_text("utf-8").splitlines()]
        for split in ("train", "valid", "test")
        if (folder / f"{split}.jsonl").is_file()
    }


def every(made: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [line for found in made.values() for line in found]


def question(line: dict[str, Any]) -> str:
    asked = line["messages"][1]["content"]
    assert isinstance(asked, str)
    return asked.partition("\nHints:")[0]


@pytest.fixture(scope="module")
def made(school: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    out = tmp_path_factory.mktemp("made") / "data"
    built = build_database(school, out, size=300, language="both", seed=1)
    folder = open_folder(out)
    assert sum(built.counts.values()) == len(folder.train) + len(folder.valid or ()) + len(folder.test or ())
    assert sum(built.counts.values()) >= 270
    return lines(out)


def test_every_pair_runs_has_an_answer_and_is_written_as_decoding_writes_it(
    school: Path, made: dict[str, list[dict[str, Any]]]
) -> None:
    with Database.open(school) as database:
        for line in every(made):
            sql = line["messages"][-1]["content"]
            assert line["sql"]["gold"] == sql
            assert database.run(sql).rows
            assert canonical(sql, database.schema) == sql


def test_no_query_and_no_question_is_on_two_sides(made: dict[str, list[dict[str, Any]]]) -> None:
    queries = {split: {line["sql"]["gold"] for line in found} for split, found in made.items()}
    assert not queries["train"] & (queries["valid"] | queries["test"])
    asked = [question(line).lower() for line in every(made)]
    assert len(asked) == len(set(asked))


def test_both_languages_ask(made: dict[str, list[dict[str, Any]]]) -> None:
    chinese = sum(any("一" <= letter <= "鿿" for letter in question(line)) for line in made["train"])
    assert 0.35 < chinese / len(made["train"]) < 0.65


def test_the_prompt_names_the_cells_that_the_question_names(made: dict[str, list[dict[str, Any]]]) -> None:
    asked = {name: [line for line in made["train"] if name in question(line)] for name in SCHOOLS}
    assert any(asked.values())
    for name, about in asked.items():
        assert all(f"'{name}'" in line["messages"][1]["content"].partition("\nHints:")[2] for line in about)


def test_the_same_seed_gives_the_same_bytes(school: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        build_database(school, tmp_path / name, size=40, seed=seed)
    contents = {name: (tmp_path / name / "train.jsonl").read_bytes() for name in "abc"}
    assert contents["a"] == contents["b"] != contents["c"]


def test_the_data_folder_finds_the_database_wherever_it_was_made_from(
    school: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(school.parent)
    build_database(school.name, tmp_path / "data", size=30)
    monkeypatch.chdir(tmp_path)
    gold = [line["sql"]["gold"] for line in lines(tmp_path / "data")["train"]]
    predictions = tmp_path / "predictions.sql"
    predictions.write_text("".join(f"{sql}\n" for sql in gold), "utf-8")
    assert score(tmp_path / "data", predictions=predictions, split="train").as_dict()["execution_accuracy"] == 1.0


def test_own_examples_are_run_first_and_those_that_fail_are_named(school: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.jsonl"
    pairs = [
        ("Who is the oldest?", "select name from students order by age desc limit 1"),
        ("How old?", "SELECT agee FROM students"),
        ("Delete all", "DELETE FROM students"),
    ]
    own.write_text("".join(json.dumps({"question": q, "sql": sql}) + "\n" for q, sql in pairs), "utf-8")
    built = build_database(school, tmp_path / "data", size=20, examples=own)
    found = [line for line in every(lines(built.folder)) if question(line) == "Who is the oldest?"]
    assert [line["sql"]["gold"] for line in found] == ["SELECT name FROM students ORDER BY age DESC LIMIT 1"]
    assert built.skipped["own examples that can't be used"] == 2
    notes = "\n".join(built.notes)
    assert "own.jsonl:2: no such column: agee" in notes
    assert "own.jsonl:3: refused" in notes


def test_an_own_question_with_two_answers_is_left_out_and_one_that_comes_twice_is_kept_once(
    school: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.jsonl"
    youngest, oldest = (f"SELECT name FROM students ORDER BY age {way} LIMIT 1" for way in ("ASC", "DESC"))
    pairs = [("Who?", youngest), ("who", oldest), ("Who is the oldest?", oldest), ("who is  the oldest", oldest)]
    own.write_text("".join(json.dumps({"question": q, "sql": sql}) + "\n" for q, sql in pairs), "utf-8")
    built = build_database(school, tmp_path / "data", size=20, examples=own)
    asked = [question(line).casefold() for line in every(lines(built.folder))]
    assert sum(text.startswith("who is the oldest") for text in asked) == 1
    assert not {"who", "who?"} & set(asked)
    assert built.skipped["questions that could mean two queries"] >= 2


def test_private_data_holds_no_text_of_the_database(school: Path, tmp_path: Path) -> None:
    built = build_database(school, tmp_path / "data", size=200, language="both", values="private")
    text = "\n".join((built.folder / f"{split}.jsonl").read_text("utf-8") for split in built.counts)
    for name in (*SCHOOLS, *NAMES, "City 1"):
        assert name not in text
    assert "WHERE" in text


def test_private_data_calls_no_value_what_the_real_one_is_called(school: Path, tmp_path: Path) -> None:
    glossary = tmp_path / "glossary.yaml"
    values = "\n".join(f"          {grade}: class of {grade}x" for grade in range(1, 13))
    glossary.write_text(f"tables:\n  students:\n    columns:\n      grade:\n        values:\n{values}\n")
    built = build_database(school, tmp_path / "data", size=200, values="private", glossary=glossary)
    text = "\n".join((built.folder / name).read_text("utf-8") for name in ("data.json", "train.jsonl"))
    assert "grade" in text
    assert "class of" not in text


def test_made_up_values_are_no_two_the_same_and_none_the_real_one() -> None:
    grade = ColumnOf("students", "grade")
    made = Disguise(0).of(OneOf(grade, tuple(range(1, 30)))).values
    assert len(set(made)) == 29
    assert all(one != real for one, real in zip(made, range(1, 30), strict=True))


def test_private_queries_keep_no_total_and_no_year_of_the_database() -> None:
    age, born = ColumnOf("students", "age"), ColumnOf("students", "born")
    having = Having(Aggregate("avg", age), ">", 15.25)
    year, month = DatePart(born, "year", "=", 2009), DatePart(born, "month", "=", 3, of=2009)
    made = [[Disguise(seed).of(part) for part in (having, year, month)] for seed in range(5)]
    assert all(each[0].value != 15.25 and each[2].value == 3 for each in made)
    assert {each[1].value for each in made} != {2009} != {each[2].of for each in made}


def test_own_pairs_are_not_taken_where_values_have_to_stay_private(school: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="values private makes up no values for your own pairs"):
        build_database(school, tmp_path / "data", examples=tmp_path / "own.csv", values="private")


def test_a_glossary_gives_names_and_an_unknown_column_is_refused(school: Path, tmp_path: Path) -> None:
    glossary = tmp_path / "glossary.yaml"
    glossary.write_text("tables:\n  students:\n    columns:\n      grade:\n        values:\n          9: ninth grade\n")
    built = build_database(school, tmp_path / "data", size=200, glossary=glossary)
    asked = [question(line) for line in every(lines(built.folder))]
    named = [text for text in asked if "ninth grade" in text]
    assert named
    prompts = [line["messages"][1]["content"] for line in every(lines(built.folder))]
    assert all("grade = 9" in text.partition("Hints: ")[2] for text in prompts if "ninth grade" in text)
    note = json.loads((built.folder / "data.json").read_text("utf-8"))
    assert note["prompt"]["value_names"] == {"students": {"grade": {"ninth grade": 9}}}
    glossary.write_text("tables:\n  students:\n    columns:\n      grad: {names: year}\n")
    with pytest.raises(DataError, match="grade"):
        build_database(school, tmp_path / "other", glossary=glossary)


@pytest.mark.parametrize(("sql", "reason"), [("", "no tables"), ("CREATE TABLE t (a TEXT)", "no rows")])
def test_a_database_that_nothing_can_be_asked_of_is_an_error(tmp_path: Path, sql: str, reason: str) -> None:
    path = tmp_path / "empty.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE gone (a)")
        connection.execute("DROP TABLE gone")
        if sql:
            connection.execute(sql)
    with pytest.raises(DataError, match=reason):
        build_database(path, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_settings_that_cannot_be_are_refused(school: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--size 0"):
        build_database(school, tmp_path / "data", size=0)
