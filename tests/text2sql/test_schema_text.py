import datetime
import sqlite3
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.databases import Column, Database, ForeignKey, Schema, Table
from myna.text2sql.schema_text import sample_values, schema_text


@pytest.fixture
def school(tmp_path):
    path = tmp_path / "school.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE town (id INTEGER PRIMARY KEY, name TEXT, population INTEGER);
        CREATE TABLE student (
            id INTEGER PRIMARY KEY, name TEXT, "Position held" VARCHAR(20), "order" REAL, born DATE, photo BLOB,
            password TEXT, town_id INTEGER REFERENCES town(id)
        );
        CREATE TABLE takes (
            student_id INTEGER REFERENCES student(id), course TEXT, 成绩 TEXT, PRIMARY KEY (student_id, course)
        );
        CREATE TABLE exam (
            student INTEGER, course TEXT, mark, FOREIGN KEY (student, course) REFERENCES takes (student_id, course)
        );
        CREATE VIEW names AS SELECT name FROM student;
        INSERT INTO town VALUES (1, 'Oslo', 700000), (2, 'Rome', 2800000);
        INSERT INTO student VALUES
            (3, 'Bob', '', 1.5, '2001-02-03', x'00ff', 'hunter2', 2),
            (1, 'Ann', 'a "fine" one', 2.0, '2000-01-01', NULL, 'hunter3', 1),
            (2, 'O''Hara' || char(10) || 'the very, very, very long', NULL, NULL, NULL, NULL, NULL, NULL);
        INSERT INTO takes VALUES (1, 'Art', '优'), (1, 'Math', '良'), (2, 'Art', '优');
        """
    )
    connection.close()
    with Database.open(path) as database:
        yield database


def text_of(database):
    samples = {table.name: sample_values(database, table) for table in database.schema.tables}
    return schema_text(database.schema, samples)


def test_a_schema_is_one_line_a_table_with_types_keys_and_samples(school):
    assert text_of(school).splitlines() == [
        "town(id number key, name text ('Oslo', 'Rome'), population number (700000))",
        "student(id number key, name text ('Ann', 'O''Hara\\nthe very, very, very …', 'Bob'), "
        '"Position held" text (\'a "fine" one\'), "order" number (2), born date (\'2000-01-01\'), photo binary, '
        "password text, town_id number -> town.id)",
        "takes(student_id number -> student.id, course text ('Art', 'Math'), 成绩 text ('优', '良'), "
        "key (student_id, course))",
        "exam(student number, course text, mark, (student, course) -> takes(student_id, course))",
        "view names(name text ('Ann', 'O''Hara\\nthe very, very, very …', 'Bob'))",
    ]


def test_the_same_database_gives_the_same_bytes(school):
    first = text_of(school)
    with Database.open(school.name) as again:
        assert text_of(again) == first


def test_without_samples_there_are_names_types_and_keys_only(school):
    text = schema_text(school.schema)
    assert text.startswith("town(id number key, name text, population number)\nstudent(id number key, name text, ")
    assert "'" not in text
    assert schema_text(school.schema, {}) == text


def test_fewer_samples_can_be_asked_for(school):
    town = school.schema.tables[0]
    assert sample_values(school, town, 1) == {"name": ["Oslo"], "population": [700000]}
    assert sample_values(school, town, 0) == {}


def test_names_in_the_text_are_names_in_sql(school):
    for name in ('"Position held"', '"order"'):
        assert f" {name} " in schema_text(school.schema)
        assert school.run(f"SELECT {name} FROM student").columns


def test_a_table_that_cannot_be_read_has_no_samples(tmp_path):
    connection = sqlite3.connect(tmp_path / "broken.sqlite")
    connection.executescript("CREATE TABLE t (a TEXT); CREATE VIEW v AS SELECT a FROM t;")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET sql = 'CREATE VIEW v AS SELECT a FROM gone' WHERE name = 'v'")
    connection.commit()
    connection.close()
    with Database.open(tmp_path / "broken.sqlite") as database:
        view = Table("v", (Column("a", "TEXT", "text"),), is_view=True)
        assert sample_values(database, view) == {}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, "1"),
        (1.0, "1"),
        (0.1, "0.1"),
        (1 / 3, "0.333333"),
        (1e300, "1e+300"),
        (float("inf"), "inf"),
        (True, "true"),
        (Decimal("1.50"), "1.50"),
        ("it's", "'it''s'"),
        ("x" * 30, "'" + "x" * 30 + "'"),
        ("x" * 31, "'" + "x" * 29 + "…'"),
        ("a\tb\r\n\x00\u2028", "'a\\tb\\r\\n\\x00\\u2028'"),
        ("\ud800", "'\\ud800'"),
        ("中文 🙂", "'中文 🙂'"),
        (datetime.date(2020, 1, 2), "'2020-01-02'"),
        (datetime.datetime(2020, 1, 2, 3, 4), "'2020-01-02 03:04:00'"),
    ],
)
def test_a_value_is_shown_as_sql_in_bounded_length(value, shown):
    schema = Schema((Table("t", (Column("a", "", "other"),)),))
    assert schema_text(schema, {"t": {"a": [value]}}) == f"t(a ({shown}))"


def test_bytes_and_null_are_never_shown():
    schema = Schema((Table("t", (Column("a", "BLOB", "binary"),)),))
    assert schema_text(schema, {"t": {"a": [None, b"secret", bytearray(b"x")]}}) == "t(a binary)"


def test_comments_views_and_schemas_are_told():
    table = Table(
        "app.Orders",
        (Column("id", "int", "number", comment="order\nnumber"), Column("spot", "GEOMETRY", "other")),
        ("id",),
        (ForeignKey(("spot",), "app.Spots", ("id",)),),
        comment="x" * 100,
    )
    text = schema_text(Schema((table,)), dialect="postgres")
    cut = "x" * 79 + "…"
    assert text == f'app."Orders"{{{cut}}}(id number key {{order\\nnumber}}, spot geometry -> app."Spots".id)'


@given(st.lists(st.text(), max_size=4))
def test_a_table_is_one_line_whatever_its_values(values):
    schema = Schema((Table("t", (Column("a", "TEXT", "text"),)),))
    text = schema_text(schema, {"t": {"a": values}})
    assert len(text.splitlines()) == 1
    assert len(text) < 20 + len(values) * (30 * 10 + 6)
    assert text.encode()
