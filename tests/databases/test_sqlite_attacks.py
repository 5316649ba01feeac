"""The wall around SQLite, held against a corpus of attacks: through `Database.run`, and with the parser's gate open."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from databases.attack_corpus import Attack, attacks
from databases.school import write_school
from databases.withstanding import withstand

WRITING_GROUPS = {"write", "ddl", "attach", "pragma", "transaction", "stacked", "comments", "write in a query"}
QUICK_GROUPS = WRITING_GROUPS | {"file functions"}


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database in a folder that is also the current one and the one for temporary files."""
    monkeypatch.chdir(tmp_path)
    for name in ("TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    return write_school(tmp_path / "school.sqlite")


def test_the_corpus_is_large_and_says_nothing_twice(tmp_path: Path) -> None:
    corpus = attacks("sqlite", tmp_path)
    assert len(corpus) >= 200
    assert len({attack.sql for attack in corpus}) == len(corpus)


@pytest.fixture(params=["quick", pytest.param("costly", marks=pytest.mark.slow)])
def corpus(request: pytest.FixtureRequest, school: Path) -> list[Attack]:
    """Attacks that are over at once, and those on time and memory."""
    quick = request.param == "quick"
    return [attack for attack in attacks("sqlite", school.parent) if (attack.group in QUICK_GROUPS) == quick]


@pytest.mark.parametrize("parsed", [True, False], ids=["parsed before", "not parsed"])
def test_no_attack_gets_through(
    school: Path, corpus: list[Attack], parsed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    withstand(str(school), corpus, lambda: contents(school.parent), parsed=parsed)
    assert not caplog.records


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


ALONE = """
import sqlite3, sys
from pathlib import Path
from databases.attack_corpus import attacks
from myna.databases.sqlite import _allow
from myna.databases.worker import _forbid_writing

wall, *groups = sys.argv[1:]
if wall == "system":
    _forbid_writing()
uri = "file:school.sqlite" + ("?mode=ro" if wall == "read-only" else "")
for attack in attacks("sqlite", Path.cwd()):
    if attack.group in groups and "heap_limit" not in attack.sql:  # that one would hold for the whole process
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0)
        if wall == "authorizer":
            connection.set_authorizer(_allow)
        try:
            connection.execute(attack.sql).fetchmany(10)
            connection.commit()
        except (sqlite3.Error, sqlite3.Warning, ValueError):
            pass
        connection.close()
"""


@pytest.mark.parametrize("wall", ["read-only", "authorizer", "system"])
def test_each_wall_alone_keeps_every_write_out(school: Path, wall: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if wall == "system" and os.name != "posix":
        pytest.skip("the system has no such limits")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    groups = WRITING_GROUPS - ({"attach"} if wall == "read-only" else set())  # other files are for the other walls
    before = school.read_bytes()
    subprocess.run([sys.executable, "-c", ALONE, wall, *groups], check=True, timeout=60)
    assert school.read_bytes() == before
    # Under the system's limit a file can still get a name, but never a byte.
    assert not any(path.stat().st_size for path in school.parent.iterdir() if path != school)


def test_without_walls_the_corpus_destroys_the_database(school: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    before = school.read_bytes()
    subprocess.run([sys.executable, "-c", ALONE, "none", *WRITING_GROUPS], check=True, timeout=60)
    assert school.read_bytes() != before
