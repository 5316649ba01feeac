"""The proof of asking: the articles' seven questions, from a database to right answers, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import myna
from article_questions import COLUMNS, STUDENTS, THEIR_COUNT, ArticleQuestion, article_questions, write_students
from databases.servers import PASSWORD, PASSWORD_IN_URL, Server, postgres, postgres_admin
from myna.builders.database.sql import to_sql
from myna.cli import main
from myna.data.folder import open_split
from myna.databases import Database
from myna.databases.allowed import allow
from myna.text2sql.asking import Asker
from myna.text2sql.facts import SqlFacts
from scored_data import folder, line, predictions
from scripted_answers import Scripted

__all__ = ["postgres"]

GOLD = [
    "SELECT Name FROM students WHERE Name = 'Wang Junjian'",
    "SELECT Age FROM students WHERE Name = 'Wang Junjian'",
    "SELECT School FROM students WHERE Name = 'Wang Junjian'",
    "SELECT Name, Age, School FROM students WHERE Name = 'Wang Junjian'",
    "SELECT * FROM students WHERE Name = 'Wang Junjian'",
    "SELECT COUNT(*) FROM students WHERE Grade = 9",
    "SELECT COUNT(*) FROM students WHERE Grade = 9",
]
QUESTIONS = article_questions()
ON_POSTGRES = article_questions("school.students", str.lower)

POSTGRES = (
    "CREATE SCHEMA school",
    "CREATE SCHEMA library",
    "CREATE TABLE school.students (id INT PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name TEXT NOT NULL, age INT, "
    "school TEXT, grade INT, height NUMERIC(5, 1), weight NUMERIC(5, 1))",
    "COMMENT ON TABLE school.students IS '学生'",
    "COMMENT ON COLUMN school.students.height IS '身高（厘米）'",
    "COMMENT ON COLUMN school.students.grade IS 'year of school'",
    "CREATE TABLE library.loans (id INT PRIMARY KEY, student_id INT NOT NULL REFERENCES school.students (id), "
    "title TEXT, borrowed DATE, days INT)",
    "COMMENT ON TABLE library.loans IS '借阅记录'",
    "COMMENT ON COLUMN library.loans.title IS '书名'",
)
LOANS = (
    "INSERT INTO library.loans SELECT n, 1 + n % 12, (ARRAY['西游记', 'Emma', 'Faust', 'Dune'])[1 + n % 4], "
    "DATE '2024-01-01' + 5 * n, 7 + n % 9 FROM generate_series(1, 60) AS n"
)


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_students(tmp_path_factory.mktemp("articles") / "students.sqlite"))


@pytest.fixture(scope="module")
def school_on_postgres(postgres: Server) -> str:
    """The same students on a server: two schemas, comments, a key from one schema to the other. No password in it."""
    with postgres_admin(postgres) as admin:
        admin.execute("CREATE DATABASE articles")
    with postgres_admin(postgres, "articles") as admin:
        for statement in POSTGRES:
            admin.execute(statement)
        with admin.cursor() as cursor:
            columns = ", ".join(COLUMNS).lower()
            values = ", ".join(["%s"] * len(COLUMNS))
            cursor.executemany(f"INSERT INTO school.students ({columns}) VALUES ({values})", STUDENTS)
        admin.execute(LOANS)
    return postgres.url("articles").replace(f":{PASSWORD_IN_URL}", "")


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where indexes go; and the password is where psql, too, would find it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return tmp_path


def scored(place: Path, url: str, gold: Sequence[str], answers: Sequence[str]) -> myna.text2sql.scoring.ScoreResult:
    """Score answers to the seven questions, in English and then in Chinese."""
    words = [each.english for each in QUESTIONS] + [each.chinese for each in QUESTIONS]
    facts = [SqlFacts("articles", sql, "", number) for number, sql in enumerate([*gold, *gold], 1)]
    allow(url)  # it is outside of the folder
    data = folder(place / "data", map(line, words, facts), {"articles": url})
    return myna.score(data, predictions=predictions(place / "answers.sql", [*answers, *answers]), workers=1)


@pytest.mark.parametrize(("question", "sql"), [*zip(QUESTIONS, GOLD, strict=True)])
def test_gold_is_what_we_write_and_gives_the_right_rows(question: ArticleQuestion, sql: str, students: str) -> None:
    assert to_sql(question.query) == sql
    with Database.open(students) as database:
        assert tuple(database.run(sql).rows) == question.rows


def test_gold_passes_all_seven_in_both_languages(students: str, tmp_path: Path) -> None:
    result = scored(tmp_path, students, GOLD, GOLD)
    assert [answer.verdict.execution for answer in result.answers] == [True] * 14
    assert (result.as_dict()["execution_accuracy"], result.as_dict()["valid"]) == (1, 1)


def test_the_articles_own_way_to_count_fails(students: str, tmp_path: Path) -> None:
    result = scored(tmp_path, students, GOLD, [*GOLD[:5], THEIR_COUNT, THEIR_COUNT])
    assert [answer.verdict.execution for answer in result.answers] == ([True] * 5 + [False] * 2) * 2
    assert {answer.verdict.cause for answer in result.wrong} == {"unknown column"}  # COUNT, called Name
    assert result.as_dict()["valid"] == pytest.approx(10 / 14)


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_asking_gives_the_right_rows(language: str, students: str, at_home: Path) -> None:
    hold_asking(students, QUESTIONS, GOLD, language, lambda rows: rows)


def hold_asking(
    url: str,
    questions: Sequence[ArticleQuestion],
    gold: Sequence[str],
    language: str,
    expected: Callable[[tuple[Any, ...]], tuple[Any, ...]],
) -> None:
    """Ask a model that first answers as the articles do, is told the database's error, and then answers right."""
    theirs = THEIR_COUNT.replace("students", questions[0].query.table)
    scripted = Scripted(*(answer for sql in gold for answer in (theirs, sql)))
    with Database.open(url) as database, Asker(database, scripted) as asker:
        for question, sql in zip(questions, gold, strict=True):
            words = getattr(question, language)
            answer = asker.ask(words)
            assert answer.result is not None, answer.error
            assert (answer.sql, answer.repairs) == (sql, 1)
            assert tuple(answer.result.rows) == expected(question.rows)
            assert ("= 'Wang Junjian'" in answer.messages[1]["content"]) == ("Wang Junjian" in words)


# The same on PostgreSQL


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code = main([*arguments, "--json"])
    written = capsys.readouterr().out
    assert code == 0, written
    value: dict[str, Any] = json.loads(written)
    return value


def test_postgres_from_data_to_check_to_score(
    school_on_postgres: str, at_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = at_home / "data"
    command(capsys, "data", "database", school_on_postgres, "--out", str(data), "--language", "both", "--size", "120")
    checked = command(capsys, "data", "check", str(data))
    assert not [each for each in checked["findings"] if each["severity"] == "serious"]
    pairs = [each for split in ("train", "valid", "test") for each in open_split(data, split)]
    assert len(pairs) > 90
    system, asked = pairs[0].messages[0]["content"], [each.messages[1]["content"] for each in pairs]
    assert "PostgreSQL" in system
    assert "school.students{学生}(" in system
    assert "library.loans{借阅记录}(" in system
    assert any("学生" in each for each in asked)
    assert any("书名" in each for each in asked)  # what only a comment says
    both = [each.sql["gold"] for each in pairs if each.sql and "school.students AS" in each.sql["gold"]]
    assert any("library.loans AS" in gold for gold in both)

    gold = [each.sql["gold"] for each in open_split(data, "test") if each.sql]
    answers = predictions(at_home / "answers.sql", gold)
    score = command(
        capsys,
        "score",
        "--data",
        str(data),
        "--predictions",
        str(answers),
        "--out",
        str(at_home / "s"),
        "--workers",
        "1",
    )
    assert (score["execution_accuracy"], score["valid"], score["examples"]) == (1, 1, len(gold))
    for path in at_home.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes()
            assert PASSWORD_IN_URL.encode() not in path.read_bytes()


def test_postgres_scores_and_answers_the_seven(school_on_postgres: str, at_home: Path) -> None:
    gold = [to_sql(each.query, "postgres") for each in ON_POSTGRES]
    assert gold[3] == "SELECT name, age, school FROM school.students WHERE name = 'Wang Junjian'"
    theirs = THEIR_COUNT.replace("students", "school.students")
    assert scored(at_home, school_on_postgres, gold, gold).as_dict()["execution_accuracy"] == 1
    wrong = scored(at_home, school_on_postgres, gold, [*gold[:5], theirs, theirs])
    assert wrong.as_dict()["execution_accuracy"] == pytest.approx(10 / 14)
    for language in ("english", "chinese"):  # this table has an id of its own, first
        hold_asking(school_on_postgres, ON_POSTGRES, gold, language, _with_id)


def _with_id(rows: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((1, *row) if len(row) == len(COLUMNS) else row for row in rows)
