"""MariaDB, a real server: what is read from it, and that nothing can be done to it."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path

import pymysql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from databases.attack_corpus import Attack, attacks
from databases.servers import PASSWORD, Server, mariadb_admin
from databases.withstanding import withstand
from myna.databases import Column, Database, ForeignKey, Limits
from myna.databases.address import Address
from myna.databases.mysql import MySQLDatabase, open_mysql
from myna.errors import DatabaseError, QueryError

SCHOOL = """
CREATE TABLE students (id int PRIMARY KEY, name varchar(100), age int, KEY by_name (name))
CREATE TABLE grades (student int REFERENCES students (id), subject varchar(20), points decimal(6, 2))
CREATE TABLE logged (note varchar(100)) ENGINE = MyISAM
CREATE SEQUENCE counter
CREATE VIEW adults AS SELECT * FROM students WHERE age >= 18
CREATE VIEW slow AS SELECT sleep(60) AS slept
INSERT INTO students SELECT seq, concat('Student ', seq), 10 + seq % 20 FROM seq_1_to_1000
INSERT INTO grades SELECT id, 'mathematics', age / 2 FROM students
INSERT INTO logged VALUES ('one')
CREATE FUNCTION bump() RETURNS int BEGIN UPDATE students SET age = age + 1; RETURN 1; END
CREATE FUNCTION quiet_bump() RETURNS int READS SQL DATA BEGIN INSERT INTO logged VALUES ('x'); RETURN 1; END
CREATE PROCEDURE bump_all() DELETE FROM students
CREATE VIEW bumped AS SELECT bump() FROM students
CREATE VIEW logging AS SELECT quiet_bump() FROM students
CREATE VIEW locking AS SELECT get_lock('pwned', 0) AS n FROM students
CREATE VIEW nested_locking AS SELECT * FROM locking
CREATE ALGORITHM = TEMPTABLE VIEW stored_locking AS SELECT count(get_lock('pwned', 0)) AS n FROM students
CREATE VIEW `odd view` AS SELECT 1 AS n WHERE release_all_locks() OR get_lock('pwned', 0)
CREATE VIEW reading AS SELECT load_file('/etc/passwd') AS content
CREATE VIEW next_number AS SELECT nextval(counter) AS n
CREATE VIEW last_number AS SELECT setval(counter, 100) AS n
CREATE VIEW burning AS SELECT benchmark(1000000000, md5('x')) AS n
CREATE VIEW crypting AS SELECT encrypt('x', '$6$rounds=999999999$salt') AS n
CREATE VIEW row_locking AS SELECT * FROM students FOR UPDATE
CREATE VIEW elsewhere.locking_there AS SELECT get_lock('pwned', 0) AS n
CREATE VIEW from_elsewhere AS SELECT * FROM elsewhere.locking_there
CREATE FUNCTION writes_file() RETURNS int NO SQL BEGIN SELECT 1 INTO OUTFILE 'pwned'; RETURN 1; END
CREATE FUNCTION dumps_file() RETURNS int READS SQL DATA BEGIN SELECT 1 INTO DUMPFILE 'pwned'; RETURN 1; END
CREATE FUNCTION sets_global() RETURNS int NO SQL BEGIN SET GLOBAL general_log = 1; RETURN 1; END
CREATE FUNCTION sets_global_too() RETURNS int NO SQL BEGIN DECLARE a int; SET a = 1, @@GLOBAL.general_log = 1; RETURN 1; END
CREATE FUNCTION takes_lock() RETURNS int DETERMINISTIC RETURN get_lock('pwned', 0)
CREATE FUNCTION calls() RETURNS int READS SQL DATA BEGIN CALL bump_all(); RETURN 1; END
CREATE FUNCTION kills() RETURNS int NO SQL BEGIN KILL 1; RETURN 1; END
CREATE FUNCTION handles() RETURNS int NO SQL BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION SET GLOBAL general_log = 1; SIGNAL SQLSTATE '45000'; RETURN 1; END
CREATE FUNCTION has_no_end() RETURNS int NO SQL BEGIN SET max_statement_time = 0; RETURN sleep(60); END
CREATE FUNCTION lifts_limit() RETURNS int NO SQL BEGIN DECLARE a int; SET a = 1, max_statement_time = 0; RETURN a; END
CREATE FUNCTION indirect() RETURNS int NO SQL RETURN takes_lock() + 1
CREATE FUNCTION over_view() RETURNS int READS SQL DATA RETURN (SELECT count(*) FROM locking)
CREATE FUNCTION shuts_down() RETURNS int NO SQL BEGIN IF 1 THEN SHUTDOWN; END IF; RETURN 1; END
CREATE VIEW over_function AS SELECT indirect() AS n
CREATE VIEW over_writer AS SELECT writes_file() AS n
SET sql_mode = 'ORACLE'
CREATE PACKAGE pack AS FUNCTION act RETURN int; END
CREATE PACKAGE BODY pack AS FUNCTION act RETURN int AS BEGIN SET GLOBAL general_log = 1; RETURN 1; END; END
SET sql_mode = DEFAULT
CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC RETURN 2 * n
CREATE FUNCTION older_than(least int) RETURNS int READS SQL DATA BEGIN DECLARE n, i int DEFAULT 0; SELECT count(*) INTO n FROM adults WHERE age > least; WHILE i < 3 DO SET i = twice(i) + 1; END WHILE; RETURN CASE WHEN i > 0 THEN n ELSE 0 END; END
CREATE VIEW doubled AS SELECT id, twice(age) AS age FROM adults
CREATE VIEW ended AS SELECT subject FROM grades WHERE subject LIKE 'it''s sleep \\' %'
CREATE TABLE documents (id int PRIMARY KEY, content longtext)
INSERT INTO documents VALUES (1, repeat('a', 100000))
""".strip().splitlines()  # noqa: E501

TABLES = "students, grades, logged, mysql.global_priv, mysql.db, mysql.proc, mysql.event, mysql.func, mysql.servers"
STATE = """
SELECT (SELECT count(*) FROM information_schema.tables), (SELECT count(*) FROM information_schema.schemata),
       (SELECT group_concat(id) FROM information_schema.processlist WHERE user = 'victim'),
       @@global.general_log, @@global.read_only, is_free_lock('pwned'), (SELECT next_not_cached_value FROM counter)
"""
RUNNING = """
SELECT info FROM information_schema.processlist
WHERE command = 'Query' AND id <> connection_id() UNION SELECT table_name FROM information_schema.metadata_lock_info
"""
"""A table, a session, a lock, a number of a sequence: each would show here."""


@pytest.fixture(scope="module")
def school(mariadb: Server) -> Server:
    """A database, and a user who owns it and may read and write files."""
    with mariadb_admin(mariadb) as admin, admin.cursor() as cursor:
        cursor.execute("INSTALL SONAME 'metadata_lock_info'")
        cursor.execute("CREATE DATABASE school")
        cursor.execute("CREATE DATABASE elsewhere")
        cursor.execute("USE school")
        for statement in SCHOOL:
            cursor.execute(statement)
        for user in ("owner", "victim", "reader", "guest"):
            cursor.execute(f"CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
        cursor.execute("GRANT ALL ON school.* TO 'owner'@'127.0.0.1'")
        cursor.execute("GRANT FILE ON *.* TO 'owner'@'127.0.0.1'")
        cursor.execute("GRANT SELECT, SHOW VIEW ON school.* TO 'reader'@'127.0.0.1'")
        for table in ("students", "adults", "over_function"):
            cursor.execute(f"GRANT SELECT ON school.{table} TO 'guest'@'127.0.0.1'")
        cursor.execute("GRANT SHOW VIEW ON school.over_function TO 'guest'@'127.0.0.1'")
    return mariadb


@pytest.fixture
def corpus(school: Server) -> list[Attack]:
    return attacks("mysql", school.folder)


def test_the_mysql_corpus_is_large_and_says_nothing_twice(corpus: list[Attack]) -> None:
    assert len({attack.sql for attack in corpus}) == len(corpus) >= 200


@pytest.mark.parametrize(("user", "parsed"), [("root", True), ("root", False), ("owner", False)])
def test_no_attack_gets_through_to_mariadb(school: Server, corpus: list[Attack], user: str, parsed: bool) -> None:
    victim = pymysql.connect(host="127.0.0.1", port=school.port, user="victim", password=PASSWORD)
    with mariadb_admin(school, "school") as admin, victim, admin.cursor() as cursor:

        def ask(question: str) -> object:
            cursor.execute(question)
            return cursor.fetchall()

        def state() -> object:
            return ask(STATE), {path.name for path in school.folder.iterdir() if not path.name.startswith("#sql")}

        def quiet() -> bool:
            if not ask(RUNNING):
                return True
            ask("SELECT sleep(0.1)")
            return False

        def fingerprint() -> object:
            settings = ask("SELECT variable_name, variable_value FROM information_schema.global_variables ORDER BY 1")
            return ask(f"CHECKSUM TABLE {TABLES} EXTENDED"), settings, files_of(school)

        before = fingerprint()
        if not parsed:  # what costs memory is the same query behind the parser
            corpus = [attack for attack in corpus if attack.group != "memory"]
        withstand(school.url("school", user), corpus, state, parsed=parsed, quiet=quiet)

        assert any(quiet() for _ in range(50))
        assert fingerprint() == before


def files_of(server: Server) -> set[str]:
    """Return the files of the data folder."""
    return {str(path.relative_to(server.folder)) for path in Path(server.folder).rglob("*") if path.suffix != ".MAI"}


FRAGMENTS = [
    *(
        "'",
        "''",
        "\\",
        "\\'",
        '"',
        '\\"',
        "`",
        "N'",
        "_utf8'",
        "_gbk'縗",
        "x'27'",
        "/*",
        "*/",
        "/*!",
        "--",
        "-- ",
        "#",
        "\n",
    ),
    *(
        "get_lock('soup', 0)",
        "`get_lock`('soup', 0)",
        "GET_LOCK ('soup', 0)",
        "gét_lock('soup', 0)",
        "a",
        "1",
        ",",
        "(",
    ),
    *(")", ";", ".", "+", "é", " ", "\t", "\x7f", "'a'", "SELECT", "FROM students", "@a", ":="),
]


@pytest.fixture(scope="module")
def lock_is_free(school: Server) -> Iterator[Callable[[], bool]]:
    """Asks the server, from another session, whether nobody took the lock `soup`."""
    with mariadb_admin(school, "school") as admin, admin.cursor() as cursor:

        def ask() -> bool:
            cursor.execute("SELECT is_free_lock('soup')")
            return cursor.fetchone() == (1,)

        yield ask


@pytest.fixture(scope="module")
def opened(school: Server) -> Iterator[MySQLDatabase]:
    """The superuser's connection, without a worker process."""
    with closing(open_mysql(Address.parse(school.url("school")))) as backend:
        yield backend


@settings(max_examples=300, deadline=None)
@given(fragments=st.lists(st.sampled_from(FRAGMENTS), max_size=12))
def test_no_mixture_of_quotes_and_comments_hides_a_call(
    opened: MySQLDatabase, lock_is_free: Callable[[], bool], fragments: list[str]
) -> None:
    """MariaDB's reading of a text and our own must never disagree on what is called."""
    with suppress(QueryError):
        opened.run("SELECT " + "".join(fragments), Limits(seconds=1))
    assert lock_is_free()


ODD = """
CREATE TABLE `学生 表` (id int AUTO_INCREMENT PRIMARY KEY, `select` varchar(20) NOT NULL COMMENT 'a word of SQL', `a "b` int AS (7), price decimal(10, 2), exact decimal(30, 20), big bigint unsigned, flag boolean, day date, at datetime, span time, data blob, bits bit(3), mood enum('glad', 'sad'), several set('p', 'q'), info json, place point, born year) COMMENT '一张表'
CREATE TABLE child (a int, b int, PRIMARY KEY (b, a), FOREIGN KEY (a) REFERENCES `学生 表` (id))
CREATE VIEW glad AS SELECT id FROM `学生 表` WHERE mood = 'glad'
INSERT INTO `学生 表` (`select`, price, exact, big, flag, day, at, span, data, bits, mood, several, info, born) VALUES ('a', 1.50, 0.12345678901234567890, 18446744073709551615, true, '0000-00-00', '2020-01-02 03:04:05', '-838:59:59', x'00ff', b'101', 'sad', 'p,q', '{"a": 1}', 2020)
""".strip().splitlines()  # noqa: E501


@pytest.fixture(scope="module")
def odd(mariadb: Server) -> str:
    """The address of a database in which everything has an odd name or type."""
    with mariadb_admin(mariadb) as admin, admin.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute("CREATE DATABASE `odd 库`")
        cursor.execute("USE `odd 库`")
        for statement in ODD:
            cursor.execute(statement)
    return mariadb.url("odd%20%E5%BA%93")


def test_a_schema_has_tables_views_keys_types_and_comments(odd: str) -> None:
    with Database.open(odd) as database:
        tables = {table.name: table for table in database.schema.tables}
    assert set(tables) == {"学生 表", "child", "glad"}
    students = tables["学生 表"]
    assert (students.comment, students.primary_key, students.is_view) == ("一张表", ("id",), False)
    assert students.columns[1] == Column("select", "VARCHAR(20)", "text", nullable=False, comment="a word of SQL")
    assert {column.name: column.kind for column in students.columns} == {
        **dict.fromkeys(("id", 'a "b', "price", "exact", "big", "born"), "number"),
        **dict.fromkeys(("select", "mood", "several", "info"), "text"),  # JSON is text to MariaDB
        **{"day": "date", "at": "date", "span": "date", "flag": "boolean", "data": "binary", "bits": "binary"},
        "place": "other",
    }
    assert tables["glad"].is_view
    assert tables["child"].primary_key == ("b", "a")
    assert tables["child"].foreign_keys == (ForeignKey(("a",), "学生 表", ("id",)),)


def test_values_arrive_as_python_numbers_or_as_mariadb_writes_them(odd: str) -> None:
    with Database.open(odd) as database:
        (row,) = database.run("SELECT * FROM `学生 表`").rows
        assert database.run("SELECT 1 AS `a b`; -- done").columns == ("a b",)
    assert row[:6] == (1, "a", 7, 1.5, Decimal("0.12345678901234567890"), 2**64 - 1)
    assert row[6:11] == (1, "0000-00-00", "2020-01-02 03:04:05", "-838:59:59", b"\x00\xff")
    assert row[11:] == (b"\x05", "sad", "p,q", '{"a": 1}', None, 2020)


@pytest.mark.parametrize(
    ("sql", "kind", "says"),
    [
        ("SELECT FROM WHERE", "syntax", "not valid SQL"),
        ("SELECT nope FROM students", "unknown column", "nope"),
        ("SELECT * FROM nope", "unknown table", "nope"),
        ("SELECT sleep(1)", "refused", "the function sleep may do more than read"),
        ("SELECT bump()", "refused", "the function bump may do more than read"),
        ("SELECT nothing(1)", "database", "nothing"),
        ("SELECT count(*) FROM students a, students b, students c, students d", "time", "longer than 0.2 s"),
    ],
)
def test_what_is_wrong_with_a_query_is_said_by_kind(school: Server, sql: str, kind: str, says: str) -> None:
    with Database.open(school.url("school"), limits=Limits(seconds=0.2 if kind == "time" else 10)) as database:
        with pytest.raises(QueryError, match=says) as caught:
            database.run(sql)
        assert caught.value.kind == kind


def test_harmless_functions_are_run(school: Server) -> None:
    with Database.open(school.url("school")) as database:
        for call in ("rand() < 2", "now() > '2000-01-01'", "upper('a') = 'A'", "uuid() IS NOT NULL", "1 IN (1)"):
            assert database.run(f"SELECT {call} FROM students LIMIT 1").rows == ((1,),)
        assert database.run("SELECT 'sleep(1)' /* sleep(1) */ # sleep(1)").rows == (("sleep(1)",),)


def test_rows_are_cut_at_the_caps(school: Server) -> None:
    with Database.open(school.url("school"), limits=Limits(rows=10, bytes=100_000)) as database:
        for limit in ("", " LIMIT 500"):
            cut = database.run(f"SELECT id FROM students ORDER BY id{limit}")
            assert (cut.rows, cut.truncated) == (tuple((number,) for number in range(1, 11)), True)
        assert not database.run("SELECT id FROM students LIMIT 10").truncated
        large = database.run("SELECT repeat('x', 20000) FROM students")
        assert (len(large.rows), large.truncated) == (4, True)
        assert database.run("SELECT 1").rows == ((1,),)


def test_a_connection_that_was_lost_is_made_again(school: Server) -> None:
    with Database.open(school.url("school")) as database, mariadb_admin(school) as admin, admin.cursor() as cursor:
        (row,) = database.run("SELECT CAST(connection_id() AS int)").rows
        cursor.execute(f"KILL {row[0]}")
        with suppress(DatabaseError):
            database.run("SELECT 1")
        assert database.run("SELECT 2").rows == ((2,),)


def test_the_password_may_come_from_the_environment(school: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Address.parse(school.url("school")).shown
    with pytest.raises(DatabaseError, match="Access denied"):
        Database.open(shown)
    monkeypatch.setenv("MYSQL_PWD", PASSWORD)
    with Database.open(shown) as database:
        assert database.name == shown


def test_a_database_that_can_t_be_reached_is_named_without_its_password(mariadb: Server) -> None:
    right = mariadb.url("mysql")
    closed = right.replace(f":{mariadb.port}/", ":1/")
    for wrong in (mariadb.url("nope"), mariadb.url("mysql", "nobody"), right.replace("geheim", "wrong"), closed):
        with pytest.raises(DatabaseError, match=r"mysql://\w+@127.0.0.1:\d+/\w+: can't be reached") as caught:
            Database.open(wrong)
        assert "eheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT * FROM slow", r"the function sleep may do more than read.* \(the view school.slow uses it\)"),
        ("SELECT * FROM nested_locking", r"get_lock .* \(the view school.locking uses it\)"),
        ("SELECT * FROM from_elsewhere", r"get_lock .* \(the view elsewhere.locking_there uses it\)"),
        ("SELECT * FROM over_function", r"get_lock .* \(the function takes_lock uses it\)"),
        ("SELECT * FROM row_locking", "the view school.row_locking does more than read"),
        ("SELECT writes_file()", r"the function writes_file may do more than read \(OUTFILE\)"),
        ("SELECT sets_global()", "the function sets_global sets something other than its own variables"),
        ("SELECT lifts_limit()", "the function lifts_limit sets the server's variable max_statement_time"),
        ("SELECT quiet_bump()", r"the function quiet_bump may do more than read \(INSERT\)"),
        ("SELECT encrypt('x', 'y')", "the function encrypt may run for hours"),
    ],
)
def test_what_a_view_or_stored_function_does_is_found_and_named(school: Server, sql: str, says: str) -> None:
    with Database.open(school.url("school")) as database, pytest.raises(QueryError, match=says) as caught:
        database.run(sql)
    assert caught.value.kind == "refused"


def test_views_and_stored_functions_that_only_read_are_run(school: Server) -> None:
    with Database.open(school.url("school")) as database:
        assert database.run("SELECT twice(21), older_than(28)").rows == ((42, 50),)
        assert database.run("SELECT age FROM doubled ORDER BY id LIMIT 1").rows == ((36,),)
        assert database.run("SELECT * FROM ended").rows == ()


def test_the_check_of_views_sees_all_of_them_whatever_the_row_limit(school: Server) -> None:
    with Database.open(school.url("school"), limits=Limits(rows=1)) as database:
        assert database.run("SELECT id FROM students").truncated
        with pytest.raises(QueryError, match="get_lock"):
            database.run("SELECT 1 FROM adults, doubled, ended, nested_locking, locking")


def test_what_a_user_can_t_look_into_is_refused_with_the_grant_that_helps(school: Server) -> None:
    with Database.open(school.url("school", "guest")) as database:
        with pytest.raises(QueryError, match=r"GRANT SHOW VIEW ON `school`\.`adults`"):
            database.run("SELECT count(*) FROM adults")
        with pytest.raises(QueryError, match="the function indirect can't be checked, because this user may not see"):
            database.run("SELECT * FROM over_function")
    with Database.open(school.url("school", "reader")) as database:
        assert database.run("SELECT count(*) FROM adults").rows == ((600,),)
    hidden = r"its text is hidden: this user needs GRANT SELECT ON mysql\.proc"
    with Database.open(school.url("school", "owner")) as database, pytest.raises(QueryError, match=hidden):
        database.run("SELECT twice(2)")


BROKEN = """
CREATE TABLE good (a int, b varchar(20))
CREATE TABLE changing (a int, b int)
CREATE TABLE versioned (a int) WITH SYSTEM VERSIONING
CREATE SEQUENCE counted
CREATE VIEW well AS SELECT a FROM good
CREATE VIEW counting AS SELECT nextval(counted) AS n
CREATE VIEW without_column AS SELECT b FROM changing
CREATE DEFINER = nobody@nowhere VIEW without_definer AS SELECT a FROM good
CREATE VIEW without_table AS SELECT a FROM gone
ALTER TABLE changing DROP COLUMN b
DROP TABLE gone
""".strip().splitlines()


@pytest.fixture(scope="module")
def broken(mariadb: Server) -> Server:
    """A database with views of which no query can be run, and users who may see little."""
    with mariadb_admin(mariadb) as admin, admin.cursor() as cursor:
        cursor.execute("CREATE DATABASE broken")
        cursor.execute("USE broken")
        cursor.execute("CREATE TABLE gone (a int)")
        for statement in BROKEN:
            cursor.execute(statement)
        cursor.execute(f"CREATE USER 'selecting'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
        cursor.execute("GRANT SELECT ON broken.* TO 'selecting'@'127.0.0.1'")
    return mariadb


def test_a_user_who_may_do_more_than_read_is_told_to_connect_as_another(school: Server) -> None:
    for user, told in (("root", True), ("owner", True), ("reader", False)):
        with Database.open(school.url("school", user)) as database:
            warnings = database.schema.warnings
        assert [text.startswith("this user may read files") for text in warnings] == [True] * told


def test_views_that_can_t_be_queried_are_left_out_of_the_schema_by_name_and_all_else_stays(broken: Server) -> None:
    with Database.open(broken.url("broken")) as database:
        schema = database.schema
    assert [table.name for table in schema.tables] == ["changing", "good", "versioned", "well"]
    reasons = {each.name: each.reason for each in schema.skipped}
    assert set(reasons) == {"counting", "without_column", "without_definer", "without_table"}
    assert "nextval" in reasons["counting"]
    assert "definer" in reasons["without_definer"]
    assert "invalid" in reasons["without_column"]
    assert "invalid" in reasons["without_table"]


def test_a_user_who_may_only_select_has_the_tables_and_is_told_what_the_views_need(broken: Server) -> None:
    with Database.open(broken.url("broken", "selecting")) as database:
        schema = database.schema
    assert [table.name for table in schema.tables] == ["changing", "good", "versioned"]
    reasons = {each.name: each.reason for each in schema.skipped}
    assert "GRANT SHOW VIEW ON `broken`.`well`" in reasons["well"]


def test_a_query_that_the_server_can_t_interrupt_is_reported_with_its_connection(school: Server) -> None:
    """Without a worker process, whose parent may lose patience on a busy machine."""
    with closing(open_mysql(Address.parse(school.url("school")))) as backend:
        thread = backend._connection.thread_id()
        with pytest.raises(QueryError, match=rf"longer than 0.2 s.*still runs it, as connection {thread}") as caught:
            backend.run("SELECT length(regexp_replace(content, 'a', 'b')) FROM documents", Limits(seconds=0.2))
        assert caught.value.kind == "time"
        assert backend.run("SELECT 1", Limits()).rows == ((1,),)


ASKING = """
import sys
from myna.databases import Database, Limits
with Database.open(sys.argv[1], limits=Limits(seconds=300)) as database:
    database.run("SELECT count(*) FROM students a, students b, students c, students d WHERE a.name <> 'asking'")
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=lambda sent: sent.name)
def test_however_the_program_ends_its_query_ends_on_the_server(school: Server, sent: signal.Signals) -> None:
    running = "SELECT id FROM information_schema.processlist WHERE info LIKE '%asking%' AND id <> connection_id()"
    with mariadb_admin(school) as admin, admin.cursor() as cursor:

        def becomes(count: int) -> bool:
            for _ in range(200):
                if cursor.execute(running) == count:
                    return True
                cursor.execute("SELECT sleep(0.1)")
            return False

        arguments = [sys.executable, "-c", ASKING, school.url("school")]
        with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as program:
            assert becomes(1)
            program.send_signal(sent)
            program.wait(20)
        assert becomes(0)
