"""A data folder or corrections of somebody else reach no server and no file that the user has not named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from databases.listeners import Listener, listening, mysql_that_asks, postgres_in_clear_text, switch_to
from databases.servers import PASSWORD, Server, mariadb_admin, postgres_admin
from learning_school import correct, write_school
from myna.builders.database.build import build_database
from myna.checking import check
from myna.cli import main
from myna.data.folder import Keys, open_folder
from myna.errors import DatabaseError, DataError
from myna.reports.comparing.questions import from_data
from myna.studies.subsets import write_subset
from myna.text2sql.facts import SqlFacts
from myna.text2sql.learning.checking import check_corrections
from myna.text2sql.learning.databases import KnownDatabases
from myna.text2sql.learning.reading import read_corrections
from myna.text2sql.scoring import score
from scored_data import GOLD, SCHOOL, cities, database, folder, line, predictions
from scored_data import school as school_folder

SECRET = "Geheimnis-8231"
SPEAKS = {
    "postgresql": postgres_in_clear_text,
    "mysql": mysql_that_asks("mysql_native_password", [switch_to("mysql_clear_password")]),
}


@pytest.fixture(autouse=True)
def _nothing_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PGPASSWORD", SECRET)
    monkeypatch.setenv("MYSQL_PWD", SECRET)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=SPEAKS)
def attack(request: pytest.FixtureRequest) -> Iterator[tuple[Listener, str]]:
    """A listener that asks for the password in clear text, and its URL."""
    with listening(SPEAKS[request.param]) as listener:
        yield listener, f"{request.param}://alice@127.0.0.1:{listener.port}/shop"


def foreign(path: Path, place: str) -> Path:
    """Write a data folder whose questions ask the database at `place`."""
    data = folder(path, [line(f"question {sql}", SqlFacts("shop", sql)) for sql in GOLD[:2]], {"shop": place})
    shutil.copyfile(data / "test.jsonl", data / "train.jsonl")
    return data


def by_check(data: Path) -> str:
    (finding,) = (finding for finding in check(data).findings if finding.kind == "database not opened")
    return finding.message


def by_score(data: Path) -> str:
    with pytest.raises(DatabaseError) as caught:
        score(data, predictions=predictions(data.parent / "p.sql", GOLD[:2]), workers=1)
    return str(caught.value)


def by_compare(data: Path) -> str:
    asked = from_data(data, keys=Keys(), size=2, database=None)
    assert not asked.places
    assert asked.asked_of is None
    return asked.notes[0]


def by_learn(data: Path) -> str:
    known = KnownDatabases([data], None)
    with pytest.raises(DatabaseError) as caught:
        known.check("shop", "test.jsonl:1")
    return str(caught.value)


@pytest.mark.parametrize("command", [by_check, by_score, by_compare, by_learn])
def test_a_data_folder_reaches_no_server_that_was_not_named(
    command: Callable[[Path], str], attack: tuple[Listener, str], tmp_path: Path
) -> None:
    listener, url = attack
    said = command(foreign(tmp_path / "data", url))
    assert f"data.json: the database 'shop' is on the server 127.0.0.1:{listener.port}" in said
    assert f"myna data allow {url}" in said
    assert listener.connections == []


def test_a_server_that_was_named_is_reached_and_still_gets_no_clear_text(
    attack: tuple[Listener, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listener, url = attack
    data = foreign(tmp_path / "data", url)
    command = ["score", "--data", str(data), "--predictions", str(predictions(tmp_path / "p.sql", GOLD[:2]))]
    assert main(command) == 1
    assert main(["data", "check", str(data)]) == 1
    shown = capsys.readouterr()
    assert f"myna data allow {url}" in " ".join(shown.err.split())
    assert "database not opened" in shown.out
    assert listener.connections == []
    assert main(["data", "allow", url]) == 0
    assert main(command) == 1
    assert "was not sent" in capsys.readouterr().err
    assert b"alice" in listener.received
    assert SECRET.encode() not in listener.received


def test_corrections_reach_no_server_that_was_not_named(attack: tuple[Listener, str], tmp_path: Path) -> None:
    listener, url = attack
    school = write_school(tmp_path / "school.sqlite")
    data = foreign(tmp_path / "data", "school.sqlite")
    shutil.copyfile(school, data / "school.sqlite")
    file = correct(tmp_path / "corrections.jsonl", school, ("Who?", "SELECT name FROM students"))
    file.write_text(file.read_text("utf-8").replace(str(school), url), "utf-8")
    for known, others in (
        (KnownDatabases([data], None), True),
        (KnownDatabases([foreign(tmp_path / "d", url)], None), False),
    ):
        checked = check_corrections(read_corrections(file), known, data=data, other_databases=others, time_limit=5.0)
        (left_out,) = checked.left_out
        assert f"corrections.jsonl:1: its database is on the server 127.0.0.1:{listener.port}" in left_out.reason
        assert f"myna data allow {url}" in left_out.reason
    assert listener.connections == []


def test_corrections_open_no_file_that_was_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    school = write_school(tmp_path / "school.sqlite")
    file = correct(tmp_path / "corrections.jsonl", school, ("Who?", "SELECT name FROM students"))

    def left_out() -> list[str]:
        checked = check_corrections(
            read_corrections(file), KnownDatabases([], None), data=None, other_databases=True, time_limit=5.0
        )
        return [each.reason for each in checked.left_out]

    assert left_out() == []
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    (reason,) = left_out()
    assert f"its database is {school}, a file that you have not used on this machine" in reason


@pytest.mark.parametrize("command", [by_check, by_score, by_compare, by_learn])
@pytest.mark.parametrize("place", ["../secret.sqlite", "{}/secret.sqlite", "sqlite:///{}/secret.sqlite", "link.sqlite"])
def test_a_data_folder_opens_no_file_outside_of_it(command: Callable[[Path], str], place: str, tmp_path: Path) -> None:
    secret = write_school(tmp_path / "secret.sqlite")
    data = foreign(tmp_path / "data", place.format(tmp_path))
    (data / "link.sqlite").symlink_to(secret)
    said = command(data)
    assert f"outside of {data}" in said
    assert said.partition(" (")[0].endswith(f"myna data allow {secret}")


def test_a_name_or_a_folder_of_official_files_leads_nowhere_else(tmp_path: Path) -> None:
    other = cities(tmp_path / "other")
    data = cities(tmp_path / "data")
    shutil.rmtree(data / "official")
    given = predictions(tmp_path / "p.sql", ["SELECT 1"] * 4)
    note = json.loads((data / "data.json").read_text("utf-8"))
    (data / "data.json").write_text(json.dumps({**note, "official": str(other / "official")}), "utf-8")
    with pytest.raises(DatabaseError, match=r'data\.json: "official" is .*other/official'):
        score(data, predictions=given, workers=1)
    (data / "official").symlink_to(other / "official")
    (data / "data.json").write_text(json.dumps(note), "utf-8")
    with pytest.raises(DatabaseError, match='"official" is a link to'):
        score(data, predictions=given, workers=1)
    (data / "official").unlink()
    (data / "official").mkdir()
    name = "../../other/official/cities"
    (data / "data.json").write_text(json.dumps({"databases": {name: "databases/cities.sqlite"}}), "utf-8")
    lines = (data / "test.jsonl").read_text("utf-8").replace('"database": "cities"', f'"database": "{name}"')
    (data / "test.jsonl").write_text(lines, "utf-8")
    with pytest.raises(DataError, match=r"has no official/"):
        score(data, predictions=given, workers=1)


def test_parts_and_learnt_data_carry_no_right_that_the_whole_does_not_have(
    attack: tuple[Listener, str], tmp_path: Path
) -> None:
    listener, url = attack
    data = foreign(tmp_path / "data", url.replace("alice@", f"alice:{SECRET}@"))
    part = tmp_path / "part"
    write_subset(open_folder(data), 1, part, seed=0)
    assert SECRET not in (part / "data.json").read_text("utf-8")
    assert json.loads((part / "data.json").read_text("utf-8"))["databases"] == {"shop": url}
    known = KnownDatabases([data], None)
    known.allow()
    assert known.places == {"shop": url}
    assert SECRET not in known.in_words()
    for each in (data, part):
        with pytest.raises(DatabaseError, match="the database 'shop'"):
            KnownDatabases([each], None).check("shop", "test.jsonl:1")
    assert listener.connections == []


def test_a_part_of_one_s_own_data_is_scored_as_the_whole_is(tmp_path: Path) -> None:
    data = school_folder(tmp_path / "data")
    shutil.copyfile(data / "test.jsonl", data / "train.jsonl")
    part = tmp_path / "part"
    write_subset(open_folder(data), 2, part, seed=0)
    given = predictions(tmp_path / "p.sql", GOLD[:2])
    assert score(part, split="train", predictions=given, workers=1).answers


def own(url: str, out: Path) -> Path:
    return build_database(url, out, size=40, test_share=0.4).folder


def right(data: Path) -> None:
    """Score the gold SQL itself, and look for what is wrong."""
    gold = [json.loads(each)["sql"]["gold"] for each in (data / "test.jsonl").read_text("utf-8").splitlines()]
    result = score(data, predictions=predictions(data.parent / "p.sql", gold), workers=1)
    assert all(answer.verdict.right for answer in result.answers)
    assert not [finding.kind for finding in check(data).findings if finding.kind.startswith("database")]


def test_data_of_one_s_own_postgres_is_scored_without_a_word(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres_admin(postgres) as admin:
        admin.execute("DROP DATABASE IF EXISTS owned")
        admin.execute("CREATE DATABASE owned")
    with postgres_admin(postgres, "owned") as admin:
        admin.execute(SCHOOL)
    data = own(postgres.url("owned"), tmp_path / "data")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    right(data)
    elsewhere(data, monkeypatch)


def test_data_of_one_s_own_mariadb_is_scored_without_a_word(
    mariadb: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mariadb_admin(mariadb) as admin, admin.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE DATABASE owned")
    with mariadb_admin(mariadb, "owned") as admin, admin.cursor() as cursor:
        for statement in filter(str.strip, SCHOOL.replace("TEXT", "VARCHAR(20)").split(";")):
            cursor.execute(statement)
    data = own(mariadb.url("owned"), tmp_path / "data")
    monkeypatch.setenv("MYSQL_PWD", PASSWORD)
    right(data)
    elsewhere(data, monkeypatch)


def test_data_of_one_s_own_file_is_scored_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = own(str(database(tmp_path / "mine" / "school.sqlite")), tmp_path / "data")
    right(data)
    elsewhere(data, monkeypatch)


def elsewhere(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """See that the same data is refused where nobody has named its database, until somebody does."""
    monkeypatch.setenv("XDG_STATE_HOME", str(data.parent / "another machine"))
    said = " ".join(finding.message for finding in check(data).findings)
    (place,) = json.loads((data / "data.json").read_text("utf-8"))["databases"].values()
    assert f"myna data allow {place}" in said
    assert main(["data", "allow", place]) == 0
    right(data)


def test_a_state_folder_that_can_t_be_written_does_not_stop_a_builder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    built: Any = build_database(database(tmp_path / "school.sqlite"), tmp_path / "data", size=12)
    assert any("scoring will ask you to allow its databases" in note for note in built.notes)
