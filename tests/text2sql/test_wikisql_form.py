"""WikiSQL's files are read line by line, every wrong line is named, and its databases hold what the source says."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from myna.databases import Database
from myna.errors import DataError
from myna.text2sql.wikisql import (
    WikiSQLQuery,
    WikiSQLTable,
    official_sql,
    official_table,
    read_questions,
    read_tables,
    schema_of,
    tables_of,
    to_sql,
    write_database,
    write_official_database,
)
from wikisql_tables import PLAYERS, REAL, needs_real_files, tables

TABLE: dict[str, Any] = {"id": "1-2", "header": ["a", "b"], "types": ["text", "real"], "rows": [["x", 1], ["y", None]]}
QUESTION: dict[str, Any] = {
    "phase": 1,
    "table_id": "1-2",
    "question": "which?",
    "sql": {"sel": 0, "agg": 3, "conds": [[1, 1, 0.5]]},
}


def file_of(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
    return path


def test_tables_and_questions_are_read_as_they_stand(tmp_path: Path) -> None:
    (table,) = read_tables(file_of(tmp_path / "a.tables.jsonl", TABLE))
    assert (table.id, table.header, table.types) == ("1-2", ("a", "b"), ("text", "real"))
    assert table.rows == [["x", 1], ["y", None]]
    (question,) = read_questions(file_of(tmp_path / "a.jsonl", QUESTION))
    assert (question.question, question.line) == ("which?", 1)
    assert question.query == WikiSQLQuery("1-2", 0, 3, ((1, 1, 0.5),))
    assert WikiSQLQuery.of(question.query.table_id, question.query.as_dict()) == question.query


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"id": 5}, '"id" that is a text, found 5'),
        ({"id": " "}, '"id" that is a text'),
        ({"header": []}, 'table 1-2: "header" must be a list of texts'),
        ({"header": ["a", 1]}, '"header" must be a list of texts'),
        ({"types": ["text"]}, "text or real for each of 2 columns"),
        ({"types": ["text", "blob"]}, "text or real for each of 2 columns"),
        ({"rows": None}, '"rows" must be a list of rows, found None'),
        ({"rows": [["x", 1], ["y"]]}, "row 2 must be a list of 2 cells"),
        ({"rows": [["x", {}]]}, "row 1 has a cell that is no text, number or null"),
    ],
)
def test_a_wrong_table_is_named_with_its_line(tmp_path: Path, change: dict[str, Any], part: str) -> None:
    path = file_of(tmp_path / "a.tables.jsonl", TABLE, TABLE | change)
    with pytest.raises(DataError) as caught:
        list(read_tables(path))
    assert str(caught.value).startswith(f"{path}:2: ")
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("record", "part"),
    [
        (QUESTION | {"question": ""}, '"question" that is a text'),
        (QUESTION | {"table_id": None}, '"table_id" that is a text'),
        (QUESTION | {"sql": "SELECT 1"}, '"sel", "agg" and "conds"'),
        (QUESTION | {"sql": {"sel": -1, "agg": 0, "conds": []}}, '"sel" must be a column number from 0, found -1'),
        (QUESTION | {"sql": {"sel": True, "agg": 0, "conds": []}}, '"sel" must be'),
        (QUESTION | {"sql": {"sel": 0, "agg": 6, "conds": []}}, '"agg" must be a number from 0 to 5, found 6'),
        (QUESTION | {"sql": {"sel": 0, "agg": 0}}, '"conds" must be a list'),
        (QUESTION | {"sql": {"sel": 0, "agg": 0, "conds": [[0, 0]]}}, "a condition must be [column, operator, value]"),
        (QUESTION | {"sql": {"sel": 0, "agg": 0, "conds": [[0, 3, "x"]]}}, "operator must be a number from 0 to 2"),
        (QUESTION | {"sql": {"sel": 0, "agg": 0, "conds": [[0, 0, None]]}}, "a text or a number, found None"),
        (QUESTION | {"sql": {"sel": 0, "agg": 0, "conds": [[0, 0, float("nan")]]}}, "a text or a number, found nan"),
        (QUESTION | {"sql": {"sel": 0, "agg": 0, "conds": [[0, 0, "a\0"]]}}, "a text or a number"),
        ([1], "expected a JSON object, found [1]"),
    ],
)
def test_a_wrong_question_is_named_with_its_line(tmp_path: Path, record: Any, part: str) -> None:
    path = file_of(tmp_path / "a.jsonl", QUESTION, record)
    with pytest.raises(DataError) as caught:
        list(read_questions(path))
    assert str(caught.value).startswith(f"{path}:2: ")
    assert part in str(caught.value)


@pytest.mark.parametrize("line", [b"{", b'{"question": "\xff"}', b'{"question": "\\ud800"}', b"[" * 100_000])
def test_a_line_that_is_no_json_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(QUESTION).encode() + b"\n" + line + b"\n")
    with pytest.raises(DataError, match=r"a\.jsonl:2: not a JSON object in UTF-8"):
        list(read_questions(path))


@settings(deadline=None)
@given(tables(rows=4))
def test_any_table_is_stored_and_found_again_by_its_schema(
    tmp_path_factory: pytest.TempPathFactory, table: WikiSQLTable
) -> None:
    path = tmp_path_factory.mktemp("any") / "any.sqlite"
    write_database(path, [table])
    with closing(sqlite3.connect(path)) as database:
        every = to_sql(WikiSQLQuery(table.id, 0, 0), table)
        assert len(database.execute(every).fetchall()) == len(table.rows)
        names = [row[1] for row in database.execute(f"SELECT * FROM pragma_table_info({literal(table.id)})")]
    assert names == list(table.columns)
    assert tables_of(schema_of(table)) == {table.id: WikiSQLTable(table.id, table.columns, table.types)}


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def test_the_executable_database_answers_through_database(tmp_path: Path) -> None:
    path = tmp_path / "databases" / "players.sqlite"
    write_database(path, [PLAYERS])
    with Database.open(path) as database:
        assert tables_of(database.schema) == tables_of(schema_of(PLAYERS))
        assert tables_of(database.schema) == {PLAYERS.id: PLAYERS}
        guards = WikiSQLQuery(PLAYERS.id, 0, 0, ((3, 0, "GUARD"), (1, 2, 31)))
        assert database.run(to_sql(guards, PLAYERS)).rows == (("Robert Archibald",),)
        numbers = WikiSQLQuery(PLAYERS.id, 1, 0, ((0, 0, "shawn respert"),))
        assert database.run(to_sql(numbers, PLAYERS)).rows == ((31,),)


def test_the_official_database_has_the_published_layout(tmp_path: Path) -> None:
    path = tmp_path / "official.db"
    write_official_database(path, [PLAYERS])
    with closing(sqlite3.connect(path)) as database:
        ((name, sql),) = database.execute("SELECT tbl_name, sql FROM sqlite_master").fetchall()
        assert name == "table_1_10015132_16" == official_table(PLAYERS.id)
        columns = sql.partition("(")[2].removesuffix(")").split(", ")
        assert columns == ["col0 text", "col1 real", "col2 text", "col3 text", "col4 text", "col5 text"]
        rows = database.execute(f"SELECT col0, col1, col2 FROM {name}").fetchall()
        assert rows[2] == ("quentin richardson", "–", "united states")
        assert rows[6] == ("robert archibald", 5.0, "scotland")
        assert rows[5][1] is None


def test_numbers_beyond_64_bits_are_stored_as_floats(tmp_path: Path) -> None:
    table = WikiSQLTable("1-1", ("n",), ("real",), [[2**63], [-(2**63) - 1], [2**63 - 1]])
    write_database(tmp_path / "a.sqlite", [table])
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as database:
        assert database.execute('SELECT n FROM "1-1"').fetchall() == [(2.0**63,), (-(2.0**63),), (2**63 - 1,)]


def test_a_database_that_can_not_be_finished_leaves_the_older_one(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    write_database(path, [PLAYERS])
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"table 1-10015132-16 \(6 columns\) can't be stored in SQLite: .* exists"):
        write_database(path, [PLAYERS, PLAYERS])
    with pytest.raises(DataError, match="too many columns"):
        write_database(path, [WikiSQLTable("w", ("a",) * 5000, ("text",) * 5000)])
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.sqlite"]
    write_database(path, [])
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT * FROM sqlite_master").fetchall() == []


@needs_real_files
def test_every_executable_test_question_is_answered_alike_by_both_databases(tmp_path: Path) -> None:
    write_database(tmp_path / "a.sqlite", read_tables(REAL / "test_a.tables.jsonl"))
    write_official_database(tmp_path / "a.db", read_tables(REAL / "test_a.tables.jsonl"))
    by_id = {table.id: table for table in read_tables(REAL / "test_a.tables.jsonl")}
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as ours, closing(sqlite3.connect(tmp_path / "a.db")) as theirs:
        for question in read_questions(REAL / "test_a.exec.jsonl"):
            table = by_id[question.query.table_id]
            answer = [row[0] for row in ours.execute(to_sql(question.query, table))]
            official = [row[0] for row in theirs.execute(official_sql(question.query, table))]
            assert [cell.lower() if isinstance(cell, str) else cell for cell in answer] == official
