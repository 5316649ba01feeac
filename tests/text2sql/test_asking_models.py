"""Promises of asking a real model: it sees the one prompt, is held to the schema, and its draws can be repeated."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from myna.data.example import Message
from myna.databases import Database
from myna.errors import DatabaseError, ModelError, RecipeError
from myna.generation import LanguageModel, Sampling, load
from myna.text2sql.asking import Asker, ModelAnswerer, ask
from myna.text2sql.grammar import grammar
from myna.text2sql.prompt import question_messages
from myna.text2sql.schema_text import sample_values, schema_text
from small_runs import one_layer

FLOAT32 = {"dtype": "float32", "device": "cpu"}
QUESTION = "How old is Ann?"
CONVERSATION: list[Message] = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_layer(tmp_path_factory.mktemp("asked") / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return load(str(folder), **FLOAT32)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    connection = sqlite3.connect(tmp_path / "school.sqlite")
    connection.executescript("CREATE TABLE students (name TEXT, age INT); INSERT INTO students VALUES ('Ann', 20)")
    connection.close()
    return tmp_path / "school.sqlite"


def test_the_prompt_is_the_one_that_training_data_has(model: LanguageModel, path: Path) -> None:
    with Database.open(path) as database, Asker(database, ModelAnswerer(model)) as asker:
        samples = {table.name: sample_values(database, table) for table in database.schema.tables}
        text = schema_text(database.schema, samples)
        assert asker.brief(QUESTION).messages == question_messages(text, QUESTION, hints=["name = 'Ann'"])
        assert asker.ask(QUESTION).messages == asker.brief(QUESTION).messages


def test_the_first_answer_is_the_likeliest_and_others_are_drawn_the_same_way_each_time(model: LanguageModel) -> None:
    answerer = ModelAnswerer(model, max_tokens=8)
    alone = model.generate(CONVERSATION, max_tokens=8).text
    several = answerer.answers(CONVERSATION, count=4, grammar=None)
    assert several[0] == alone
    assert answerer.answers(CONVERSATION, count=1, grammar=None) == [alone]
    assert len(set(several[1:])) > 1
    assert answerer.answers(CONVERSATION, count=4, grammar=None) == several
    other = ModelAnswerer(model, max_tokens=8, sampling=Sampling(temperature=0.7, top_p=0.95, seed=1))
    assert other.answers(CONVERSATION, count=4, grammar=None)[1:] != several[1:]


def test_a_model_that_knows_no_sql_writes_queries_that_prepare_when_it_is_held_to_the_schema(
    model: LanguageModel, path: Path
) -> None:
    with Database.open(path) as database:
        rules = grammar(database.schema)
        for text in ModelAnswerer(model, max_tokens=120).answers(CONVERSATION, count=6, grammar=rules):
            database.prepare(text)


def test_ask_takes_a_model_by_name_and_closes_all_it_opened(folder: Path, path: Path) -> None:
    answer = ask(path, QUESTION, model=str(folder), max_tokens=120, samples=3, **FLOAT32)
    assert answer.sql is not None
    assert answer.sql.startswith("SELECT ")
    assert (answer.result is None) == (answer.error is not None)
    assert answer.of == 3


def test_what_cannot_be_asked_is_named(folder: Path, path: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        ask(path, QUESTION, model=str(tmp_path / "none"))
    with pytest.raises(DatabaseError):
        ask(tmp_path / "none.sqlite", QUESTION, model=str(folder))
    with pytest.raises(RecipeError, match="max_tokens is 0"):
        ask(path, QUESTION, model=str(folder), max_tokens=0, **FLOAT32)
    with pytest.raises(RecipeError, match="time_limit is 0"):
        ask(path, QUESTION, model=str(folder), time_limit=0.0, **FLOAT32)
