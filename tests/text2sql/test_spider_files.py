import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.databases import Column, ForeignKey, Schema, Table
from myna.errors import DataError
from myna.text2sql.spider import one_line, read_schemas, single_quoted_values, write_gold, write_predictions

SPIDER = Path(__file__).parents[3] / "shared" / "data" / "spider"
SCHEMA = Schema(
    (
        Table("people", tuple(Column(name, "TEXT", "text") for name in ("name", "city", "grad"))),
        Table("towns", (Column("city", "TEXT", "text"), Column("mayor", "TEXT", "text"))),
    )
)


@pytest.mark.parametrize(
    ("sql", "normal"),
    [
        ('SELECT name FROM people WHERE name = "Tony"', "SELECT name FROM people WHERE name = 'Tony'"),
        ('SELECT name FROM people WHERE name  !=  "O\'Hara"', "SELECT name FROM people WHERE name  !=  'O''Hara'"),
        ('SELECT name FROM people WHERE name = "say ""x"""', "SELECT name FROM people WHERE name = 'say \"x\"'"),
        ('SELECT name FROM people WHERE name LIKE "%é%"', "SELECT name FROM people WHERE name LIKE '%é%'"),
        ('SELECT name FROM people WHERE name IN ("a", ("b"))', "SELECT name FROM people WHERE name IN ('a', ('b'))"),
        (
            'SELECT name FROM people WHERE name BETWEEN "a" AND "b"',
            "SELECT name FROM people WHERE name BETWEEN 'a' AND 'b'",
        ),
        (
            'SELECT 1 FROM people GROUP BY city HAVING max(name) > "x"',
            "SELECT 1 FROM people GROUP BY city HAVING max(name) > 'x'",
        ),
        # a column of this query, or of the one around it, stays one
        ('SELECT name FROM people WHERE name = "City"', None),
        ('SELECT 1 FROM people WHERE EXISTS (SELECT 1 FROM towns WHERE mayor = "name")', None),
        ('SELECT name AS n FROM people WHERE name = "n"', None),
        ('SELECT a FROM (SELECT name AS a FROM people) WHERE a = "a"', None),
        ('WITH x(a) AS (SELECT name FROM people) SELECT a FROM x WHERE a = "a"', None),
        ('SELECT name FROM people WHERE name = people."Tony"', None),
        # a column of a table that is not asked is a text, as SQLite reads it
        ('SELECT name FROM people WHERE name = "mayor"', "SELECT name FROM people WHERE name = 'mayor'"),
        # what does not stand as a value is a name, there or not
        ('SELECT "grade" FROM people', None),
        ('SELECT "name" FROM people WHERE "nme" = 1', None),
        ('SELECT name FROM people ORDER BY "x"', None),
        ("SELECT name FROM people WHERE name = `Tony`", None),
        ("SELECT name FROM people WHERE name = 'Tony'", None),
        ('SELECT FROM "', None),
    ],
)
def test_only_a_double_quoted_value_that_names_no_column_becomes_a_text(sql, normal):
    assert single_quoted_values(sql, SCHEMA) == (normal or sql)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_the_normal_form_of_any_text_is_the_text_that_sqlite_reads(value):
    if value.lower() in {"name", "city", "grad", "rowid", "oid", "_rowid_"}:
        return
    quoted = value.replace('"', '""')
    normal = single_quoted_values(f'SELECT name FROM people WHERE name = "{quoted}"', SCHEMA)
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE people (name TEXT, city TEXT, grad TEXT)")
    connection.execute("INSERT INTO people (name) VALUES (?)", (value,))
    assert normal == "SELECT name FROM people WHERE name = '" + value.replace("'", "''") + "'"
    assert connection.execute(normal).fetchall() == [(value,)]
    connection.close()


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("SELECT a\n  FROM t", "SELECT a   FROM t"),
        ("SELECT a\tFROM\r\nt", "SELECT a FROM  t"),
        ("SELECT a -- the name\nFROM t", "SELECT a   FROM t"),
        ("SELECT a /* x\ny */ FROM t", "SELECT a   FROM t"),
        ("SELECT '--x', \"/*\" FROM t", "SELECT '--x', \"/*\" FROM t"),
        ("SELECT a FROM t WHERE b = 'x\ty\nz'", "SELECT a FROM t WHERE b = 'x y z'"),
        ("-- nothing", "SELECT 1"),
        ("  ", "SELECT 1"),
        (None, "SELECT 1"),
    ],
)
def test_every_answer_is_one_line_without_comments(sql, line):
    assert one_line(sql) == line


@given(st.none() | st.text())
def test_a_line_is_never_empty_or_broken(sql):
    line = one_line(sql)
    assert line.strip()
    assert len(line.splitlines()) == 1
    assert "\t" not in line


def test_the_files_have_one_line_for_each_question(tmp_path):
    write_gold(tmp_path / "gold.sql", [("SELECT 'a\tb'", "one"), ("SELECT\n2", "two")])
    write_predictions(tmp_path / "predicted.sql", ["SELECT 1;", None])
    gold = (tmp_path / "gold.sql").read_text("utf-8")
    assert gold == "SELECT 'a b'\tone\nSELECT 2\ttwo\n"
    assert (tmp_path / "predicted.sql").read_text("utf-8") == "SELECT 1;\nSELECT 1\n"


def entry(**changed):
    return {
        "db_id": "school",
        "table_names_original": ["Student", "Takes"],
        "column_names_original": [[-1, "*"], [0, "id"], [0, "name"], [1, "student"], [1, "day"]],
        "column_types": ["text", "number", "text", "number", "time"],
        "primary_keys": [1, [3, 4]],
        "foreign_keys": [[3, 1]],
        **changed,
    }


def test_tables_json_is_read_with_its_keys(tmp_path):
    (tmp_path / "tables.json").write_text(json.dumps([entry()]), "utf-8")
    student, takes = read_schemas(tmp_path / "tables.json")["school"].tables
    assert [(column.name, column.kind) for column in student.columns] == [("id", "number"), ("name", "text")]
    assert student.primary_key == ("id",)
    assert takes.primary_key == ("student", "day")
    assert takes.columns[1].kind == "date"
    assert takes.foreign_keys == (ForeignKey(("student",), "Student", ("id",)),)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[1]",
        json.dumps([{"db_id": "x"}]),
        json.dumps([entry(foreign_keys=[[3, 99]])]),
        json.dumps([entry(column_types=["text"])]),
    ],
)
def test_a_broken_tables_json_is_named(tmp_path, content):
    (tmp_path / "tables.json").write_text(content, "utf-8")
    with pytest.raises(DataError, match=r"tables\.json"):
        read_schemas(tmp_path / "tables.json")


def test_a_missing_tables_json_is_named(tmp_path):
    with pytest.raises(DataError, match="no-such"):
        read_schemas(tmp_path / "no-such.json")


@pytest.mark.skipif(not SPIDER.is_dir(), reason="the shared data are not here")
def test_every_gold_query_gives_the_same_rows_in_normal_form():
    schemas = read_schemas(SPIDER / "tables.json")
    connections, compared = {}, 0
    for question in json.loads((SPIDER / "train_spider.json").read_text("utf-8")):
        name, gold = question["db_id"], question["query"]
        file = SPIDER / "database" / name / f"{name}.sqlite"
        if '"' not in gold or not file.is_file():
            continue
        if name not in connections:
            connections[name] = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
            connections[name].text_factory = bytes
        normal = single_quoted_values(gold, schemas[name])
        assert '"' not in normal
        assert connections[name].execute(normal).fetchall() == connections[name].execute(gold).fetchall()
        compared += 1
    for connection in connections.values():
        connection.close()
    assert compared > 1400
