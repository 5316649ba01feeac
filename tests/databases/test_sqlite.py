"""SQLite through `Database`: schemas, cells, errors, and files that are not as they should be."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from databases.school import write_school
from myna.databases import Column, Database, ForeignKey, Limits, Schema, Table
from myna.databases.sqlite_schema import kind_of
from myna.databases.state import state
from myna.errors import DatabaseError, QueryError

SPIDER = Path(__file__).parents[3] / "shared" / "data" / "spider" / "database"


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_school(tmp_path_factory.mktemp("school") / "school.sqlite", students=20)


@pytest.fixture(scope="module")
def database(school: Path) -> Iterator[Database]:
    with Database.open(school) as database:
        yield database


def make(path: Path, script: str = "CREATE TABLE t (x); INSERT INTO t VALUES (1)") -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


def schema_of(path: Path, script: str) -> Schema:
    with Database.open(make(path, script)) as database:
        return database.schema


def rows(path: Path, sql: str = "SELECT x FROM t") -> tuple[tuple[object, ...], ...]:
    with Database.open(path, limits=Limits(seconds=5)) as database:
        return database.run(sql).rows


# The schema


def test_the_schema_is_described_in_the_order_of_its_making(database: Database) -> None:
    students, grades, *others = database.schema.tables
    assert students == Table(
        "students",
        (
            Column("id", "INTEGER", "number", nullable=False),
            Column("name", "TEXT", "text"),
            Column("age", "INTEGER", "number"),
            Column("grade", "TEXT", "text"),
        ),
        primary_key=("id",),
    )
    assert grades.foreign_keys == (ForeignKey(("student",), "students", ("id",)),)
    assert [(table.name, table.is_view) for table in others] == [
        ("grown_ups", True),
        ("endless", True),
        ("counted", False),
        ("notes", False),
    ]
    assert database.schema is database.schema


def test_keys_are_resolved_whatever_their_form(tmp_path: Path) -> None:
    schema = schema_of(
        tmp_path / "keys.sqlite",
        """
        CREATE TABLE Parents (b, a, PRIMARY KEY (a, b)) WITHOUT ROWID;
        CREATE TABLE children (
            y, x, z REFERENCES parents (a), gone REFERENCES missing (q),
            FOREIGN KEY (x, y) REFERENCES "PARENTS", FOREIGN KEY (y) REFERENCES children (z)
        );
        """,
    )
    parents, children = schema.tables
    assert parents.primary_key == ("a", "b")
    assert not any(column.nullable for column in parents.columns)
    assert set(children.foreign_keys) == {
        ForeignKey(("z",), "Parents", ("a",)),
        ForeignKey(("x", "y"), "Parents", ("a", "b")),
        ForeignKey(("y",), "children", ("z",)),
    }


def test_generated_columns_are_columns_and_hidden_ones_are_not(tmp_path: Path) -> None:
    schema = schema_of(
        tmp_path / "generated.sqlite",
        """
        CREATE TABLE t (a INT NOT NULL, b AS (a + 1), c TEXT GENERATED ALWAYS AS (a || 'x') STORED);
        CREATE VIRTUAL TABLE f USING fts5 (title, body);
        CREATE VIRTUAL TABLE r USING rtree (id, low, high);
        CREATE TABLE f_data_of_mine (x);
        """,
    )
    assert [(table.name, [column.name for column in table.columns]) for table in schema.tables] == [
        ("t", ["a", "b", "c"]),
        ("f", ["title", "body"]),
        ("r", ["id", "low", "high"]),
        ("f_data_of_mine", ["x"]),
    ]
    assert [column.nullable for column in schema.tables[0].columns] == [False, True, True]


def test_a_view_over_something_that_is_gone_is_left_out(tmp_path: Path) -> None:
    script = "CREATE TABLE t (x); CREATE TABLE u (x); CREATE VIEW v AS SELECT x FROM u; DROP TABLE u"
    assert [table.name for table in schema_of(tmp_path / "views.sqlite", script).tables] == ["t"]


@pytest.mark.parametrize(
    "name", ["two words", 'quo"te', "back`tick", "it's", "brack]et", "学生", "select", "1-2", "%_"]
)
def test_any_name_can_be_a_table_and_a_column(tmp_path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    path = make(tmp_path / "names.sqlite", f"CREATE TABLE {quoted} ({quoted} TEXT); INSERT INTO {quoted} VALUES ('x')")
    with Database.open(path) as database:
        (table,) = database.schema.tables
        assert (table.name, table.columns[0].name) == (name, name)
        assert database.run(f"SELECT {quoted} FROM {quoted}").rows == (("x",),)


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        *(
            (name, "number")
            for name in ("INT", "bigint unsigned", "REAL", "double precision", "DECIMAL(10,2)", "NUMBER")
        ),
        *((name, "text") for name in ("TEXT", "varchar(20)", "NCHAR(5)", "CLOB", "string")),
        *((name, "date") for name in ("DATE", "datetime", "TIMESTAMP", "time")),
        *((name, "boolean") for name in ("BOOL", "boolean")),
        *((name, "binary") for name in ("BLOB", "varbinary(9)")),
        *((name, "other") for name in ("", "geometry", "uuid")),
    ],
)
def test_the_kind_of_a_column_follows_from_its_declared_type(declared: str, kind: str) -> None:
    assert kind_of(declared) == kind


@pytest.mark.slow
@pytest.mark.skipif(not SPIDER.is_dir(), reason="the shared data is not here")
def test_every_spider_database_opens_and_names_its_tables() -> None:
    paths = sorted(SPIDER.glob("*/*.sqlite"))
    assert len(paths) > 100
    for path in paths:
        with closing(sqlite3.connect(path)) as connection:
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        with Database.open(path) as database:
            assert {table.name for table in database.schema.tables} == names - {"sqlite_sequence"}


# Rows and cells


def test_rows_come_with_their_columns(database: Database) -> None:
    result = database.run("SELECT name AS n, age FROM students ORDER BY id LIMIT 2")
    assert result.columns == ("n", "age")
    assert result.rows == (("Student 1", 11), ("Student 2", 12))
    assert not result.truncated
    assert 0 <= result.seconds < 10


def test_cells_are_what_sqlite_holds(database: Database) -> None:
    sql = "SELECT NULL, 1, -9223372036854775808, 1.5, 9e999, 'a''b', '中文', x'00ff', '', x''"
    expected = (None, 1, -(2**63), 1.5, float("inf"), "a'b", "中文", b"\x00\xff", "", b"")
    assert database.run(sql).rows == (expected,)


def test_bytes_that_are_no_text_are_replaced_and_nothing_crashes(tmp_path: Path) -> None:
    path = make(tmp_path / "bad.sqlite", "CREATE TABLE t (x); INSERT INTO t VALUES (CAST(x'61ff62' AS TEXT))")
    assert rows(path) == (("a\ufffdb",),)


def test_a_column_without_rows_and_columns_of_one_name(database: Database) -> None:
    result = database.run("SELECT id, id FROM students WHERE id < 0")
    assert (result.columns, result.rows, result.truncated) == (("id", "id"), (), False)


def test_the_row_cap_cuts_and_says_so(school: Path) -> None:
    with Database.open(school, limits=Limits(rows=3)) as database:
        assert len(database.run("SELECT * FROM students").rows) == 3
        assert database.run("SELECT * FROM students").truncated
        assert not database.run("SELECT * FROM students LIMIT 3").truncated
        assert database.run("SELECT n FROM endless").truncated
        assert len(database.run("SELECT * FROM students", rows=2).rows) == 2
        assert database.run("SELECT * FROM students", rows=2).truncated
        assert len(database.run("SELECT * FROM students", rows=100).rows) == 3


def test_the_byte_cap_cuts_at_whole_rows(school: Path) -> None:
    with Database.open(school, limits=Limits(bytes=100_000)) as database:
        result = database.run("SELECT printf('%.*c', 30000, 'x') FROM students")
        assert result.truncated
        assert len(result.rows) == 3
        result = database.run("SELECT zeroblob(200000)")
        assert (result.rows, result.truncated) == ((), True)


@pytest.mark.slow
def test_a_table_of_a_million_rows_is_scanned_and_capped(tmp_path: Path) -> None:
    script = """
    CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);
    WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 1000000)
    INSERT INTO t SELECT n, 'name ' || n FROM c;
    """
    with Database.open(make(tmp_path / "million.sqlite", script)) as database:
        assert database.run("SELECT count(*), max(name) FROM t WHERE name LIKE '%9%'").rows == (
            (468559, "name 999999"),
        )
        everything = database.run("SELECT * FROM t")
        assert (len(everything.rows), everything.truncated) == (Limits().rows, True)
        assert database.run("SELECT name FROM t ORDER BY name DESC LIMIT 1").rows == (("name 999999",),)
        grouped = database.run("SELECT length(name), count(*) FROM t GROUP BY 1 ORDER BY 1")
        assert grouped.rows[0] == (6, 9)


# Names in double quotes


def test_a_double_quoted_name_that_is_no_column_is_an_error(database: Database) -> None:
    with pytest.raises(QueryError, match="did you mean 'grade'") as caught:
        database.run('SELECT "grad" FROM students')
    assert caught.value.kind == "unknown column"
    with pytest.raises(QueryError, match="single quotes: 'Tony'"):
        database.run('SELECT id FROM students WHERE name = "Tony"')
    assert database.run('SELECT "name" FROM "students" WHERE "id" = 1').rows == (("Student 1",),)


def test_sqlites_own_reading_is_there_for_who_asks(school: Path) -> None:
    with Database.open(school, double_quoted_strings=True) as database:
        assert database.run('SELECT id FROM students WHERE name = "Student 3"').rows == ((3,),)


# Errors


@pytest.mark.parametrize(
    ("sql", "kind", "says"),
    [
        ("SELECT nme FROM students", "unknown column", "no such column: nme; did you mean 'name'?"),
        ("SELECT s.agee FROM students AS s", "unknown column", "did you mean 'age'?"),
        ("SELECT name FROM studnts", "unknown table", "no such table: studnts; did you mean 'students'?"),
        ("SELECT name FROM zzz", "unknown table", "no such table: zzz"),
        ("SELECT name, FROM students", "syntax", "near"),
        ("SELECT missing(1)", "database", "no such function"),
        ("SELECT name FROM students AS a, students AS b", "database", "ambiguous"),
        ("SELECT load_extension('x')", "refused", "load_extension"),
        ("SELECT * FROM pragma_user_version", "refused", "only reading"),
        ("DELETE FROM students", "refused", "DELETE"),
        ("SELECT zeroblob(1000000000)", "memory", "longer"),
        ("SELECT * FROM students ORDER BY (SELECT group_concat(n) FROM endless)", "time", "0.2 s"),
    ],
)
def test_an_error_says_of_which_kind_it_is_and_what_was_meant(school: Path, sql: str, kind: str, says: str) -> None:
    with Database.open(school, limits=Limits(seconds=0.2)) as database:
        with pytest.raises(QueryError) as caught:
            database.run(sql)
        assert caught.value.kind == kind
        assert says in str(caught.value)


def test_preparing_checks_names_and_runs_nothing(database: Database) -> None:
    database.prepare("SELECT count(*) FROM endless")  # would never end
    database.prepare('WITH a AS (SELECT "name" FROM students) SELECT * FROM a;')
    for sql, kind in {
        "SELECT nme FROM students": "unknown column",
        'SELECT "grad" FROM students': "unknown column",
        "SELECT * FROM missing": "unknown table",
        "DELETE FROM students": "refused",
        "SELECT FROM": "syntax",
    }.items():
        with pytest.raises(QueryError) as caught:
            database.prepare(sql)
        assert caught.value.kind == kind


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT text, bm25(notes), highlight(notes, 0, '<', '>') FROM notes WHERE notes MATCH 'fish' ORDER BY rank",
        "SELECT value, atom FROM json_each('[1, 2]')",
        "SELECT json_extract('{\"a\": 1}', '$.a'), '[1]' ->> 0",
        "SELECT name FROM pragma_table_info('students')",
        "SELECT strftime('%Y', 'now'), date('2020-01-01', '+1 day'), current_timestamp",
        "SELECT name, row_number() OVER (ORDER BY age), sum(age) OVER (PARTITION BY grade) FROM students",
        "SELECT group_concat(name), total(age), round(avg(age), 2), printf('%05d', 7), iif(1, 2, 3) FROM students",
        "SELECT sqrt(2), floor(1.5), pow(2, 3), mod(7, 2), sign(-1)",
        "SELECT name FROM students WHERE name LIKE '%1' AND name GLOB 'S*' AND instr(name, 't')",
        "SELECT type, name, sql FROM sqlite_master",
        "SELECT * FROM grown_ups",
        "SELECT s.name, g.points FROM students s JOIN grades g ON g.student = s.id WHERE g.points > 6",
    ],
)
def test_what_people_ask_is_not_refused(database: Database, sql: str) -> None:
    assert database.run(sql).rows


# Files that are not as they should be


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no such file"):
        Database.open(tmp_path / "missing.sqlite")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"just some text, nothing else", "not an SQLite database, or an encrypted one"),
        (bytes(range(256)) * 32, "not an SQLite database, or an encrypted one"),
        (b"SQLite format 3\x00", "not an SQLite database|damaged"),
        (b"SQLite format 3\x00" + b"\xff" * 5000, "not an SQLite database|damaged"),
    ],
)
def test_a_file_that_is_no_database_is_named_as_such(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "some.sqlite"
    path.write_bytes(content)
    with pytest.raises(DatabaseError, match=says) as caught:
        Database.open(path)
    assert "some.sqlite" in str(caught.value)
    assert path.read_bytes() == content


def test_a_folder_is_no_sqlite_database(tmp_path: Path) -> None:
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(DatabaseError, match="folder"):
        Database.open(tmp_path / "folder.sqlite")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.sqlite")
    with pytest.raises(DatabaseError):
        Database.open(tmp_path / "pipe.sqlite")


def test_damage_anywhere_is_an_error_or_an_answer_and_never_a_crash(tmp_path: Path, school: Path) -> None:
    whole = school.read_bytes()
    noise = bytes((byte * 7 + 13) % 256 for byte in range(4096))
    for place in range(4096, len(whole), 4096):
        damaged = tmp_path / "damaged.sqlite"
        damaged.write_bytes(whole[:place] + noise + whole[place + 4096 :])
        with suppress(DatabaseError), Database.open(damaged, limits=Limits(seconds=1)) as database:
            for table in database.schema.tables:
                with suppress(QueryError):
                    database.run(f'SELECT * FROM "{table.name}"')


def test_a_file_that_was_cut_off_is_named_as_damaged(tmp_path: Path, school: Path) -> None:
    path = tmp_path / "cut.sqlite"
    path.write_bytes(school.read_bytes()[:5000])
    with pytest.raises(DatabaseError, match="damaged"):
        rows(path, "SELECT * FROM students")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_the_right_to_read_it_is_named(tmp_path: Path) -> None:
    path = make(tmp_path / "secret.sqlite")
    path.chmod(0)
    with pytest.raises(DatabaseError, match="permission"):
        Database.open(path)


@pytest.mark.parametrize(
    "name", ["with space", "ques?tion", "ha#sh", "per%20cent", "中文", "quo'te", "am&per=mode=rwc"]
)
def test_a_path_may_hold_any_character(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert rows(make(tmp_path / name / f"{name}.sqlite")) == ((1,),)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text here")
def test_a_path_may_hold_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = make(tmp_path / "plain.sqlite")
    assert rows(path.rename(tmp_path / os.fsdecode(b"b\xff\xe9d.sqlite"))) == ((1,),)


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement)
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_program(path: Path, *statements: str) -> Iterator[subprocess.Popen[str]]:
    """Run statements in another process, which then keeps its connection open."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path, *statements], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_locked_database_is_waited_for_a_second_and_then_named(tmp_path: Path) -> None:
    path = make(tmp_path / "locked.sqlite")
    with another_program(path, "BEGIN EXCLUSIVE"), pytest.raises(DatabaseError, match="locked"):
        rows(path)
    assert rows(path) == ((1,),)
    with Database.open(path) as database:
        with another_program(path, "BEGIN EXCLUSIVE"), pytest.raises(QueryError, match="locked"):
            database.run("SELECT * FROM t")
        assert database.run("SELECT * FROM t").rows == ((1,),)


def test_an_unfinished_transaction_of_a_program_that_died_is_named(tmp_path: Path) -> None:
    path = make(tmp_path / "hot.sqlite")
    filling = "INSERT INTO t SELECT randomblob(3000) FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9))"
    with another_program(path, "PRAGMA cache_size = 1", "BEGIN", filling, filling):
        pass
    assert (tmp_path / "hot.sqlite-journal").stat().st_size
    with pytest.raises(DatabaseError, match="unfinished transaction"):
        rows(path)


# Write-ahead logs


WAL = ("PRAGMA journal_mode = WAL", "PRAGMA wal_autocheckpoint = 0", "INSERT INTO t VALUES (2)")


def names(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_log_that_another_program_writes_is_read_with_the_database(tmp_path: Path) -> None:
    path = make(tmp_path / "wal.sqlite")
    with another_program(path, *WAL):
        assert rows(path) == ((1,), (2,))


@pytest.mark.parametrize("parts", [["", "-wal", "-shm"], ["", "-wal"]])
def test_a_log_that_was_left_behind_is_read_and_nothing_is_touched(tmp_path: Path, parts: list[str]) -> None:
    path = make(tmp_path / "wal.sqlite")
    (tmp_path / "copy").mkdir()
    with another_program(path, *WAL):
        for part in parts:
            shutil.copy(f"{path}{part}", tmp_path / "copy" / f"wal.sqlite{part}")
    before = names(tmp_path / "copy")
    assert rows(tmp_path / "copy" / "wal.sqlite") == ((1,), (2,))
    assert names(tmp_path / "copy") == before


def test_reading_a_database_with_an_empty_log_leaves_no_file_and_sees_later_writes(tmp_path: Path) -> None:
    path = make(tmp_path / "wal.sqlite", "PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    before = names(tmp_path)
    with Database.open(path) as database:
        assert database.run("SELECT x FROM t").rows == ((1,),)
        assert names(tmp_path) == before
        with another_program(path, "INSERT INTO t VALUES (2)"):
            assert database.run("SELECT x FROM t").rows == ((1,), (2,))
        make(path, "INSERT INTO t VALUES (3)")  # the last one to close puts the log into the database
        assert database.run("SELECT x FROM t").rows == ((1,), (2,), (3,))


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Path]:
    """A database whose newest rows are in its write-ahead log, held open by the program that writes it."""
    (tmp_path / "kept").mkdir()
    path = make(tmp_path / "kept" / "data.sqlite")
    with another_program(path, *WAL):
        yield path


@pytest.mark.parametrize("chain", [1, 3])
def test_a_symbolic_link_gives_what_its_file_gives(logged: Path, tmp_path: Path, chain: int) -> None:
    link = logged
    for number in range(chain):
        (tmp_path / f"link {number}.sqlite").symlink_to(link)
        link = tmp_path / f"link {number}.sqlite"
    assert rows(link) == rows(logged) == ((1,), (2,))


def test_a_link_that_leads_elsewhere_now_is_followed_anew(logged: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "other.sqlite")
    link = tmp_path / "current.sqlite"
    link.symlink_to(other)
    assert rows(link) == ((1,),)
    before = state_of(link)
    link.unlink()
    link.symlink_to(logged)
    assert rows(link) == ((1,), (2,))
    assert state_of(link) != before


def test_the_log_behind_a_link_belongs_to_the_state(logged: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to(logged)
    before = state_of(link)
    make(logged, "INSERT INTO t VALUES (3)")
    assert state_of(link) != before


def test_a_hard_link_to_a_database_with_a_log_is_refused_not_read_without_it(logged: Path, tmp_path: Path) -> None:
    os.link(logged, logged.with_name("beside.sqlite"))
    with pytest.raises(DatabaseError, match=r"hard link to data\.sqlite, and data\.sqlite-wal holds .*; open .*/data"):
        rows(logged.with_name("beside.sqlite"))
    os.link(logged, tmp_path / "elsewhere.sqlite")
    with pytest.raises(DatabaseError, match="hard link to a file in another folder"):
        rows(tmp_path / "elsewhere.sqlite")
    assert rows(logged) == ((1,), (2,))


def test_hard_links_without_a_log_are_read(tmp_path: Path) -> None:
    plain = make(tmp_path / "plain.sqlite")
    (tmp_path / "backup").mkdir()
    os.link(plain, tmp_path / "backup" / "plain.sqlite")
    assert rows(plain) == rows(tmp_path / "backup" / "plain.sqlite") == ((1,),)
    closed = make(tmp_path / "closed.sqlite")
    make(closed, "PRAGMA journal_mode = WAL")
    os.link(closed, tmp_path / "again.sqlite")
    assert rows(closed) == rows(tmp_path / "again.sqlite") == ((1,),)


def state_of(path: Path) -> str:
    with Database.open(path) as database:
        return state(database)
