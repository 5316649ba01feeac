"""PostgreSQL, a real server: code of a database's owner, and what reaches a function without naming it."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from databases.servers import PASSWORD, Server, postgres_admin
from myna.databases import Database, Limits
from myna.databases.postgres_cost import check_can_be_interrupted
from myna.databases.tokens import postgres_tokens
from myna.errors import QueryError

OWNED = f"""
CREATE ROLE landlord LOGIN PASSWORD '{PASSWORD}';
CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}';
"""
# `act` stands for any effect: its advisory lock outlives the transaction and can be seen from outside.
CODE = """
CREATE FUNCTION act() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_lock(4242)';
CREATE FUNCTION act(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM act(); RETURN true; END';
CREATE FUNCTION calm(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM act(); RETURN true; END';
CREATE FUNCTION half(numeric) RETURNS numeric IMMUTABLE LANGUAGE sql AS 'SELECT $1 / 2';

CREATE TABLE people (id int PRIMARY KEY, name varchar(20), age int);
INSERT INTO people SELECT n, 'Person ' || n, 20 + n FROM generate_series(1, 20) n;
CREATE VIEW grown AS SELECT * FROM people WHERE age >= 30;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n, clock_timestamp() AS at FROM people;

CREATE VIEW acting AS SELECT act('a') AS a;
CREATE VIEW over_acting AS SELECT count(*) FROM acting;
CREATE VIEW calmly AS SELECT calm('a') AS a;

CREATE TYPE coin AS (cents int);
CREATE FUNCTION cents(coin) RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM act(); RETURN $1.cents; END';
CREATE CAST (coin AS int) WITH FUNCTION cents(coin) AS IMPLICIT;
CREATE TABLE purse (id int, content coin);
INSERT INTO purse VALUES (1, ROW(5));

CREATE DOMAIN email AS text CHECK (act(VALUE));
CREATE DOMAIN strict_email AS email;
CREATE DOMAIN year AS int CHECK (VALUE BETWEEN 1000 AND 3000);
CREATE TABLE born (person int, in_year year);
INSERT INTO born VALUES (1, 1990);

CREATE FUNCTION same(varchar, varchar) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM act(); RETURN true; END';
CREATE OPERATOR %% (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = same);
CREATE VIEW by_operator AS SELECT id FROM people WHERE name %% 'a'::varchar;

CREATE FUNCTION add(int, int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + $2';
CREATE FUNCTION take_away(int, int) RETURNS int STRICT LANGUAGE plpgsql AS 'BEGIN PERFORM act(); RETURN $1 - $2; END';
CREATE AGGREGATE moving_total (int) (SFUNC = int4pl, STYPE = int, MSFUNC = int4pl, MINVFUNC = take_away, MSTYPE = int);
CREATE AGGREGATE plain_total (int) (SFUNC = int4pl, STYPE = int);

CREATE TABLE guarded (id int);
INSERT INTO guarded VALUES (1);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY look ON guarded USING (act('x'));

CREATE TABLE indexed (a text);
CREATE INDEX ON indexed ((a || calm('x')::text));
CREATE TABLE parted (a text, b int) PARTITION BY RANGE ((a || calm('x')::text));
CREATE TABLE measured (a text);
CREATE STATISTICS measures ON (a || calm('x')::text), a FROM measured;
CREATE TABLE checked (a text CHECK (a || calm('x')::text <> ''));
CREATE TABLE checked_too () INHERITS (checked);
CREATE TABLE with_default (id int, note text DEFAULT act('a')::text);
"""
REACHING = [
    *("SELECT act('x')", "SELECT * FROM acting", "SELECT * FROM over_acting", "SELECT (name).act FROM people"),
    *("SELECT * FROM calmly", "SELECT calm('x')", "SELECT half(age) FROM people"),
    *("SELECT ROW(1)::coin::int", "SELECT CAST(ROW(1) AS coin) + 1", "SELECT abs(content) FROM purse"),
    *("SELECT 'a'::email", "SELECT CAST('a' AS strict_email)", "SELECT email 'a'", "SELECT '{a}'::email[]"),
    *("SELECT * FROM json_to_record('{\"a\": 1}') AS x (a email)", "SELECT array_in('{a}', 'email'::regtype, -1)"),
    *("SELECT id FROM people WHERE name %% 'a'::varchar", "SELECT * FROM by_operator"),
    "SELECT moving_total(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM people",
    *("SELECT * FROM indexed", "SELECT * FROM parted", "SELECT * FROM measured WHERE a = 'x'"),
    *("SELECT table_to_xml('acting', true, false, '')", "SELECT schema_to_xml('public', true, false, '')"),
    *("SELECT query_to_xml('SELECT act()', true, false, '')", "SELECT database_to_xml_and_xmlschema(true, false, '')"),
    *("SELECT cursor_to_xml('myna_query', 1, true, false, '')", "SELECT pg_input_is_valid('a', 'email')"),
]
PLAIN = [
    *("SELECT count(*) FROM people WHERE name = 'Person 1'", "SELECT name FROM grown ORDER BY age LIMIT 3"),
    *("SELECT n FROM counted", "SELECT in_year FROM born WHERE in_year > 1980", "SELECT id, note FROM with_default"),
    *("SELECT plain_total(id) FROM people", "SELECT a FROM checked", "SELECT id FROM people WHERE name IN ('a', 'b')"),
    *("SELECT trim(name), lpad(name, 30), translate(name, 'abc', 'xyz') FROM people", "SELECT 1999::year"),
    "SELECT p.name, q.name FROM people p JOIN people q USING (age) WHERE p.name LIKE 'P%' GROUP BY 1, 2",
]


@pytest.fixture(scope="module")
def owned(postgres: Server) -> Server:
    """A database that belongs to a plain role, with code of that role in every place that reading reaches."""
    with postgres_admin(postgres) as admin:
        admin.execute(OWNED)
        admin.execute("CREATE DATABASE owned OWNER landlord")
    with postgres_admin(postgres, "owned") as admin:
        admin.execute("CREATE EXTENSION pgcrypto")
        admin.execute("SET ROLE landlord")
        admin.execute(CODE)
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest")
        admin.execute("REVOKE SELECT ON purse FROM guest")
    return postgres


@pytest.fixture
def locks(owned: Server) -> Iterator[Callable[[], int]]:
    """Counts the traces that `act` leaves."""
    with postgres_admin(owned) as admin:
        yield lambda: admin.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()[0]


@pytest.mark.parametrize("user", ["admin", "landlord"])
def test_no_code_of_the_owner_is_reached(owned: Server, locks: Callable[[], int], user: str) -> None:
    ran = []
    with Database.open(owned.url("owned", user)) as database:
        for sql in (*REACHING, "SELECT * FROM guarded") if user != "landlord" else REACHING:
            try:
                ran.append((sql, database.run(sql).rows))
            except QueryError as error:
                if error.kind not in ("refused", "syntax", "database"):
                    ran.append((sql, error))
            assert locks() == 0, sql
            with pytest.raises(QueryError):
                database.prepare(sql)
            assert locks() == 0, sql
    assert not ran


@pytest.mark.parametrize("sql", PLAIN)
def test_plain_queries_run_beside_the_owner_s_code(owned: Server, sql: str) -> None:
    for user in ("admin", "landlord", "guest"):
        with Database.open(owned.url("owned", user)) as database:
            database.run(sql)


def test_a_function_of_the_owner_runs_where_the_address_allows_it(owned: Server) -> None:
    with (
        Database.open(owned.url("owned", "guest")) as database,
        pytest.raises(QueryError, match=r"public.half is code of this database's owner.*\?functions=public.half"),
    ):
        database.run("SELECT half(3)")
    with Database.open(owned.url("owned", "guest") + "?functions=public.half,public.act") as database:
        assert "functions=public.half" in database.name
        assert database.run("SELECT half(3)").rows == ((1.5,),)
        with pytest.raises(QueryError, match=r"the function public.act may do more than read"):
            database.run("SELECT act('x')")


def test_functions_of_extensions_run(owned: Server) -> None:
    with Database.open(owned.url("owned", "guest")) as database:
        assert len(database.run("SELECT digest('a', 'sha256')").rows[0][0]) == 32


def test_a_verdict_does_not_outlive_a_change_of_the_catalog(owned: Server) -> None:
    with Database.open(owned.url("owned", "guest")) as database, postgres_admin(owned, "owned") as admin:
        admin.execute("CREATE VIEW shifting AS SELECT 1 AS a; GRANT SELECT ON shifting TO guest")
        assert database.run("SELECT a FROM shifting").rows == ((1,),)
        admin.execute("CREATE OR REPLACE VIEW shifting AS SELECT 1 AS a FROM calmly")
        with pytest.raises(QueryError, match=r"public\.calm is code of this database's owner"):
            database.run("SELECT a FROM shifting")


def test_an_operator_class_of_the_owner_is_seen(owned: Server, locks: Callable[[], int]) -> None:
    """Only superusers make them, but a careless one may make one of a function that writes."""
    with postgres_admin(owned) as admin:
        admin.execute("CREATE DATABASE sorted")
    with postgres_admin(owned, "sorted") as admin:
        admin.execute("""
            CREATE FUNCTION act() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_lock(4242)';
            CREATE TYPE shade AS (level int);
            CREATE FUNCTION compare(shade, shade) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
                'BEGIN PERFORM act(); RETURN $1.level - $2.level; END';
            CREATE FUNCTION less(shade, shade) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
                'BEGIN PERFORM act(); RETURN $1.level < $2.level; END';
            CREATE OPERATOR << (LEFTARG = shade, RIGHTARG = shade, FUNCTION = less);
            CREATE OPERATOR CLASS shades DEFAULT FOR TYPE shade USING btree AS
                OPERATOR 1 <<, FUNCTION 1 compare(shade, shade);
            CREATE TABLE walls (id int, colour shade);
            CREATE TABLE floors (id int);
            INSERT INTO walls VALUES (1, ROW(1)), (2, ROW(2))""")
    with Database.open(owned.url("sorted")) as database:
        for sql in (
            "SELECT id FROM walls ORDER BY colour",
            "SELECT DISTINCT colour FROM walls",
            "SELECT colour, count(*) FROM walls GROUP BY colour",
            "SELECT greatest(ROW(1)::shade, ROW(2)::shade)",
        ):
            with pytest.raises(QueryError, match=r"public.(compare|less) is code of this database's owner"):
                database.run(sql)
            assert locks() == 0
        assert database.run("SELECT id FROM floors ORDER BY id").rows == ()


HOSTILE = """
CREATE SCHEMA x;
CREATE TABLE x.students (id int, name text);
INSERT INTO x.students VALUES (1, 'a');
CREATE FUNCTION x.equal(text, text) RETURNS boolean LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_catalog.pg_advisory_lock(99); RETURN true; END';
CREATE FUNCTION x.equal(name, text) RETURNS boolean LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_catalog.pg_advisory_lock(99); RETURN true; END';
CREATE FUNCTION x.joined(text, text) RETURNS text LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_catalog.pg_advisory_lock(99); RETURN ''''; END';
CREATE OPERATOR x.= (LEFTARG = text, RIGHTARG = text, FUNCTION = x.equal);
CREATE OPERATOR x.= (LEFTARG = name, RIGHTARG = text, FUNCTION = x.equal);
CREATE OPERATOR x.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = x.joined);
CREATE FUNCTION x.current_schema() RETURNS name LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_catalog.pg_advisory_lock(99); RETURN ''x''; END';
CREATE FUNCTION x.version() RETURNS text LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_catalog.pg_advisory_lock(99); RETURN ''PostgreSQL 15.1''; END';
CREATE FUNCTION x.set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_catalog.pg_advisory_lock(99); RETURN ''''; END';
"""


def test_opening_a_database_runs_nothing_of_its_owner(owned: Server, locks: Callable[[], int]) -> None:
    with postgres_admin(owned) as admin:
        admin.execute("CREATE DATABASE hostile OWNER landlord")
    with psycopg.connect(owned.url("hostile", "landlord"), autocommit=True) as owner:
        owner.execute(HOSTILE)
        owner.execute("ALTER DATABASE hostile SET search_path = x, pg_catalog")
    with Database.open(owned.url("hostile")) as database:
        assert [table.name for table in database.schema.tables] == ["students"]
        for sql in ("SELECT id FROM students", "SELECT id FROM students WHERE name = 'a'"):
            with pytest.raises(QueryError, match=r"x.equal"):
                database.run(sql)
        assert locks() == 0


def test_queries_run_with_the_schemas_that_were_set(owned: Server) -> None:
    with postgres_admin(owned, "owned") as admin:
        admin.execute(f"CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'; GRANT SELECT ON people TO clerk")
        admin.execute("CREATE SCHEMA shop; CREATE TABLE shop.orders (id int); GRANT USAGE ON SCHEMA shop TO clerk")
        admin.execute("GRANT SELECT ON shop.orders TO clerk; ALTER ROLE clerk SET search_path = shop, public")
    with Database.open(owned.url("owned", "clerk")) as database:
        assert [table.name for table in database.schema.tables] == ["orders", "public.people"]
        assert database.run("SELECT id FROM orders UNION SELECT id FROM shop.orders").rows == ()
        assert database.run("SELECT current_schemas(true)").rows == (("{pg_catalog,shop,public}",),)


def test_a_role_is_shown_only_what_it_may_read(owned: Server) -> None:
    with postgres_admin(owned, "owned") as admin:
        admin.execute(
            "CREATE TABLE half_open (id int PRIMARY KEY, secret text); GRANT SELECT (id) ON half_open TO guest"
        )
        admin.execute("CREATE SCHEMA closed; CREATE TABLE closed.t (a int); GRANT SELECT ON closed.t TO guest")
        admin.execute("CREATE TABLE years (y int) PARTITION BY LIST (y); GRANT SELECT ON years TO guest")
        admin.execute("CREATE TABLE year_1 PARTITION OF years FOR VALUES IN (1); GRANT SELECT ON year_1 TO guest")
    with Database.open(owned.url("owned", "guest")) as database:
        tables = {table.name: [column.name for column in table.columns] for table in database.schema.tables}
    assert tables["half_open"] == ["id"]
    assert tables["people"] == ["id", "name", "age"]
    assert "years" in tables
    assert {"purse", "closed.t", "year_1"}.isdisjoint(tables)


def test_a_superuser_is_told_to_connect_as_somebody_else(owned: Server) -> None:
    with Database.open(owned.url("owned")) as database:
        (warning,) = database.schema.warnings
    assert warning.startswith("the role admin is a superuser; connect as a role that can only read: CREATE ROLE myna")
    with Database.open(owned.url("owned", "guest")) as database:
        assert not database.schema.warnings


@pytest.mark.parametrize("table", ["pg_authid", "pg_shadow", "pg_catalog.pg_user_mapping", "pg_user_mappings"])
def test_passwords_of_the_server_are_not_read(owned: Server, table: str) -> None:
    with Database.open(owned.url("owned")) as database:
        with pytest.raises(QueryError, match="holds passwords"):
            database.run(f"SELECT * FROM {table}")
        assert database.run("SELECT count(*) > 0 FROM pg_roles").rows == ((True,),)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT xpath('//a[//a[//a]]', '<a/>')",
        "SELECT xpath_exists('//a', '<a/>')",
        "SELECT * FROM XMLTABLE('//a' PASSING '<a/>' COLUMNS b text PATH 'b')",
        "SELECT XMLEXISTS('//a' PASSING BY VALUE '<a/>')",
    ],
)
def test_xpath_is_refused_which_nothing_can_interrupt(owned: Server, sql: str) -> None:
    with Database.open(owned.url("owned")) as database, pytest.raises(QueryError) as caught:
        database.run(sql)
    assert caught.value.kind in ("refused", "syntax")
    with pytest.raises(QueryError, match="may do more than read"), Database.open(owned.url("owned")) as database:
        database._ask({"do": "run", "sql": sql, "rows": 10}, 10)


def test_a_view_over_xmltable_is_refused(owned: Server) -> None:
    with postgres_admin(owned, "owned") as admin:
        admin.execute("CREATE VIEW of_xml AS SELECT * FROM XMLTABLE('//a' PASSING '<a/>' COLUMNS b text PATH 'b')")
    with Database.open(owned.url("owned")) as database, pytest.raises(QueryError, match="xmltable"):
        database.run("SELECT * FROM of_xml")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT repeat('a', 100000)",
        "SELECT repeat('a', 9 * 9000)",
        "SELECT repeat('a', 0000100000)",
        "SELECT repeat('a', n) FROM t",
        "SELECT repeat(repeat('a', 10000), 10000)",
        "SELECT \"repeat\"('a', 1e9)",
        "SELECT lpad('a', 1000000, 'b')",
        "SELECT format('%1000000s', 'a')",
        "SELECT format('%*s', 1000000, 'a')",
        "SELECT translate(a.s, b.s, '') FROM t a, t b",
        "SELECT btrim(s, (SELECT s FROM t))",
        "SELECT trim(BOTH s || s FROM s) FROM t",
        f"SELECT translate(s, '{'a' * 300}', 'b') FROM t",
    ],
)
def test_what_may_compute_for_hours_is_refused_before_it_is_planned(sql: str) -> None:
    with pytest.raises(QueryError, match=r"PostgreSQL can't be interrupted|written out"):
        check_can_be_interrupted(postgres_tokens(sql))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT repeat('-', 20), lpad(id::text, 5, '0'), rpad(name, 10), repeat(name, 10000) FROM people",
        "SELECT trim(name), trim(both from name), trim(leading 'x' from name), btrim(name, 'x'), trim(name, E'\\t')",
        "SELECT translate(lower(name), 'áéí', 'aei'), format('%s-%10s', a, b) FROM people",
    ],
)
def test_what_people_write_is_not_refused(sql: str) -> None:
    check_can_be_interrupted(postgres_tokens(sql))


STUBBORN = "SELECT strpos(string_agg(s, ''), 'b' || string_agg(s, '') FILTER (WHERE n <= 9)) FROM " + (
    "(SELECT n, repeat('a', 10000) AS s FROM generate_series(1, 18) n) built"
)


def test_a_query_that_the_server_can_t_interrupt_is_reported(owned: Server) -> None:
    """About 10^10 comparisons in one call: a few seconds in which PostgreSQL looks at nothing."""
    with Database.open(owned.url("owned"), limits=Limits(seconds=0.2)) as database:
        with pytest.raises(
            QueryError, match=r"longer than 0.2 s.*The server .* still runs it, as process \d+"
        ) as caught:
            database.run(STUBBORN)
        assert caught.value.kind == "time"
        assert database.run("SELECT 1").rows == ((1,),)


CHILD = """
import sys
from myna.databases import Database, Limits
with Database.open(sys.argv[1], limits=Limits(seconds=600)) as database:
    print("open", flush=True)
    database.run("SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b")
"""


def test_a_query_ends_on_the_server_when_its_program_is_killed(owned: Server) -> None:
    running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'myna' AND state = 'active'"
    with postgres_admin(owned) as admin:

        def wait_for(count: int) -> None:
            for _ in range(200):
                if admin.execute(running).fetchone() == (count,):
                    return
                time.sleep(0.1)
            pytest.fail(f"never {count} running")

        wait_for(0)
        child = subprocess.Popen([sys.executable, "-c", CHILD, owned.url("owned")], stdout=subprocess.PIPE)
        with child:
            assert child.stdout is not None
            child.stdout.readline()
            wait_for(1)
            child.kill()
        wait_for(0)
