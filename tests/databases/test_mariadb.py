"""MariaDB, a real server: what is read from it, and that nothing can be done to it."""

from pathlib import Path

import pymysql
import pytest

from databases.attack_corpus import Attack, attacks
from databases.servers import PASSWORD, Server, mariadb_admin
from databases.withstanding import withstand

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
""".strip().splitlines()

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
        cursor.execute("USE school")
        for statement in SCHOOL:
            cursor.execute(statement)
        for user in ("owner", "victim"):
            cursor.execute(f"CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
        cursor.execute("GRANT ALL ON school.* TO 'owner'@'127.0.0.1'")
        cursor.execute("GRANT FILE ON *.* TO 'owner'@'127.0.0.1'")
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

        def fingerprint() -> object:
            settings = ask("SELECT variable_name, variable_value FROM information_schema.global_variables ORDER BY 1")
            return ask(f"CHECKSUM TABLE {TABLES} EXTENDED"), settings, files_of(school)

        before = fingerprint()
        if not parsed:  # what costs time or memory is the same query behind the parser
            corpus = [attack for attack in corpus if attack.group not in ("time", "memory")]
        withstand(school.url("school", user), corpus, state, parsed=parsed)

        for _ in range(100):  # what the server can't interrupt at once
            if not ask(RUNNING):
                break
            ask("SELECT sleep(0.1)")
        assert not ask(RUNNING)
        assert fingerprint() == before


def files_of(server: Server) -> set[str]:
    """Return the files of the data folder."""
    return {str(path.relative_to(server.folder)) for path in Path(server.folder).rglob("*") if path.suffix != ".MAI"}
