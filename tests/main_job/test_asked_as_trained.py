"""The promise that ties data building to asking: a question is asked with the very messages it was trained with."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from databases.servers import Server, postgres, postgres_admin
from myna.builders.database.build import build_database
from myna.data.folder import open_split
from myna.databases import Database
from myna.text2sql.asking import Asker, changes_since_training
from scripted_answers import Scripted

__all__ = ["postgres"]

TABLES = """
CREATE TABLE "Pupils" (id INTEGER PRIMARY KEY, "Name" TEXT, age INTEGER, "Position held" TEXT);
CREATE TABLE visits (id INTEGER PRIMARY KEY, pupil_id INTEGER REFERENCES "Pupils" (id), place TEXT, points INTEGER);
"""
PUPILS = [(n, f"Ann{n} Li", 10 + n % 7, ("Guard", "Center's")[n % 2]) for n in range(30)]
VISITS = [(n, n % 30, ("Ulm", "Jena", "北京")[n % 3], n % 11) for n in range(60)]


def sqlite_file(path: Path) -> str:
    connection = sqlite3.connect(path)
    connection.executescript(TABLES)
    connection.executemany('INSERT INTO "Pupils" VALUES (?, ?, ?, ?)', PUPILS)
    connection.executemany("INSERT INTO visits VALUES (?, ?, ?, ?)", VISITS)
    connection.commit()
    connection.close()
    return str(path)


def postgres_database(server: Server) -> str:
    with postgres_admin(server) as admin:
        admin.execute("CREATE DATABASE trained")
    with postgres_admin(server, "trained") as admin:
        admin.execute(TABLES)
        with admin.cursor() as cursor:
            cursor.executemany('INSERT INTO "Pupils" VALUES (%s, %s, %s, %s)', PUPILS)
            cursor.executemany("INSERT INTO visits VALUES (%s, %s, %s, %s)", VISITS)
    return server.url("trained")


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_question_is_asked_with_the_messages_it_was_trained_with(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if kind == "sqlite":
        url = sqlite_file(tmp_path / "school.sqlite")
    else:
        url = postgres_database(request.getfixturevalue("postgres"))  # started only where it is needed
    build_database(url, tmp_path / "data", size=60, language="both")
    with Database.open(url) as database, Asker(database, Scripted()) as asker:
        examples = list(open_split(tmp_path / "data", "train"))
        assert len(examples) > 30
        assert any("Hints:" in example.messages[1]["content"] for example in examples)
        for example in examples:
            question = example.messages[1]["content"].partition("\nHints:")[0]
            assert asker.brief(question).messages == tuple(example.messages[:2])
        assert changes_since_training(tmp_path / "data", database) == ()
