"""Promises about gold SQL: what does not run is serious, what gives nothing is said, and looking changes nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from myna.databases.allowed import allow
from small_data import asked, chat, clean, found, places, school, write

SHARED = Path(__file__).parents[3] / "shared" / "data"
GOOD = "SELECT name FROM students WHERE age > 20"


def school_folder(tmp_path: Path, *questions: dict[str, Any], where: str = "databases/school.sqlite") -> Path:
    school(tmp_path / "databases" / "school.sqlite")
    return write(tmp_path, train=[*questions, *clean(0, 3)], databases={"school": where})


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT nam FROM students", "nam"),
        ("SELECT name FROM pupils", "pupils"),
        ('SELECT name FROM students WHERE name = "Ann"', "Ann"),
        ("SELEC name FROM students", "SELEC"),
        ("SELECT COUNT Name FROM students WHERE age > 20", "Name"),
        ("DROP TABLE students", "DROP"),
        ("SELECT 1; SELECT 2", "2"),
    ],
)
def test_gold_sql_that_does_not_run_is_serious(sql: str, said: str, tmp_path: Path) -> None:
    folder = school_folder(tmp_path, asked("Who is older than 20?", GOOD), asked("What is wrong here?", sql))
    before = hashlib.sha256((folder / "databases" / "school.sqlite").read_bytes()).digest()
    findings = found(folder)
    assert findings.keys() == {"gold SQL fails"}
    fails = findings["gold SQL fails"]
    assert (fails.severity, fails.count, places(fails)) == ("serious", 1, ["train.jsonl:2"])
    assert said in fails.examples[0].excerpt
    assert hashlib.sha256((folder / "databases" / "school.sqlite").read_bytes()).digest() == before


def test_gold_sql_that_gives_nothing_is_a_note(tmp_path: Path) -> None:
    findings = found(school_folder(tmp_path, asked("Who is older than 90?", GOOD.replace("20", "90"))))
    assert findings.keys() == {"empty gold result"}
    assert (findings["empty gold result"].severity, places(findings["empty gold result"])) == (
        "note",
        ["train.jsonl:1"],
    )


def test_texts_in_double_quotes_run_where_the_data_set_writes_them_so(tmp_path: Path) -> None:
    sql = 'SELECT age FROM students WHERE name = "Ann"'
    question = chat("How old is Ann?", sql, sql={"database": "school", "gold": sql, "source": "spider"})
    assert found(school_folder(tmp_path, question)) == {}


@pytest.mark.parametrize("where", ["absolute", "url"])
def test_a_database_may_be_named_by_path_or_url(where: str, tmp_path: Path) -> None:
    path = school(tmp_path / "elsewhere" / "school.sqlite")
    allow(str(path))
    folder = write(
        tmp_path / "data",
        train=[asked("Who is older than 20?", GOOD)],
        databases={"school": path if where == "absolute" else f"sqlite:///{path}"},
    )
    assert found(folder) == {}


@pytest.mark.parametrize("content", [None, b"", b"not a database at all, but long enough to look at" * 20])
def test_a_database_that_can_not_be_opened_is_serious(content: bytes | None, tmp_path: Path) -> None:
    folder = write(
        tmp_path, train=[asked("Who is older than 20?", GOOD), *clean(0, 3)], databases={"school": "s.sqlite"}
    )
    if content is not None:
        (folder / "s.sqlite").write_bytes(content)
    findings = found(folder)
    ((kind, finding),) = findings.items()
    assert kind in ("database unusable", "gold SQL fails")
    assert (finding.severity, finding.count, places(finding)) == ("serious", 1, ["train.jsonl:1"])


@pytest.mark.parametrize("record", [None, "", "[1]", '{"databases": 3}', '{"databases": {"school": 3}}'])
def test_a_folder_whose_record_names_no_database_is_serious(record: str | None, tmp_path: Path) -> None:
    folder = write(tmp_path, train=[asked("Who is older than 20?", GOOD)])
    if record is not None:
        (folder / "data.json").write_text(record, "utf-8")
    assert places(found(folder)["database unknown"]) == ["train.jsonl:1"]


def test_different_queries_for_one_prompt_contradict_only_with_different_results(tmp_path: Path) -> None:
    agreeing = [asked("Who is old?", "SELECT name FROM students WHERE age >= 22"), asked("Who is old?", GOOD)]
    contradicting = [asked("Who is young?", "SELECT name FROM students WHERE age < 22"), asked("Who is young?", GOOD)]
    findings = found(school_folder(tmp_path, *agreeing, *contradicting))
    assert findings.keys() == {"queries that agree", "contradicting answers"}
    assert findings["queries that agree"].severity == "note"
    assert places(findings["queries that agree"]) == ["train.jsonl:1 ≠ train.jsonl:2"]
    assert places(findings["contradicting answers"]) == ["train.jsonl:3 ≠ train.jsonl:4"]


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
def test_spiders_queries_that_do_not_run_are_named(tmp_path: Path) -> None:
    questions = json.loads((SHARED / "spider" / "train_spider.json").read_text("utf-8"))
    chosen = [
        each
        for each in questions
        if each["db_id"] in ("assets_maintenance", "department_management", "cre_Doc_Control_Systems", "soccer_1")
    ]
    folder = write(
        tmp_path,
        train=[
            chat(
                f"{each['db_id']}: {each['question']}",
                each["query"],
                sql={"database": each["db_id"], "gold": each["query"], "source": "spider"},
            )
            for each in chosen
        ],
        databases={
            each["db_id"]: str(SHARED / "spider" / "database" / each["db_id"] / f"{each['db_id']}.sqlite")
            for each in chosen
            if each["db_id"] != "soccer_1"
        },
    )
    allow(*json.loads((folder / "data.json").read_text("utf-8"))["databases"].values())
    findings = found(folder)
    assert findings["database unknown"].count == sum(each["db_id"] == "soccer_1" for each in chosen)
    assert findings["gold SQL fails"].count == 1
    assert "Ref_Company_Types" in findings["gold SQL fails"].examples[0].excerpt
