"""PostgreSQL, a real server: what is read from it, and that nothing can be done to it."""

import dataclasses
from pathlib import Path

import psycopg
import pytest

from databases.attack_corpus import Attack, attacks
from databases.servers import PASSWORD, Server, postgres_admin
from databases.withstanding import withstand

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
