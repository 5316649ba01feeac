"""PostgreSQL, a real server: what is read from it, and that nothing can be done to it."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from databases.attack_corpus import Attack, attacks
from databases.servers import PASSWORD, Server, postgres_admin
from databases.withstanding import withstand
from myna.databases import Column, Database, ForeignKey, Limits
from myna.databases.address import Address
from myna.databases.postgres import PostgresDatabase, open_postgres
from myna.errors import DatabaseError, QueryError

SCHOOL = """
CREATE TABLE students (id int PRIMARY KEY, name text, age int);
CREATE TABLE grades (student int REFERENCES students, subject text, points numeric);
CREATE TABLE numbered (id serial, note text);
CREATE SEQUENCE counter;
CREATE VIEW adults AS SELECT * FROM students WHERE age >= 18;
CREATE MATERIALIZED VIEW averages AS SELECT subject, avg(points) AS points FROM grades GROUP BY subject;
INSERT INTO students SELECT n, 'Student ' || n, 10 + n % 20 FROM generate_series(1, 1000) n;
INSERT INTO grades SELECT id, 'mathematics', age / 2.0 FROM students;
SELECT lo_from_bytea(4242, 'a large object');

CREATE FUNCTION bump() RETURNS int LANGUAGE plpgsql AS 'BEGIN UPDATE students SET age = age + 1; RETURN 1; END';
CREATE FUNCTION quiet_bump() RETURNS int STABLE LANGUAGE plpgsql AS
    'BEGIN EXECUTE ''UPDATE students SET age = 0''; RETURN 1; END';
CREATE FUNCTION bump_state(int, int) RETURNS int LANGUAGE plpgsql AS
    'BEGIN DELETE FROM students; RETURN $1 + $2; END';
CREATE AGGREGATE bump_total (int) (SFUNC = bump_state, STYPE = int, INITCOND = '0');
CREATE OPERATOR <!> (LEFTARG = int, RIGHTARG = int, FUNCTION = bump_state);
CREATE PROCEDURE bump_all() LANGUAGE sql AS 'DELETE FROM students';
CREATE PROCEDURE bump_and_commit() LANGUAGE plpgsql AS 'BEGIN COMMIT; DELETE FROM students; COMMIT; END';
CREATE VIEW bumped AS SELECT bump() FROM students;
CREATE VIEW slow AS SELECT pg_sleep(60)::text AS slept;
CREATE VIEW counted AS SELECT txid_current() AS number;
"""
EXTENSIONS = ("dblink", "adminpack", "tablefunc", "xml2", "pgcrypto", "file_fdw", "pg_walinspect", "lo")

STATE = """
SELECT pg_snapshot_xmax(pg_current_snapshot()), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
       (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_replication_origin),
       (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'victim'), pg_conf_load_time()
"""
"""A transaction number given away, a lock kept, a session ended, settings read again: and this is another."""
RUNNING = "SELECT query FROM pg_stat_activity WHERE application_name = 'myna' AND state <> 'idle'"

FINGERPRINT = """
SELECT (SELECT md5(string_agg(s::text, '' ORDER BY s::text)) FROM students s),
       (SELECT md5(string_agg(g::text, '' ORDER BY g::text)) FROM grades g),
       (SELECT md5(string_agg(c::text, '' ORDER BY c.oid)) FROM pg_class c),
       (SELECT md5(string_agg(p::text, '' ORDER BY p.oid)) FROM pg_proc p),
       (SELECT md5(string_agg(a::text, '' ORDER BY a.oid)) FROM pg_authid a),
       (SELECT md5(string_agg(d::text, '' ORDER BY d.oid)) FROM pg_database d),
       (SELECT md5(string_agg(l::text, '' ORDER BY l.loid, l.pageno)) FROM pg_largeobject l),
       (SELECT md5(string_agg(r::text, '' ORDER BY r::text)) FROM pg_db_role_setting r),
       (SELECT md5(string_agg(name || setting, '' ORDER BY name)) FROM pg_file_settings),
       (SELECT last_value || is_called::text FROM counter)
"""
RECORDS = "SELECT DISTINCT record_type FROM pg_get_wal_records_info(%s::pg_lsn, %s::pg_lsn)"


@pytest.fixture(scope="module")
def school(postgres: Server) -> Server:
    """A database that was vacuumed, so that reading it has nothing to tidy up, and a role that owns its tables."""
    with postgres_admin(postgres) as admin:
        admin.execute("CREATE DATABASE school")
        admin.execute(f"CREATE ROLE owner LOGIN PASSWORD '{PASSWORD}'")
    with postgres_admin(postgres, "school") as admin:
        admin.execute("GRANT ALL ON SCHEMA public TO owner")
        admin.execute("SET ROLE owner")
        admin.execute(SCHOOL)
        admin.execute("RESET ROLE")
        for extension in EXTENSIONS:
            admin.execute(f"CREATE EXTENSION {extension}")
        admin.execute("VACUUM (FREEZE, ANALYZE)")
        admin.execute("VACUUM FREEZE")
        admin.execute("CHECKPOINT")
    return postgres


@pytest.fixture
def corpus(school: Server) -> list[Attack]:
    dsn = f"host=127.0.0.1 port={school.port} dbname=school user=admin password={PASSWORD}"
    return [
        dataclasses.replace(attack, sql=attack.sql.replace("{dsn}", dsn))
        for attack in attacks("postgres", school.folder)
    ]


def test_the_postgres_corpus_is_large_and_says_nothing_twice(tmp_path: Path) -> None:
    corpus = attacks("postgres", tmp_path)
    assert len({attack.sql for attack in corpus}) == len(corpus) >= 200


@pytest.mark.parametrize(("user", "parsed"), [("admin", True), ("admin", False), ("owner", False)])
def test_no_attack_gets_through_to_postgres(school: Server, corpus: list[Attack], user: str, parsed: bool) -> None:
    with (
        postgres_admin(school, "school") as admin,
        psycopg.connect(school.url("school"), autocommit=True, application_name="victim") as victim,
    ):
        victim.execute("LISTEN school")
        begin = admin.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        before = admin.execute(FINGERPRINT).fetchone()
        files = files_of(school)
        if not parsed:  # what costs time or memory is the same query behind the parser
            corpus = [attack for attack in corpus if attack.group not in ("time", "memory")]

        def state() -> object:
            return admin.execute(STATE).fetchone(), {path.name for path in school.folder.iterdir()}

        withstand(school.url("school", user), corpus, state, parsed=parsed)

        for _ in range(100):  # what the server can't interrupt at once
            if not admin.execute(RUNNING).fetchall():
                break
            admin.execute("SELECT pg_sleep(0.1)")
        assert not admin.execute(RUNNING).fetchall()
        assert admin.execute(FINGERPRINT).fetchone() == before
        assert files_of(school) == files
        assert not list(victim.notifies(timeout=0))
        end = admin.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        written = {row[0] for row in admin.execute(RECORDS, (begin[0], end[0]))} if begin != end else set()
        # Not a byte was written to the log but what the server writes by itself from time to time.
        assert written <= {"RUNNING_XACTS", "CHECKPOINT_ONLINE"}


def files_of(server: Server) -> set[str]:
    """Return the files of the data folder, and what is in those that hold settings."""
    changing = {"pg_wal", "pg_stat", "pg_stat_tmp", "pgsql_tmp", "pg_subtrans", "pg_xact", "pg_internal.init"}
    names = {
        str(path.relative_to(server.folder))
        for path in server.folder.rglob("*")
        if changing.isdisjoint(path.relative_to(server.folder).parts)
    }
    return names | {path.read_text() for path in server.folder.glob("*.conf")}


FRAGMENTS = [
    *(
        "'",
        "''",
        "E'",
        "e'",
        "\\",
        "\\'",
        "$$",
        "$a$",
        '"',
        'U&"',
        "U&'",
        "B'",
        "/*",
        "*/",
        "--",
        "\n",
        "\r",
        "\t",
        " ",
    ),
    *(
        "txid_current()",
        '"txid_current"()',
        "txid_current ()",
        "a",
        "1",
        ",",
        "(",
        ")",
        ";",
        "::text",
        ".",
        "+",
        "é",
        "'a'",
    ),
    *("UESCAPE '!'", "'\n'", "SELECT", "FROM students", "FROM counted"),
]


@pytest.fixture(scope="module")
def next_number(school: Server) -> Iterator[Callable[[], object]]:
    """Asks the server for the number that the next writing transaction will have."""
    with postgres_admin(school, "school") as admin:
        yield lambda: admin.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())").fetchone()


@pytest.fixture(scope="module")
def opened(school: Server) -> Iterator[PostgresDatabase]:
    """The superuser's connection, without a worker process."""
    with closing(open_postgres(Address.parse(school.url("school")))) as backend:
        yield backend


@settings(max_examples=300, deadline=None)
@given(fragments=st.lists(st.sampled_from(FRAGMENTS), max_size=12))
def test_no_mixture_of_quotes_and_comments_hides_a_call(
    opened: PostgresDatabase, next_number: Callable[[], object], fragments: list[str]
) -> None:
    """PostgreSQL's reading of a text and our own must never disagree on what is called."""
    before = next_number()
    with suppress(QueryError):
        opened.run("SELECT " + "".join(fragments), Limits(seconds=1))
    assert next_number() == before


ODD = """
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE SCHEMA "Other";
CREATE TABLE "学生 表" (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "select" text NOT NULL, "Name" varchar(20), name varchar(20),
    price numeric(10, 2), exact numeric, big bigint, flag boolean, day date, at timestamp, data bytea, tags text[],
    info jsonb, mood mood, place point, span interval, "a ""quoted"" one" int GENERATED ALWAYS AS (7) STORED);
COMMENT ON TABLE "学生 表" IS '一张表';
COMMENT ON COLUMN "学生 表"."select" IS 'a word of SQL';
CREATE TABLE "Other".child (a int, b int, PRIMARY KEY (b, a), FOREIGN KEY (a) REFERENCES "学生 表" (id));
CREATE VIEW glad AS SELECT id FROM "学生 表" WHERE mood = 'glad';
CREATE MATERIALIZED VIEW counts AS SELECT count(*) AS n FROM "学生 表";
INSERT INTO "学生 表" ("select", "Name", name, price, exact, big, flag, day, at, data, tags, info, mood, span) VALUES
    ('a', 'N', 'n', 1.50, 0.12345678901234567890, 9007199254740993, true, 'infinity', '2020-01-02 03:04:05', '\\x00ff',
     '{p,"q r"}', '{"a": [1, null]}', 'sad', '1 mon 2 days'),
    ('b', NULL, NULL, NULL, 'NaN', NULL, NULL, '0044-03-15 BC', NULL, NULL, NULL, NULL, NULL, NULL);
CREATE ROLE reader LOGIN PASSWORD '{password}';
GRANT SELECT ("select") ON "学生 表" TO reader;
"""


@pytest.fixture(scope="module")
def odd(postgres: Server) -> str:
    """The address of a database in which everything has an odd name or type."""
    with postgres_admin(postgres) as admin:
        admin.execute("CREATE DATABASE odd")
    with postgres_admin(postgres, "odd") as admin:
        admin.execute(ODD.replace("{password}", PASSWORD))
    return postgres.url("odd")


def test_a_schema_has_tables_views_keys_types_and_comments(odd: str) -> None:
    with Database.open(odd) as database:
        tables = {table.name: table for table in database.schema.tables}
    assert set(tables) == {"学生 表", "glad", "counts", "Other.child"}
    students = tables["学生 表"]
    assert (students.comment, students.primary_key, students.is_view) == ("一张表", ("id",), False)
    assert students.columns[1] == Column("select", "TEXT", "text", nullable=False, comment="a word of SQL")
    assert {column.name: column.kind for column in students.columns} == {
        **dict.fromkeys(("id", "price", "exact", "big", 'a "quoted" one'), "number"),
        **dict.fromkeys(("select", "Name", "name", "mood"), "text"),
        **{"day": "date", "at": "date", "flag": "boolean", "data": "binary"},
        **dict.fromkeys(("tags", "info", "place", "span"), "other"),
    }
    assert tables["glad"].is_view
    assert tables["counts"].is_view
    child = tables["Other.child"]
    assert child.primary_key == ("b", "a")
    assert child.foreign_keys == (ForeignKey(("a",), "学生 表", ("id",)),)


def test_values_arrive_as_python_numbers_or_as_postgres_writes_them(odd: str) -> None:
    with Database.open(odd) as database:
        rows = database.run('SELECT * FROM "学生 表" ORDER BY id').rows
        assert database.run('SELECT "Name", name FROM "学生 表" WHERE id = 1').rows == (("N", "n"),)
        assert database.run("SELECT a.b FROM (SELECT 1 AS b) AS a; -- done").columns == ("b",)
    assert rows[0][:10] == (1, "a", "N", "n", 1.5, Decimal("0.12345678901234567890"), 2**53 + 1, True, "infinity",
                            "2020-01-02 03:04:05")  # fmt: skip
    assert rows[0][10:] == (b"\x00\xff", '{p,"q r"}', '{"a": [1, null]}', "sad", None, "1 mon 2 days", 7)
    assert str(rows[1][5]) == "nan"
    assert rows[1][8] == "0044-03-15 BC"


@pytest.mark.parametrize(
    ("sql", "kind", "says"),
    [
        ("SELECT FROM WHERE", "syntax", "not valid SQL"),
        ("SELECT nope FROM students", "unknown column", '"nope" does not exist'),
        ("SELECT * FROM nope", "unknown table", '"nope" does not exist'),
        ("SELECT * FROM nowhere.students", "unknown table", "does not exist"),
        ("SELECT 1 / 0", "database", "division by zero"),
        ("SELECT pg_sleep(1)", "refused", "the function pg_sleep may do more than read"),
        ("SELECT * FROM slow", "refused", "the function pg_sleep may do more than read"),
        ("SELECT nothing(1)", "database", "nothing"),
        ("SELECT count(*) FROM students a, students b, students c, students d", "time", "longer than 0.2 s"),
    ],
)
def test_what_is_wrong_with_a_query_is_said_by_kind(school: Server, sql: str, kind: str, says: str) -> None:
    with Database.open(school.url("school"), limits=Limits(seconds=0.2 if kind == "time" else 10)) as database:
        with pytest.raises(QueryError, match=says) as caught:
            database.run(sql)
        assert caught.value.kind == kind
        if kind not in ("database", "time"):
            with pytest.raises(QueryError, match=says):
                database.prepare(sql)


def test_harmless_functions_are_run(school: Server) -> None:
    with Database.open(school.url("school")) as database:
        for call in ("random() < 2", "now() > '2000-01-01'", "upper('a')", "gen_random_uuid() IS NOT NULL", "1 IN (1)"):
            assert database.run(f"SELECT {call} FROM students LIMIT 1").rows[0][0] in (True, "A")
        assert database.run("SELECT count(*) FROM students TABLESAMPLE bernoulli (100)").rows == ((1000,),)
        assert database.run("SELECT 'pg_sleep(1)' /* pg_sleep(1) */ -- pg_sleep(1)").rows == (("pg_sleep(1)",),)


def test_rows_are_cut_at_the_caps(school: Server) -> None:
    with Database.open(school.url("school"), limits=Limits(rows=10, bytes=35_000)) as database:
        cut = database.run("SELECT id FROM students ORDER BY id")
        assert (cut.rows, cut.truncated) == (tuple((number,) for number in range(1, 11)), True)
        assert not database.run("SELECT id FROM students LIMIT 10").truncated
        large = database.run("SELECT repeat('x', 10000) FROM students")
        assert (len(large.rows), large.truncated) == (3, True)
        assert database.run("SELECT 1").rows == ((1,),)


def test_a_connection_that_was_lost_is_made_again(school: Server) -> None:
    with Database.open(school.url("school")) as database, postgres_admin(school) as admin:
        assert database.run("SELECT 1").rows == ((1,),)
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'myna'")
        with suppress(DatabaseError):
            database.run("SELECT 1")
        assert database.run("SELECT 2").rows == ((2,),)


def test_a_role_sees_what_it_may_see(postgres: Server, odd: str) -> None:
    with Database.open(postgres.url("odd", "reader")) as database:
        assert database.run('SELECT "select" FROM "学生 表"').rows == (("a",), ("b",))
        with pytest.raises(QueryError, match="permission denied"):
            database.run('SELECT * FROM "学生 表"')


def test_a_superuser_sees_all_rows_where_there_is_row_security(postgres: Server) -> None:
    with postgres_admin(postgres) as admin:
        admin.execute("CREATE DATABASE secured")
    with postgres_admin(postgres, "secured") as admin:
        admin.execute("CREATE TABLE t AS SELECT 1 AS a; ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    with Database.open(postgres.url("secured")) as database:
        assert database.run("SELECT a FROM t").rows == ((1,),)
        with pytest.raises(QueryError, match="may do more than read"):
            database.run("SELECT pg_read_file('PG_VERSION')")


def test_the_password_may_come_from_where_libpq_looks(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Address.parse(postgres.url("postgres")).shown
    with pytest.raises(DatabaseError, match="no password supplied"):
        Database.open(shown)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with Database.open(shown) as database:
        assert database.name == shown
        assert database.run("SELECT 1").rows == ((1,),)


def test_a_database_that_can_t_be_reached_is_named_without_its_password(postgres: Server) -> None:
    right = postgres.url("postgres")
    closed = right.replace(f":{postgres.port}/", ":1/")
    for wrong in (postgres.url("nope"), postgres.url("postgres", "nobody"), right.replace("geheim", "wrong"), closed):
        with pytest.raises(DatabaseError, match=r"postgresql://\w+@127.0.0.1:\d+/\w+: can't be reached") as caught:
            Database.open(wrong)
        assert "eheim" not in str(caught.value)
