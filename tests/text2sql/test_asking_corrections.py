"""Promises of corrections: only what runs is kept, as lines that train and score."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from myna.data.folder import open_split
from myna.databases import Database
from myna.errors import QueryError, ResourceError
from myna.text2sql.asking import Answer, Asker, Corrections
from myna.text2sql.facts import SqlFacts
from scripted_answers import Scripted

QUESTION = "Wie alt ist 李华?"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    connection = sqlite3.connect(tmp_path / "school.sqlite")
    connection.executescript("CREATE TABLE students (name TEXT, age INT); INSERT INTO students VALUES ('李华', 16)")
    connection.close()
    with Database.open(tmp_path / "school.sqlite") as opened:
        yield opened


def answer(database: Database, sql: str) -> Answer:
    with Asker(database, Scripted(sql), repairs=0) as asker:
        return asker.ask(QUESTION)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_kept_line_is_an_example_of_a_data_folder_with_facts(database: Database, tmp_path: Path) -> None:
    asked = answer(database, "SELECT name FROM students")
    corrections = Corrections(tmp_path / "kept" / "train.jsonl")
    right = "select age from students where name='李华'"
    assert corrections.keep(asked, right, database).rows == ((16,),)
    (example,) = open_split(tmp_path / "kept", "train")
    assert tuple(example.messages[:-1]) == asked.messages
    assert example.messages[-1] == {"role": "assistant", "content": "SELECT age FROM students WHERE name = '李华'"}
    facts = SqlFacts.of(example)
    assert facts == SqlFacts(str(tmp_path / "school.sqlite"), right, "correction")
    assert "李华" in (tmp_path / "kept" / "train.jsonl").read_text("utf-8")  # readable, not escaped
    note = lines(corrections.path)[0]["correction"]
    assert {key: note[key] for key in ("kind", "question", "answered")} == {
        "kind": "corrected",
        "question": QUESTION,
        "answered": "SELECT name FROM students",
    }


def test_the_answer_s_own_sql_confirms_it(database: Database, tmp_path: Path) -> None:
    corrections = Corrections(tmp_path / "c.jsonl")
    corrections.keep(answer(database, "SELECT age FROM students"), "SELECT age FROM students", database)
    corrections.keep(answer(database, "SELECT nothing FROM students"), "SELECT age FROM students", database)
    assert [line["correction"]["kind"] for line in lines(corrections.path)] == ["confirmed", "corrected"]


@pytest.mark.parametrize("sql", ["SELECT years FROM students", "DROP TABLE students", "", "SELECT 1; SELECT 2"])
def test_what_does_not_run_is_not_kept(database: Database, tmp_path: Path, sql: str) -> None:
    corrections = Corrections(tmp_path / "c.jsonl")
    with pytest.raises(QueryError):
        corrections.keep(answer(database, "SELECT age FROM students"), sql, database)
    assert not corrections.path.exists()


def test_sql_beyond_the_surface_of_training_is_kept_as_it_stands(database: Database, tmp_path: Path) -> None:
    corrections = Corrections(tmp_path / "c.jsonl")
    sql = "SELECT upper(name) AS n FROM (SELECT * FROM students)"
    corrections.keep(answer(database, "SELECT age FROM students"), sql, database)
    assert lines(corrections.path)[0]["messages"][-1]["content"] == sql


def test_a_line_is_appended_behind_one_that_an_editor_left_open(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}')
    Corrections(path).keep(answer(database, "SELECT age FROM students"), "SELECT age FROM students", database)
    assert len(lines(path)) == 2
    assert path.read_bytes().endswith(b"}\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux's own")
def test_a_full_disk_is_said(database: Database) -> None:
    with pytest.raises(ResourceError, match="/dev/full: the disk is full"):
        Corrections(Path("/dev/full")).keep(answer(database, "SELECT 1"), "SELECT age FROM students", database)
