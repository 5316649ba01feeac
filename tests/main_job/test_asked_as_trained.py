"""The promise that ties data building to asking: a question is asked with the very messages it was trained with.

Whatever the data's prompts show, and whichever way their settings go: data folder, adapter, fused model, base model.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlglot import exp

from databases.servers import Server, postgres, postgres_admin
from myna.builders.database.build import build_database
from myna.data.folder import open_split
from myna.databases import Database
from myna.exporting import fuse
from myna.generation import load
from myna.text2sql.asking import Asker, ModelAnswerer, changes_since_training
from myna.text2sql.asking.changes import described
from myna.text2sql.identifiers import table_identifier
from myna.text2sql.prompt_settings import PromptSettings
from myna.text2sql.syntax import parse_query
from myna.training import train
from scripted_answers import Scripted
from small_runs import one_layer, small_recipe, write_data

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
    assert "Hints:" in json.dumps(asked_alike(tmp_path / "data", url))
    with Database.open(url) as database:
        assert changes_since_training(tmp_path / "data", database) == ()


def asked_alike(data: Path, url: str) -> list[Any]:
    """Ask what the data's examples ask, with its settings; return the messages, which are those of the data."""
    settings = PromptSettings.of(json.loads((data / "data.json").read_text("utf-8")))
    made = []
    with Database.open(url) as database, Asker(database, Scripted(prompt_settings=settings)) as asker:
        for example in open_split(data, "train"):
            question = example.messages[1]["content"].partition("\nHints:")[0]
            made.append(asker.brief(question).messages)
            assert made[-1] == tuple(example.messages[:2])
    assert len(made) > 30
    return made


@pytest.mark.parametrize(
    ("settings", "shown"),
    [({"samples": 0}, ("Hints:",)), ({"samples": 1}, ("Hints:", "('Ulm')")), ({"values": "private"}, ())],
    ids=["no samples", "one sample", "private"],
)
def test_no_setting_of_the_data_comes_between(
    settings: dict[str, Any], shown: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = sqlite_file(tmp_path / "school.sqlite")
    build_database(url, tmp_path / "data", size=50, **settings)
    prompts = "\n".join(message["content"] for messages in asked_alike(tmp_path / "data", url) for message in messages)
    assert [text for text in ("Hints:", "('Ulm')", "('Ulm', 'Jena')") if text in prompts] == list(shown)


def test_of_a_large_schema_training_sees_for_each_question_what_asking_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = sqlite_file(tmp_path / "school.sqlite")
    connection = sqlite3.connect(url)
    for number in range(60):
        columns = ", ".join(f"measure_{number}_{each} REAL" for each in range(5))
        connection.execute(f"CREATE TABLE station_{number} (id INTEGER PRIMARY KEY, town TEXT, {columns})")
        rows = [(("Ulm", "Jena", "Köln")[each % 3], each, each * 1.5, each % 4, 10 - each, 7) for each in range(8)]
        connection.executemany(f"INSERT INTO station_{number} VALUES (NULL, ?, ?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    built = build_database(url, tmp_path / "data", size=60)
    assert any("nearest to their question" in note for note in built.notes)
    asked = asked_alike(tmp_path / "data", url)
    systems = {messages[0]["content"] for messages in asked}
    assert len(systems) > 1
    assert all(len(system.encode()) < 6_100 for system in systems)
    with Database.open(url) as database:
        for example in open_split(tmp_path / "data", "train"):
            shown = described(example.messages[0]["content"])
            assert {table.casefold() for table in tables_of(example.messages[2]["content"], database)} <= {
                table.casefold() for table in shown
            }


def tables_of(sql: str, database: Database) -> set[str]:
    named = {node.name for node in parse_query(sql, database.dialect).find_all(exp.Table)}
    return {table_identifier(name) for name in named}


def test_training_and_fusing_hand_on_what_prompts_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = one_layer(tmp_path / "model")
    of_the_base = PromptSettings(samples=2, hints=False, budget=900)
    (model / "myna.json").write_text(json.dumps({"prompt": of_the_base.as_dict()}), "utf-8")
    build_database(sqlite_file(tmp_path / "school.sqlite"), tmp_path / "data", size=40, samples=1)
    train(small_recipe(model, tmp_path / "data", tmp_path / "run", iters=1, max_seq_length=512))
    train(small_recipe(model, write_data(tmp_path / "other"), tmp_path / "plain", iters=1))
    fuse(str(model), tmp_path / "run", tmp_path / "fused", check=False)
    fuse(str(model), tmp_path / "plain", tmp_path / "fused-plain", check=False)
    found = {
        name: ModelAnswerer(load(str(tmp_path / folder), adapter_path=adapter and tmp_path / adapter)).prompt_settings
        for name, folder, adapter in (
            ("base", "model", None),
            ("adapter", "model", "run"),
            ("fused", "fused", None),
            ("adapter of other data", "model", "plain"),
            ("fused with that", "fused-plain", None),
        )
    }
    of_the_data = PromptSettings(samples=1)
    assert found == {
        "base": of_the_base,
        "adapter": of_the_data,
        "fused": of_the_data,
        "adapter of other data": of_the_base,
        "fused with that": of_the_base,
    }


def test_no_values_wins_over_what_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    scripted = Scripted(prompt_settings=PromptSettings(samples=2))
    with (
        Database.open(sqlite_file(tmp_path / "school.sqlite")) as database,
        Asker(database, scripted, values=False) as asker,
    ):
        system, user = asker.brief("Who is Guard?").messages
    assert user["content"] == "Who is Guard?"
    assert "'" not in system["content"]
