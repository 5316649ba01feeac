"""DuckDB, and files through it: what is read, and that nothing can be done to them."""

import gzip
import hashlib
import os
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from databases.attack_corpus import attacks
from databases.withstanding import withstand
from myna.databases import Column, Database, ForeignKey, Limits
from myna.errors import DatabaseError, QueryError

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


ODD = """
CREATE SCHEMA other;
CREATE TABLE "学生 表" (id INT PRIMARY KEY, "select" VARCHAR NOT NULL, price DECIMAL(10, 2), exact DECIMAL(38, 20),
    huge HUGEINT, flag BOOLEAN, day DATE, time_at TIMESTAMP, moment TIMESTAMPTZ, span INTERVAL, data BLOB,
    tags VARCHAR[], pair STRUCT(a INT, b VARCHAR), info JSON, mood ENUM ('glad', 'sad'), key UUID, "a ""b" INT AS (7));
COMMENT ON TABLE "学生 表" IS '一张表';
COMMENT ON COLUMN "学生 表"."select" IS 'a word of SQL';
CREATE TABLE child (a INT REFERENCES "学生 表" (id), b INT, PRIMARY KEY (b, a));
CREATE TABLE other.child (a INT);
CREATE VIEW glad AS SELECT id FROM "学生 表" WHERE mood = 'glad';
INSERT INTO "学生 表" VALUES (1, 'a', 1.50, 0.12345678901234567890, 170141183460469231731687303715884105727, true,
    '2020-01-02', '2020-01-02 03:04:05', '2020-01-02 03:04:05+00', INTERVAL '1 month 2 days', '\\x00\\xFF', ['p', 'q'],
    {'a': 1, 'b': 'x'}, '{"a": 1}', 'sad', '3b64a6e6-bb84-4e68-b169-7be0d82078ad');
"""


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A database in which everything has an odd name or type."""
    path = tmp_path / "odd 库.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(ODD)
    return path


def test_a_schema_has_tables_views_keys_types_and_comments(odd: Path) -> None:
    with Database.open(odd) as database:
        tables = {table.name: table for table in database.schema.tables}
    assert set(tables) == {"学生 表", "child", "other.child", "glad"}
    students = tables["学生 表"]
    assert (students.comment, students.primary_key, students.is_view) == ("一张表", ("id",), False)
    assert students.columns[1] == Column("select", "VARCHAR", "text", nullable=False, comment="a word of SQL")
    assert {column.name: column.kind for column in students.columns} == {
        **dict.fromkeys(("id", "price", "exact", "huge", 'a "b'), "number"),
        **dict.fromkeys(("select", "mood", "key"), "text"),
        **{"day": "date", "time_at": "date", "moment": "date", "flag": "boolean", "data": "binary"},
        **dict.fromkeys(("tags", "pair", "info", "span"), "other"),
    }
    assert tables["glad"].is_view
    assert tables["child"].primary_key == ("b", "a")
    assert tables["child"].foreign_keys == (ForeignKey(("a",), "学生 表", ("id",)),)


def test_values_arrive_as_python_numbers_or_as_text(odd: Path) -> None:
    with Database.open(odd) as database:
        (row,) = database.run('SELECT * FROM "学生 表"').rows
        assert database.run('SELECT 1 AS "a b"; -- done').columns == ("a b",)
    assert row[:6] == (1, "a", 1.5, Decimal("0.12345678901234567890"), 2**127 - 1, True)
    assert row[6:8] == ("2020-01-02", "2020-01-02 03:04:05")
    assert row[8].startswith("2020-01-")  # in the time zone of the machine
    assert row[9:11] == ("1 month 2 days", b"\x00\xff")
    assert row[11:] == ("[p, q]", "{'a': 1, 'b': x}", '{"a": 1}', "sad", "3b64a6e6-bb84-4e68-b169-7be0d82078ad", 7)


def test_columns_shown_as_text_keep_names_and_order_of_rows(odd: Path) -> None:
    with Database.open(odd) as database:
        result = database.run("SELECT [range] AS l, range AS n, 1 AS n FROM range(5000) ORDER BY range % 7, range DESC")
    assert result.columns == ("l", "n", "n")
    numbers = [row[1] for row in result.rows]
    assert numbers == sorted(numbers, key=lambda number: (number % 7, -number))


@pytest.mark.parametrize(
    ("sql", "kind", "says"),
    [
        ("SELECT FROM WHERE", "syntax", "not valid SQL"),
        ("SELECT nope FROM students", "unknown column", "nope"),
        ("SELECT s.nope FROM students s", "unknown column", "nope"),
        ("SELECT * FROM nope", "unknown table", "nope"),
        ("SELECT nope.id FROM students", "unknown table", "nope"),
        ("SELECT sleep_ms(1)", "refused", "the function sleep_ms may do more than read"),
        ("SELECT * FROM read_text('/etc/passwd')", "refused", "read_text may do more than read"),
        ("SELECT nothing(1)", "database", "nothing"),
        ("SELECT count(*) FROM range(10000000000000)", "time", "longer than 0.2 s"),
        ("SELECT list(range) FROM range(1000000000)", "memory", "more memory than the limit"),
    ],
)
def test_what_is_wrong_with_a_query_is_said_by_kind(school: Path, sql: str, kind: str, says: str) -> None:
    with Database.open(school, limits=Limits(seconds=0.2 if kind == "time" else 10)) as database:
        with pytest.raises(QueryError, match=says) as caught:
            database.run(sql)
        assert caught.value.kind == kind


def test_a_file_that_is_no_duckdb_database_is_named(tmp_path: Path) -> None:
    for name, content in (("empty.duckdb", b""), ("corrupt.duckdb", b"DUCKDUCK" * 1000), ("text.duckdb", b"hello")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DatabaseError, match=rf"{name}: can't be opened"):
            Database.open(tmp_path / name)
    for address, says in ((tmp_path / "missing.duckdb", "no such file"), (f"duckdb:///{tmp_path}", "is a folder")):
        with pytest.raises(DatabaseError, match=says):
            Database.open(address)
    with duckdb.connect(str(tmp_path / "busy.duckdb")), pytest.raises(DatabaseError, match=r"busy.duckdb: .*lock"):
        Database.open(tmp_path / "busy.duckdb")


def test_files_of_a_folder_are_tables(folder: Path) -> None:
    with Database.open(folder) as database:
        assert [(table.name, table.is_view) for table in database.schema.tables] == [
            ("adults", False),
            ("grades", False),
            ("students", False),
        ]
        sql = "SELECT count(*), max(points) FROM students JOIN grades ON grades.student = students.id"
        assert database.run(sql).rows == ((1000, 14.5),)


def test_any_name_of_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    odd = tmp_path / "it's [1]*?"
    odd.mkdir()
    (odd / "a[1].csv").write_text("x\n1\n")
    (odd / "a1.csv").write_text("x\n2\n")
    (odd / "学生 'q' \"表\".tsv").write_text("x\ty\n3\t\n")
    (odd / "same.csv").write_text("x\n4\n")
    (odd / "Same.jsonl").write_text('{"x": 5}\n')
    (odd / "packed.csv.gz").write_bytes(gzip.compress(b"x\n6\n"))
    with Database.open(odd) as database:
        tables = ("a[1]", "a1", '学生 \'q\' ""表""', "same.csv", "Same.jsonl", "packed")
        for x, table in enumerate(tables, start=1):
            assert database.run(f'SELECT x FROM "{table}"').rows == ((x,),)
    with Database.open(odd / "a[1].csv") as database, pytest.raises(QueryError, match="disabled"):
        database.run("SELECT * FROM 'a1.csv'")


def test_a_file_that_can_t_be_read_as_a_table_is_named(tmp_path: Path) -> None:
    for name, content in (
        ("bad.parquet", b"no parquet"),
        ("bad.json", b"{"),
        ("latin.csv", "a\né\n".encode("latin-1") * 9),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DatabaseError, match=rf"{name}.*: can't be read"):
            Database.open(tmp_path / name)
    with pytest.raises(DatabaseError, match="no such file"):
        Database.open(tmp_path / "missing.csv")


def test_a_table_of_a_million_rows_is_asked_within_the_limits(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        query = "SELECT range AS id, 'name ' || range % 1000 AS name, range / 2 AS half FROM range(1000000)"
        connection.execute(f"COPY ({query}) TO '{tmp_path}/million.csv'")
    with Database.open(tmp_path / "million.csv") as database:
        assert database.run("SELECT count(*), count(DISTINCT name), max(half) FROM million").rows == (
            (1_000_000, 1000, 499_999.5),
        )
        everything = database.run("SELECT * FROM million")
        assert (len(everything.rows), everything.truncated) == (10_000, True)


def test_a_hard_link_whose_log_lies_beside_the_other_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.duckdb"
    with closing(duckdb.connect(str(path))) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    assert path.with_name("data.duckdb.wal").stat().st_size
    os.link(path, tmp_path / "again.duckdb")
    (tmp_path / "link.duckdb").symlink_to(path)
    with Database.open(tmp_path / "link.duckdb") as database:
        assert database.run("SELECT a FROM t").rows == ((1,),)
    with pytest.raises(DatabaseError, match=r"hard link to data\.duckdb, and data\.duckdb\.wal holds"):
        Database.open(tmp_path / "again.duckdb")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_among_the_files_is_named_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    os.mkfifo(tmp_path / "b.csv")
    for place in (tmp_path, tmp_path / "b.csv"):
        with pytest.raises(DatabaseError, match=r"b\.csv: is not a regular file"):
            Database.open(place)


def test_links_among_the_files_are_followed_and_broken_ones_named(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "far.csv").write_text("x,y\n1,2\n")
    (tmp_path / "files" / "near.csv").symlink_to(tmp_path / "far.csv")
    with Database.open(tmp_path / "files") as database:
        assert database.run("SELECT y FROM near").rows == ((2,),)
    (tmp_path / "files" / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(DatabaseError, match=r"loop\.csv: can't be read"):
        Database.open(tmp_path / "files")


HIDING = """
CREATE TABLE t AS SELECT 1 AS a;
CREATE MACRO nap() AS sleep_ms(60000);
CREATE MACRO long_nap() AS nap() + 1;
CREATE MACRO run(x) AS TABLE SELECT * FROM query(x);
CREATE MACRO own_bytes() AS (SELECT content FROM read_blob('hiding.duckdb'));
CREATE VIEW napping AS SELECT long_nap() AS n;
CREATE VIEW "over it" AS SELECT count(*) AS n FROM napping;
CREATE MACRO twice(x) AS 2 * x;
CREATE VIEW plain AS SELECT twice(a) AS a FROM t;
"""


def test_no_macro_or_view_of_a_file_hides_a_refused_function(tmp_path: Path) -> None:
    path = tmp_path / "hiding.duckdb"
    with closing(duckdb.connect(str(path))) as connection:
        connection.execute(HIDING)
    with Database.open(path, limits=Limits(seconds=5)) as database:
        for sql in (
            *("SELECT nap()", "SELECT LONG_NAP()", "FROM run('SELECT 1')", "SELECT own_bytes()", "FROM napping"),
            *('SELECT n FROM "over it"', "FROM main.Napping", f"FROM read_blob('{path}')", f"FROM glob('{path}')"),
            *("SELECT a FROM t WHERE a IN (SELECT n FROM napping)", "FROM query_table('nap' || 'ping')"),
            "FROM histogram('napping', n)",
        ):
            with pytest.raises(QueryError, match="may do more than read") as caught:
                database.run(sql)
            assert caught.value.kind == "refused"
        assert database.run("SELECT a, twice(a) FROM plain").rows == ((2, 4),)
