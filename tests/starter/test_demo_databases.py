"""The demo's databases: made by a script that makes the same bytes everywhere, and good for what the demo asks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from myna.databases import Database
from myna.starter.files import DATABASES, write_database
from myna.starter.questions import QUESTIONS

ROOT = Path(__file__).resolve().parents[2]


def test_the_script_writes_the_files_that_are_checked_in(tmp_path: Path) -> None:
    specification = importlib.util.spec_from_file_location("make_databases", ROOT / "scripts" / "make_databases.py")
    assert specification is not None
    assert specification.loader is not None
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    script.write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in DATABASES.iterdir())
    for made in tmp_path.iterdir():
        assert made.read_bytes() == (DATABASES / made.name).read_bytes()


def test_every_question_has_one_right_answer_about_wang_junjian_or_ninth_grade(tmp_path: Path) -> None:
    write_database("students", tmp_path / "students.sqlite")
    with Database.open(tmp_path / "students.sqlite") as database:
        answers = [database.run(question.gold).rows for question in QUESTIONS]
        (names,) = database.run("SELECT COUNT(*), COUNT(DISTINCT Name) FROM students").rows
    assert names == (300, 300)
    assert answers[:5] == [
        (("Wang Junjian",),),
        ((15,),),
        (("Zhicheng High School",),),
        (("Wang Junjian", 15, "Zhicheng High School"),),
        (("Wang Junjian", 15, "Zhicheng High School", 9, 172.5, 61.0),),
    ]
    assert answers[5] == answers[6]
    assert 20 < answers[5][0][0] < 100


def test_the_birds_have_three_tables_that_their_keys_join(tmp_path: Path) -> None:
    write_database("birds", tmp_path / "birds.sqlite")
    with Database.open(tmp_path / "birds.sqlite") as database:
        assert {table.name for table in database.schema.tables} == {"members", "birds", "sightings"}
        joined = database.run(
            "SELECT COUNT(*) FROM sightings AS s JOIN members AS m ON s.member_id = m.member_id "
            "JOIN birds AS b ON s.bird_id = b.bird_id WHERE s.seen_on > m.joined_on"
        )
        assert joined.rows == database.run("SELECT COUNT(*) FROM sightings").rows
