"""DuckDB, and files through it: what is read, and that nothing can be done to them."""

import hashlib
from pathlib import Path

import duckdb
import pytest

from databases.attack_corpus import attacks
from databases.withstanding import withstand

SCHOOL = """
CREATE TABLE students (id INT PRIMARY KEY, name VARCHAR, age INT);
CREATE TABLE grades (student INT REFERENCES students (id), subject VARCHAR, points DECIMAL(6, 2));
CREATE SEQUENCE counter;
CREATE VIEW adults AS SELECT * FROM students WHERE age >= 18;
CREATE VIEW slow AS SELECT sleep_ms(60000) AS slept;
CREATE MACRO plus_one(a) AS a + 1;
INSERT INTO students SELECT range, 'Student ' || range, 10 + range % 20 FROM range(1, 1001);
INSERT INTO grades SELECT id, 'mathematics', age / 2 FROM students;
"""

COSTLY = {"time", "memory"}
"""Groups whose attacks are the same query with the parser's gate in front and without."""


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database in a folder that is also the current one and the user's home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "school.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(SCHOOL)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same tables as files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "tables"
    folder.mkdir()
    with duckdb.connect() as connection:
        connection.execute(SCHOOL)
        connection.execute(f"COPY students TO '{folder}/students.csv'")
        connection.execute(f"COPY grades TO '{folder}/grades.parquet'")
        connection.execute(f"COPY adults TO '{folder}/adults.json'")
    return folder


def test_the_duckdb_corpus_is_large_and_says_nothing_twice(tmp_path: Path) -> None:
    corpus = attacks("duckdb", tmp_path)
    assert len({attack.sql for attack in corpus}) == len(corpus) >= 200


@pytest.mark.parametrize("parsed", [True, False])
def test_no_attack_gets_through_to_duckdb(school: Path, parsed: bool) -> None:
    before = contents(school.parent)
    corpus = [attack for attack in attacks("duckdb", school.parent) if parsed or attack.group not in COSTLY]
    withstand(str(school), corpus, lambda: contents(school.parent), parsed=parsed)
    assert contents(school.parent) == before


@pytest.mark.parametrize("parsed", [True, False])
def test_no_attack_gets_through_to_files(folder: Path, parsed: bool) -> None:
    before = contents(folder.parent)
    corpus = [attack for attack in attacks("duckdb", folder) if attack.group not in COSTLY]
    withstand(str(folder), corpus, lambda: contents(folder.parent), parsed=parsed)
    assert contents(folder.parent) == before


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file in a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
