"""Databases as they are found, from the command to asking: nothing in them, far too much, and names that nobody chose.

Each either becomes questions whose gold SQL runs, or ends with one message that says what is wrong.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from databases.servers import PASSWORD, Server, mariadb_admin, postgres_admin
from myna.cli import main
from myna.data.folder import open_split
from myna.databases import Database
from myna.text2sql.asking import Asker
from scripted_answers import Scripted

ROWS = range(40)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def sqlite_file(path: Path, script: str, rows: Sequence[tuple[str, Sequence[tuple[Any, ...]]]] = ()) -> str:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    for table, values in rows:
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values[0]))})", values)
    connection.commit()
    connection.close()
    return str(path)


def built(url: str, place: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    """Build a data folder with the command; a failure gives its error."""
    code = main(["data", "database", url, "--out", str(place / "data"), "--language", "both", "--json", *more])
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == ("error" in value)
    return value


def hold(url: str, place: Path, capsys: pytest.CaptureFixture[str], size: int = 40) -> tuple[str, list[str]]:
    """Build, run every gold query, and ask a question of it; return the schema of the prompt and the questions."""
    built(url, place, capsys, "--size", str(size))
    splits = [split for split in ("train", "valid", "test") if (place / "data" / f"{split}.jsonl").exists()]
    pairs = [each for split in splits for each in open_split(place / "data", split)]
    assert len(pairs) >= size / 2
    with Database.open(url) as database:
        for pair in pairs:
            assert pair.sql is not None
            assert database.run(pair.sql["gold"]).rows
        gold, question = str(pairs[0].sql and pairs[0].sql["gold"]), pairs[0].messages[1]["content"]
        with Asker(database, Scripted(gold), constrain="content") as asker:
            answer = asker.ask(question.partition("\n")[0])
    assert answer.result is not None, answer.error
    assert answer.result.rows
    return pairs[0].messages[0]["content"], [each.messages[1]["content"] for each in pairs]


NOTHING = {
    "": "a database with at least one table was expected",
    "CREATE TABLE a (x); DROP TABLE a": "no tables",
    "CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE b (x INT)": "its tables have no rows",
    "CREATE TABLE a (x INT); INSERT INTO a VALUES (1)": "too few rows",
}


@pytest.mark.parametrize(("script", "said"), NOTHING.items(), ids=list(NOTHING.values()))
def test_what_holds_nothing_to_ask_about_says_so(
    script: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = built(sqlite_file(tmp_path / "d.sqlite", script), tmp_path, capsys)["error"]
    assert error["message"].startswith(str(tmp_path / "d.sqlite"))
    assert said in error["message"]
    assert not (tmp_path / "data").exists()


def test_names_that_nobody_should_have_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = """
    CREATE TABLE "my table" ("first name" TEXT, "it's" INT, "a ""b"" c" TEXT, "😀" INT, "姓名" TEXT, "select" INT,
        "Group" TEXT, "group " TEXT, "a.b" INT);
    CREATE TABLE "表 格" ("编号" INTEGER PRIMARY KEY, "城市" TEXT, "人口" INT);
    CREATE TABLE "from" (id INTEGER PRIMARY KEY, "where" TEXT, "limit" INT);
    """
    names = ("王军建", "李华", "张伟")
    mine = [(f"Ann {n % 9}", n, "xy"[n % 2], n % 5, names[n % 3], n % 4, "AB"[n % 2], "CD"[n % 2], 3 * n) for n in ROWS]
    cities = [(n, ("北京", "上海", "广州")[n % 3], 1000 * n) for n in ROWS]
    others = [(n, ("here", "there")[n % 2], n % 6) for n in ROWS]
    path = tmp_path / "d.sqlite"
    url = sqlite_file(path, script, [('"my table"', mine), ('"表 格"', cities), ('"from"', others)])
    schema, questions = hold(url, tmp_path, capsys, size=80)
    assert '"a ""b"" c"' in schema
    assert '"from"(id number key' in schema
    assert any("城市" in question for question in questions)
    with Database.open(url) as database, Asker(database, Scripted('SELECT "it\'s" FROM "my table"')) as asker:
        assert "姓名 = '王军建'" in asker.ask("王军建的first name是什么？").messages[1]["content"]


def test_names_that_differ_in_case_alone_and_columns_that_say_little(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = """
    CREATE TABLE things (id INTEGER PRIMARY KEY, planet TEXT, zip TEXT, phone INT, iso TEXT, german TEXT, american TEXT,
        nil TEXT, nil_number INT, score REAL, mixed);
    """
    rows = [
        (
            *(n, "Earth", f"{10000 + n}", 5550000 + n, f"20{10 + n % 9}-0{1 + n % 9}-1{n % 9}"),
            *(f"{1 + n % 28:02}.{1 + n % 12:02}.20{10 + n % 9}", f"{1 + n % 12}/{1 + n % 28}/20{10 + n % 9}"),
            *(None, None, n / 4, n if n % 2 else f"t{n}"),
        )
        for n in ROWS
    ]
    _, questions = hold(sqlite_file(tmp_path / "d.sqlite", script, [("things", rows)]), tmp_path, capsys, size=120)
    said = "\n".join(questions)
    assert "average phone" not in said  # a number that identifies
    assert "average ZIP" not in said
    assert "nil" not in said  # nothing can be asked of NULL
    assert "in 201" in said  # dates as text, whatever their format


def test_views_generated_columns_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = """
    CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, age INT, data JSON,
        twice INT GENERATED ALWAYS AS (age * 2) VIRTUAL, later INT GENERATED ALWAYS AS (age + 1) STORED);
    CREATE VIEW adults AS SELECT id, name, age FROM people WHERE age > 20;
    CREATE VIEW broken AS SELECT gone FROM nowhere;
    """
    path = tmp_path / "d.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(script)
    people = [(n, f"Ann {n}", 10 + n, f'{{"k": {n}}}') for n in ROWS]
    connection.executemany("INSERT INTO people (id, name, age, data) VALUES (?, ?, ?, ?)", people)
    connection.commit()
    connection.close()
    schema, questions = hold(str(path), tmp_path, capsys, size=80)
    assert "view adults(" in schema
    assert "broken" not in schema
    assert any("adult" in question for question in questions)
    assert any("twice" in question or "later" in question for question in questions)


def test_what_can_not_be_read_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = """
    CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, age INT);
    CREATE VIEW overflowing AS SELECT abs(-9223372036854775808 + id - id) AS x FROM people;
    """
    people = [(n, f"Ann {n}", 10 + n) for n in ROWS]
    notes = built(sqlite_file(tmp_path / "d.sqlite", script, [("people", people)]), tmp_path, capsys)["notes"]
    assert any("nothing is asked about overflowing, which can't be read" in note for note in notes)


def test_a_view_that_mariadb_can_t_be_asked_is_named_by_the_build_and_by_each_conversation(
    mariadb: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with mariadb_admin(mariadb) as admin, admin.cursor() as cursor:
        cursor.execute("CREATE DATABASE numbered")
        cursor.execute("USE numbered")
        cursor.execute("CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(20), age INT)")
        cursor.execute("INSERT INTO people SELECT seq, concat('Ann ', seq % 9), 10 + seq % 5 FROM seq_1_to_40")
        cursor.execute("CREATE SEQUENCE counter")
        cursor.execute("CREATE VIEW next_number AS SELECT nextval(counter) AS n FROM people")
    url = mariadb.url("numbered")
    notes = built(url, tmp_path, capsys)["notes"]
    assert any("next_number" in note and "nextval may do more than read" in note for note in notes)
    with Database.open(url) as database, Asker(database, Scripted("SELECT max(age) FROM people")) as asker:
        answer = asker.ask("How old is the oldest?")
    assert answer.result is not None
    assert answer.result.rows == ((14,),)
    assert any("next_number is left out: the function nextval" in note for note in answer.notes)
    assert "next_number" not in answer.messages[0]["content"]


def test_undeclared_keys_are_inferred_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = (
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, town_id INT); "
        "CREATE TABLE towns (id INTEGER PRIMARY KEY, name TEXT)"
    )
    people, towns = [(n, f"Ann {n}", n % 7) for n in ROWS], [(n, f"Town {n}") for n in range(7)]
    url = sqlite_file(tmp_path / "d.sqlite", script, [("people", people), ("towns", towns)])
    notes = built(url, tmp_path, capsys, "--size", "40")["notes"]
    assert any("inferred: people.town_id -> towns.id" in note for note in notes)
    with Database.open(url) as database, Asker(database, Scripted("SELECT name FROM towns")) as asker:
        assert asker.ask("Which towns are there?").result is not None


def test_a_glossary_for_a_column_that_is_not_there_names_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = sqlite_file(tmp_path / "d.sqlite", "CREATE TABLE o (planet TEXT); INSERT INTO o VALUES ('Earth')")
    glossary = tmp_path / "glossary.yaml"
    glossary.write_text("tables: {o: {columns: {plannet: {names: [world]}}}}", "utf-8")
    message = built(url, tmp_path, capsys, "--glossary", str(glossary))["error"]["message"]
    assert message.startswith(str(glossary))
    assert "did you mean 'planet'?" in message


POSTGRES = """
CREATE TYPE mood AS ENUM ('glad', 'sad', 'calm');
CREATE SCHEMA "Other Place";
CREATE TABLE "Users" (id INT PRIMARY KEY, "Name" TEXT, name TEXT, "NAME" TEXT);
CREATE TABLE users (id INT PRIMARY KEY, age INT);
CREATE TABLE "Other Place"."select" (id INT PRIMARY KEY, felt mood, tags TEXT[], data JSONB, "Größe 😀" NUMERIC(6, 2),
    twice NUMERIC GENERATED ALWAYS AS ("Größe 😀" * 2) STORED, at TIMESTAMPTZ, nothing TEXT);
CREATE TABLE empty (id INT PRIMARY KEY, name TEXT);
COMMENT ON COLUMN "Other Place"."select".felt IS '心情';
INSERT INTO "Users" SELECT n, 'A ' || n % 9, 'a ' || n % 7, 'B ' || n % 5 FROM generate_series(1, 40) AS n;
INSERT INTO users SELECT n, 10 + n FROM generate_series(1, 40) AS n;
INSERT INTO "Other Place"."select" (id, felt, tags, data, "Größe 😀", at) SELECT n,
    (ARRAY['glad', 'sad', 'calm'])[1 + n % 3]::mood, ARRAY['a', 'b'], '{"k": 1}', n / 4.0,
    timestamptz '2020-01-01 10:00+00' + n * interval '9 days' FROM generate_series(1, 60) AS n;
CREATE VIEW sad AS SELECT felt, "Größe 😀" FROM "Other Place"."select" WHERE felt = 'sad';
"""


def test_postgres_with_all_of_it(postgres: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with postgres_admin(postgres) as admin:
        admin.execute("CREATE DATABASE odd")
    with postgres_admin(postgres, "odd") as admin:
        admin.execute(POSTGRES)
    schema, questions = hold(postgres.url("odd"), tmp_path, capsys, size=80)
    assert '"Other Place"."select"(' in schema
    assert '"Users"(id number key, "Name" text' in schema
    assert any("心情" in question for question in questions)


@pytest.mark.parametrize(
    ("script", "said"),
    [("SELECT 1", "no tables"), ("CREATE TABLE a (id INT PRIMARY KEY, name TEXT)", "its tables have no rows")],
)
def test_postgres_without_tables_or_rows_says_so(
    script: str, said: str, postgres: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "bare_" + said.replace(" ", "_")
    with postgres_admin(postgres) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    with postgres_admin(postgres, name) as admin:
        admin.execute(script)
    message = built(postgres.url(name), tmp_path, capsys)["error"]["message"]
    assert said in message
    assert PASSWORD not in message


def test_postgres_that_may_not_be_read_says_so(
    postgres: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with postgres_admin(postgres) as admin:
        admin.execute("CREATE DATABASE private")
        admin.execute(f"CREATE ROLE stranger LOGIN PASSWORD '{PASSWORD}'")
    with postgres_admin(postgres, "private") as admin:
        admin.execute("CREATE TABLE diary (id INT PRIMARY KEY, secret TEXT)")
    message = built(postgres.url("private", "stranger"), tmp_path, capsys)["error"]["message"]
    assert "none of its tables can be read; diary: " in message
    assert "permission denied" in message
