"""The same questions on every kind of database: what is sampled runs on PostgreSQL, MariaDB and DuckDB."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from databases.servers import Server, mariadb_admin, postgres_admin
from myna.builders.database.profile import Profile, profile
from myna.builders.database.query import ColumnOf, DatePart, Query, Rows, Where
from myna.builders.database.sampling import sample_queries
from myna.builders.database.sql import to_sql
from myna.builders.database.verify import Verifier
from myna.databases import Database
from myna.text2sql.surface import canonical
from shop_database import statements

POSTGRES_ONLY = (
    "CREATE TYPE mood AS ENUM ('glad', 'sad', 'calm')",
    'CREATE SCHEMA "Other"',
    'CREATE TABLE "Other"."Mood Log" (id uuid PRIMARY KEY, felt mood, tags text[], data jsonb, "Größe" numeric(5, 2), '
    "at timestamptz, near point, span interval, doc xml, paid money, host inet, "
    '"doubled" numeric GENERATED ALWAYS AS ("Größe" * 2) STORED)',
    """INSERT INTO "Other"."Mood Log" SELECT md5(n::text)::uuid, (ARRAY['glad', 'sad', 'calm'])[1 + n % 3]::mood,
    ARRAY['a', 'b'], '{"k": 1}', n / 4.0, timestamptz '2020-01-01 10:00+00' + n * interval '9 days', point(n, n),
    n * interval '1 hour', '<a/>', n::text::money, '10.0.0.1'::inet + n FROM generate_series(1, 50) AS n""",
    """CREATE VIEW sad_moods AS SELECT felt, "Größe" FROM "Other"."Mood Log" WHERE felt = 'sad'""",
    'CREATE TABLE "Users" (id int PRIMARY KEY, "Name" text, name text)',
    "CREATE TABLE users (id int PRIMARY KEY, name text)",
    """INSERT INTO "Users" SELECT n, 'A ' || n, 'a ' || n % 7 FROM generate_series(1, 30) AS n""",
    "INSERT INTO users SELECT n, 'user ' || n FROM generate_series(1, 20) AS n",
    "COMMENT ON COLUMN customers.born IS 'date of birth'",
)


def hold(url: str | Path, count: int = 120) -> Profile:
    """Sample and verify on a database; every query must run, in the one surface, and many must say something."""
    with Database.open(url) as database:
        described = profile(database)
        assert not described.unread
        verifier = Verifier(database)
        verdicts = [verifier.verify(query) for query in sample_queries(described, seed=3, count=count)]
        for verdict in verdicts:
            if verdict.reason == "does not run":
                database.run(verdict.sql)  # shows the database's own message
            assert canonical(verdict.sql, database.schema, dialect=database.dialect) == verdict.sql
        assert sum(verdict.reason is None for verdict in verdicts) > count / 3
        return described


def test_postgres(postgres: Server) -> None:
    with postgres_admin(postgres) as admin:
        admin.execute("CREATE DATABASE shop")
    with postgres_admin(postgres, "shop") as admin:
        for statement in (*statements(), *POSTGRES_ONLY):
            admin.execute(statement)
    described = hold(postgres.url("shop"), 300)
    moods = described.tables["Other.Mood Log"].columns
    assert {name: moods[name].role for name in ("id", "felt", "Größe", "at", "doubled")} == {
        "id": "key",
        "felt": "category",
        "Größe": "measure",
        "at": "date",
        "doubled": "measure",
    }
    assert {moods[name].role for name in ("tags", "data", "near", "span", "doc")} == {"other"}
    assert described.column(ColumnOf("customers", "born")).column.comment == "date of birth"
    assert described.column(ColumnOf("orders", "paid")).role == "flag"


def test_mariadb(mariadb: Server) -> None:
    with mariadb_admin(mariadb) as admin:
        admin.cursor().execute("CREATE DATABASE shop")
    with mariadb_admin(mariadb, "shop") as admin:
        for statement in statements():
            admin.cursor().execute(statement)
    described = hold(mariadb.url("shop"))
    assert described.column(ColumnOf("customers", "born")).role == "date"


def test_duckdb(tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        for statement in statements():
            connection.execute(statement)
    described = hold(path)
    assert described.column(ColumnOf("products", "price")).role == "measure"


DATED = (
    "CREATE TABLE sales (id INT PRIMARY KEY, day DATE, sold_at TIMESTAMP, amount INT)",
    *(
        f"INSERT INTO sales VALUES ({n}, '202{n % 3}-{1 + n % 12:02}-{1 + n % 28:02}', "
        f"'202{n % 3}-{1 + n % 12:02}-{28 + n % 4 if n % 12 == 11 else 28} 23:59:59', {n % 10})"
        for n in range(120)
    ),
)


def dated_questions(url: str | Path) -> None:
    """Months of native dates are asked for, and a range finds the rows of the month, its last second included."""
    with Database.open(url) as database:
        described = profile(database)
        months = {
            condition: query
            for query in sample_queries(described, seed=5, count=600)
            for condition in (query.where.conditions if query.where else ())
            if isinstance(condition, DatePart) and condition.part == "month"
        }
        assert {each.column.column for each in months} == {"day", "sold_at"}
        for each in months:
            rows = Query((Rows("sales"),), "sales", where=Where((each,)))
            found = {row[0] for row in database.run(to_sql(rows, database.dialect)).rows}
            assert found == {n for n in range(120) if 2020 + n % 3 == each.of and 1 + n % 12 == each.value}
        assert any(Verifier(database).verify(query).reason is None for query in months.values())


def test_months_of_native_dates_on_postgres(postgres: Server) -> None:
    with postgres_admin(postgres) as admin:
        admin.execute("CREATE DATABASE dated")
    with postgres_admin(postgres, "dated") as admin:
        for statement in DATED:
            admin.execute(statement)
    dated_questions(postgres.url("dated"))


def test_months_of_native_dates_on_mariadb(mariadb: Server) -> None:
    with mariadb_admin(mariadb) as admin:
        admin.cursor().execute("CREATE DATABASE dated")
    with mariadb_admin(mariadb, "dated") as admin:
        for statement in DATED:
            admin.cursor().execute(statement)
    dated_questions(mariadb.url("dated"))


def test_months_of_native_dates_on_duckdb(tmp_path: Path) -> None:
    path = tmp_path / "dated.duckdb"
    with duckdb.connect(str(path)) as connection:
        for statement in DATED:
            connection.execute(statement)
    dated_questions(path)


def test_what_is_sorted_by_columns_with_nulls_has_one_answer_on_sqlite_and_postgres(
    postgres: Server, tmp_path: Path
) -> None:
    made = "CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(9), height INT, weight INT)"
    rows = [
        f"INSERT INTO people VALUES ({n}, 'P {n:02}', {150 + n if n % 3 else 'NULL'}, {90 - n if n % 4 else 'NULL'})"
        for n in range(40)
    ]
    with postgres_admin(postgres) as admin:
        admin.execute("CREATE DATABASE nulls")
    with postgres_admin(postgres, "nulls") as admin:
        for statement in (made, *rows):
            admin.execute(statement)
    file = tmp_path / "nulls.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(";".join((made, *rows)))
    with Database.open(file) as one, Database.open(postgres.url("nulls")) as other:
        described = profile(one)
        ends = Counter[bool]()
        for query in sample_queries(described, seed=2, count=400):
            sorted_by = [order for order in query.order_by if isinstance(order.item, ColumnOf)]
            if query.group_by or not any(described.column(order.item).nulls for order in sorted_by):
                continue
            here, there = (Verifier(each).verify(query) for each in (one, other))
            assert here.reason == there.reason
            if here.reason is None and here.result and there.result:
                assert here.result.rows == there.result.rows
                ends.update(order.descending for order in sorted_by)
        assert min(ends[True], ends[False]) > 2


@pytest.mark.parametrize("dialect", ["postgres", "duckdb"])
def test_a_year_of_the_databases_own_dates_is_a_range(dialect: str) -> None:
    born = ColumnOf("customers", "born")
    query = Query((born,), "customers", where=Where((DatePart(born, "year", "=", 1990),)))
    assert to_sql(query, dialect).endswith("WHERE born >= '1990-01-01' AND born < '1991-01-01'")
