"""Promises of looking for changes: a schema text is read back as it was written, and what changed is named."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.databases import Database
from myna.databases.schema import Column, ForeignKey, Schema, Table
from myna.text2sql.asking import changes_since_training
from myna.text2sql.asking.changes import described
from myna.text2sql.identifiers import identifier, table_identifier
from myna.text2sql.prompt import question_messages
from myna.text2sql.schema_text import schema_text

NAMES = st.one_of(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True),
    st.sampled_from(["key", "select", "two words", 'a"b', "it's", "姓名", "x, y", "f(x)", "{n}", "a.b", "😀", "1st"]),
)
COLUMN = st.builds(
    Column,
    NAMES,
    st.sampled_from(["INTEGER", "json", "double precision", ""]),
    st.sampled_from(["number", "text", "date", "other"]),
    st.booleans(),
    st.sampled_from(["", "years, in full", "the 'right' one"]),
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    columns = draw(st.lists(COLUMN, min_size=1, max_size=5, unique_by=lambda each: each.name))
    names = [column.name for column in columns]
    keys = draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    foreign = [ForeignKey((name,), "other", ("id",)) for name in draw(st.lists(st.sampled_from(names), max_size=1))]
    if len(names) > 1 and draw(st.booleans()):
        foreign.append(ForeignKey((names[0], names[1]), "other one", ("a", "b")))
    return Table(draw(NAMES), tuple(columns), tuple(keys), tuple(foreign), "", draw(st.booleans()))


@given(st.lists(tables(), min_size=1, max_size=3, unique_by=lambda each: each.name), st.data())
def test_a_schema_text_is_read_back(described_tables: list[Table], data: st.DataObject) -> None:
    samples = {
        table.name: {
            column.name: data.draw(st.sampled_from([[], ["a, b(", "it's"], [3.5], ["{"]])) for column in table.columns
        }
        for table in described_tables
    }
    text = schema_text(Schema(tuple(described_tables)), samples)
    assert described(f"Answer with one SQLite query only.\n{text}") == {
        table_identifier(table.name): {
            identifier(column.name): column.type.lower() if column.kind == "other" else column.kind
            for column in table.columns
        }
        for table in described_tables
    }


BEFORE = "CREATE TABLE students (name TEXT, age INT); CREATE TABLE old (id INT)"


def database(path: Path, script: str) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path


def trained_on(folder: Path, path: Path, others: Sequence[str] = ()) -> Path:
    """Write a data folder about the database at `path`."""
    folder.mkdir()
    with Database.open(path) as opened:
        messages = question_messages(schema_text(opened.schema), "How many?")
    line = {
        "messages": [*messages, {"role": "assistant", "content": "SELECT 1"}],
        "sql": {"database": "school", "gold": "SELECT 1"},
    }
    (folder / "train.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    places = {"school": str(path), **{name: f"databases/{name}.sqlite" for name in others}}
    (folder / "data.json").write_text(json.dumps({"databases": places}), "utf-8")
    return folder


def changes(folder: Path, path: Path) -> tuple[str, ...]:
    with Database.open(path) as opened:
        return changes_since_training(folder, opened)


def test_what_changed_since_training_is_named(tmp_path: Path) -> None:
    path = database(tmp_path / "school.sqlite", BEFORE)
    folder = trained_on(tmp_path / "data", path)
    assert changes(folder, path) == ()
    database(
        path,
        "ALTER TABLE students RENAME COLUMN age TO years; DROP TABLE old; CREATE TABLE new (id INT);"
        'ALTER TABLE students ADD COLUMN "two words" TEXT',
    )
    assert set(changes(folder, path)) == {
        "table old is gone",
        "table new is new, or was in no prompt",
        "column age is gone from students",
        'columns years, "two words" are new in students',
    }


def test_a_column_of_another_type_is_named(tmp_path: Path) -> None:
    path = database(tmp_path / "school.sqlite", "CREATE TABLE students (id INTEGER PRIMARY KEY, age INT, paid)")
    folder = trained_on(tmp_path / "data", path)
    script = "DROP TABLE students; CREATE TABLE students (id INTEGER PRIMARY KEY, age TEXT, paid BOOLEAN)"
    assert set(changes(folder, database(path, script))) == {
        "column age of students is text now, it was number",
        "column paid of students is boolean now, it was without a type",
    }


def test_a_comment_with_braces_hides_no_table() -> None:
    assert described("t{set {a} b}(id number {a} b}, b text)") == {"t": {"id": "number", "b": "text"}}


def test_a_database_that_moved_is_the_same_and_one_without_a_common_table_another(tmp_path: Path) -> None:
    folder = trained_on(tmp_path / "data", database(tmp_path / "school.sqlite", BEFORE))
    assert changes(folder, (tmp_path / "school.sqlite").rename(tmp_path / "moved.sqlite")) == ()
    other = database(tmp_path / "other.sqlite", "CREATE TABLE birds (id INT)")
    assert changes(folder, other) == ("every table is another: the adapter was trained on another database",)


def test_data_of_many_databases_speaks_only_of_those_that_it_holds(tmp_path: Path) -> None:
    path = database(tmp_path / "school.sqlite", BEFORE)
    folder = trained_on(tmp_path / "data", path, others=["zoo", "bank"])
    other = database(tmp_path / "other.sqlite", "CREATE TABLE students (size INT)")
    assert changes(folder, other) == ()
    database(path, "DROP TABLE old")
    assert changes(folder, path) == ("table old is gone",)


@pytest.mark.parametrize("content", [None, "not json\n", '{"text": "no conversation"}\n'])
def test_data_that_cannot_be_used_any_more_says_nothing(tmp_path: Path, content: str | None) -> None:
    path = database(tmp_path / "school.sqlite", BEFORE)
    folder = trained_on(tmp_path / "data", path)
    (folder / "train.jsonl").unlink()
    if content is not None:
        (folder / "train.jsonl").write_text(content)
    assert changes(folder, path) == ()
