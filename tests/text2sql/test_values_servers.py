"""Values of real servers: comments, schemas, their own types; and when their index is made anew."""

from contextlib import closing

import pytest

from databases.servers import PASSWORD, Server, mariadb_admin, postgres_admin
from myna.databases import Database
from myna.databases.state import state
from myna.text2sql.values import ValueIndex, contents, hints

POSTGRES = """
CREATE SCHEMA sales;
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TABLE sales."Customers" (id int PRIMARY KEY, "Full Name" text, balance numeric(8, 2), feeling mood, born date,
    active boolean, tags text[], api_token text);
INSERT INTO sales."Customers" VALUES
    (1, 'Wang Junjian', 10.50, 'happy', '2001-02-03', true, '{a}', 'hidden'),
    (2, '王军建', 7, 'sad', null, false, null, 'x');
CREATE VIEW names AS SELECT "Full Name" AS name FROM sales."Customers";
"""
MARIADB = """
CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(50), feeling ENUM('happy', 'sad'), balance DECIMAL(8, 2));
INSERT INTO customers VALUES (1, 'Wang Junjian', 'happy', 10.50), (2, '王军建', 'sad', 7);
"""


@pytest.fixture(scope="module")
def shop(postgres: Server) -> str:
    with closing(postgres_admin(postgres)) as admin:
        admin.execute("CREATE DATABASE valued")
    with closing(postgres_admin(postgres, "valued")) as admin:
        admin.execute(POSTGRES)
    return postgres.url("valued")


@pytest.fixture(scope="module")
def maria_shop(mariadb: Server) -> str:
    with closing(mariadb_admin(mariadb)) as admin, admin.cursor() as cursor:
        cursor.execute("CREATE DATABASE valued CHARACTER SET utf8mb4")
    with closing(mariadb_admin(mariadb, "valued")) as admin, admin.cursor() as cursor:
        for statement in MARIADB.strip().split(";\n"):
            cursor.execute(statement.rstrip(";"))
    return mariadb.url("valued")


def found(index: ValueIndex, question: str) -> set[tuple[str, str, object]]:
    return {(match.table, match.column, match.value) for match in index.matches(question)}


def test_postgres_cells_are_found_in_every_schema_and_type(shop, tmp_path):
    with Database.open(shop) as database, ValueIndex.open(database, folder=tmp_path / "cache") as index:
        assert ("sales.Customers", "Full Name", "Wang Junjian") in found(index, "How rich is wang junjian?")
        assert ("names", "name", "王军建") in found(index, "王军建有多少钱")
        assert ("sales.Customers", "feeling", "happy") in found(index, "Who is happy?")
        assert ("sales.Customers", "born", "2001-02-03") in found(index, "Who was born on 2001-02-03?")
        assert found(index, "hidden") == set()
        assert "\"Full Name\" = 'Wang Junjian'" in hints(index.matches("wang junjian"), dialect="postgres")
        limits = contents(index, database.schema, "Is the balance of wang junjian 10.5?").values
        assert limits.equal["sales.Customers", "balance"] == [10.5]
        assert ("sales.Customers", "active") not in limits.equal
        assert ("sales.Customers", "api_token") not in limits.equal
    for file in (tmp_path / "cache").iterdir():
        content = file.read_bytes()
        assert PASSWORD.encode() not in content
        assert b"hidden" not in content


def test_postgres_counts_change_the_state(shop, postgres):
    with Database.open(shop) as database, closing(postgres_admin(postgres, "valued")) as admin:
        first = state(database)
        assert state(database) == first
        admin.execute('INSERT INTO sales."Customers" (id, "Full Name") VALUES (3, \'Li Na\')')
        admin.execute("SELECT pg_stat_force_next_flush()")
        admin.execute("SELECT 1")
        assert state(database) != first


def test_mariadb_cells_are_found(maria_shop, tmp_path):
    with Database.open(maria_shop) as database, ValueIndex.open(database, folder=tmp_path / "cache") as index:
        assert ("customers", "name", "Wang Junjian") in found(index, "How rich is wang junjian?")
        assert ("customers", "name", "王军建") in found(index, "王军建有多少钱")
        assert ("customers", "feeling", "sad") in found(index, "Who is sad?")
        assert contents(index, database.schema, "balance 7").values.equal["customers", "balance"] == [7]


def test_an_index_of_a_server_that_has_grown_old_is_made_again(maria_shop, tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    with Database.open(maria_shop) as database:
        ValueIndex.open(database, folder=folder).close()
        before = [file.stat().st_ino for file in folder.iterdir()]
        ValueIndex.open(database, folder=folder).close()
        assert [file.stat().st_ino for file in folder.iterdir()] == before
        monkeypatch.setattr("myna.text2sql.values.file._SECONDS_TO_KEEP", -1.0)
        ValueIndex.open(database, folder=folder).close()
        assert [file.stat().st_ino for file in folder.iterdir()] != before
