"""A profile says what columns are for people, whatever they are called and declared, in bounded time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from myna.builders.database.profile import ROWS_READ, Profile, profile
from myna.builders.database.query import ColumnOf, Join
from myna.builders.database.sampling import sample_queries
from myna.databases import Database, Limits
from shop_database import write_shop


def made(path: Path, *statements: str) -> Profile:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    with Database.open(path) as database:
        return profile(database)


def numbered(table: str, *values: object) -> Iterator[str]:
    """INSERT statements with an ascending first column."""
    for number, value in enumerate(values, 1):
        shown = "NULL" if value is None else "'" + value.replace("'", "''") + "'" if isinstance(value, str) else value
        yield f"INSERT INTO {table} VALUES ({number}, {shown})"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    with Database.open(write_shop(tmp_path_factory.mktemp("shop") / "shop.sqlite")) as database:
        return profile(database)


@pytest.mark.parametrize(
    ("column", "role"),
    [
        ("cities.id", "key"),
        ("cities.name", "name"),
        ("cities.country", "category"),
        ("cities.founded_year", "date"),
        ("cities.population", "measure"),
        ("customers.city_id", "key"),
        ("customers.born", "date"),
        ("customers.zip_code", "key"),
        ("customers.phone", "key"),
        ("customers.fax", "other"),
        ("products.price", "measure"),
        ("orders.paid", "flag"),
        ("orders.status", "category"),
        ("order_items.quantity", "measure"),
        ("employees.hired", "date"),
        ("reviews.stars", "measure"),
    ],
)
def test_roles_are_what_columns_are_for_people(shop: Profile, column: str, role: str) -> None:
    table, name = column.split(".")
    assert shop.column(ColumnOf(table, name)).role == role


def test_dates_as_text_in_three_formats_are_dates(shop: Profile) -> None:
    found = [shop.tables["employees"].columns[name].date_format for name in ("hired", "left_on", "seen")]
    assert found == ["%d.%m.%Y", "%-m/%-d/%Y", "%Y-%m-%d %H:%M:%S"]


def test_an_undeclared_key_is_found_by_name_and_values_and_marked(shop: Profile) -> None:
    reviewed = (ColumnOf("reviews", "product_id"), ColumnOf("products", "id"))
    assert shop.tables["reviews"].joins == (Join((reviewed,), inferred=True),)
    assert [join.inferred for join in shop.tables["order_items"].joins] == [False, False]


def test_a_name_without_the_values_makes_no_key(tmp_path: Path) -> None:
    found = made(
        tmp_path / "two.sqlite",
        "CREATE TABLE owner (id INTEGER PRIMARY KEY, name TEXT)",
        "CREATE TABLE dog (id INTEGER PRIMARY KEY, owner_id INTEGER)",
        *numbered("owner", "Ann", "Bo"),
        *numbered("dog", 1, 2, 99),
    )
    assert found.tables["dog"].joins == ()


def test_two_ways_to_one_table_are_not_followed(tmp_path: Path) -> None:
    found = made(
        tmp_path / "matches.sqlite",
        "CREATE TABLE team (id INTEGER PRIMARY KEY, name TEXT)",
        "CREATE TABLE game (id INTEGER, home INTEGER REFERENCES team, away INTEGER REFERENCES team)",
        *numbered("team", "A", "B"),
        "INSERT INTO game VALUES (1, 1, 2)",
    )
    assert found.tables["game"].joins == ()


def test_values_are_real_and_most_frequent_first(shop: Profile) -> None:
    status = shop.tables["orders"].columns["status"]
    assert set(status.values) == {"open", "sent", "lost"}
    assert (status.distinct, status.nulls, status.unique) == (3, 0, False)
    nickname = shop.tables["customers"].columns["nickname"]
    assert nickname.nulls == 13
    population = shop.tables["cities"].columns["population"]
    assert population.minimum <= population.spread[0] <= population.spread[-1] <= population.maximum


def test_numbers_that_are_another_tables_keys_are_keys(tmp_path: Path) -> None:
    found = made(
        tmp_path / "school.sqlite",
        "CREATE TABLE faculty (id INTEGER PRIMARY KEY, age INTEGER)",
        "CREATE TABLE student (id INTEGER PRIMARY KEY, advisor INTEGER)",
        *(f"INSERT INTO faculty VALUES ({number}, {number % 7 + 30})" for number in range(1000, 1020)),
        *numbered("student", 1003, 1007, 1011, 1007),
    )
    assert found.tables["student"].columns["advisor"].role == "key"
    assert found.tables["faculty"].columns["age"].role == "measure"


def test_a_large_table_is_read_in_part_and_from_all_over(tmp_path: Path) -> None:
    rows = 4 * ROWS_READ
    found = made(
        tmp_path / "large.sqlite",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, half TEXT, amount REAL)",
        f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
        f"INSERT INTO t SELECT i, CASE WHEN i <= {rows // 2} THEN 'first' ELSE 'second' END, i / 4.0 FROM n",
    )
    table = found.tables["t"]
    assert (table.exact, table.rows) == (False, rows)
    assert set(table.columns["half"].values) == {"first", "second"}
    assert table.columns["amount"].role == "measure"


def test_a_large_view_is_read_in_part_and_counted_as_far_as_it_matters(tmp_path: Path) -> None:
    rows = 3 * ROWS_READ
    found = made(
        tmp_path / "large.sqlite",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, city TEXT, amount REAL)",
        f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
        "INSERT INTO t SELECT i, 'City ' || i % 9, i / 4.0 FROM n",
        "CREATE VIEW sales AS SELECT city, amount FROM t",
    )
    view = found.tables["sales"]
    assert (view.exact, view.rows, view.is_view) == (False, rows, True)
    assert {name: each.role for name, each in view.columns.items()} == {"city": "category", "amount": "measure"}
    assert any(query.table == "sales" for query in sample_queries(found, count=100))


def test_a_view_that_can_not_be_counted_in_time_is_named_and_not_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "slow.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
    connection.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    # Its first rows come at once; where it stops being fast, it never ends.
    connection.execute(
        "CREATE VIEW endless AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        f"SELECT i FROM n WHERE i <= {ROWS_READ + 1}"
    )
    connection.commit()
    connection.close()
    with Database.open(path, limits=Limits(seconds=0.3)) as database:
        found = profile(database)
    assert set(found.tables) == {"t"}
    assert "endless" in found.unread


def test_the_same_database_gives_the_same_profile(tmp_path: Path, shop: Profile) -> None:
    with Database.open(write_shop(tmp_path / "again.sqlite")) as database:
        assert profile(database) == shop


def test_a_database_without_tables_or_rows_has_a_profile(tmp_path: Path) -> None:
    assert made(tmp_path / "nothing.sqlite", "CREATE TABLE t (id)", "DROP TABLE t").tables == {}
    found = made(tmp_path / "empty.sqlite", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
    assert found.tables["t"].rows == 0
    assert {column.role for column in found.tables["t"].columns.values()} == {"other"}


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    found = made(
        tmp_path / "views.sqlite",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)",
        "CREATE VIEW broken AS SELECT abs(-9223372036854775808 + id - id) AS x FROM t",
        "CREATE VIEW fine AS SELECT name FROM t",
        *numbered("t", "a", "b"),
    )
    assert set(found.tables) == {"t", "fine"}
    assert "overflow" in found.unread["broken"]
    assert found.tables["fine"].is_view


def test_columns_of_any_kind_are_described(tmp_path: Path) -> None:
    found = made(
        tmp_path / "kinds.sqlite",
        "CREATE TABLE t (a INTEGER, total INTEGER GENERATED ALWAYS AS (a * 2), data BLOB, j JSON, mixed, empty TEXT)",
        "INSERT INTO t (a, data, j, mixed) VALUES (3, x'00ff', '{\"k\": [1]}', 5)",
        "INSERT INTO t (a, data, j, mixed) VALUES (11, x'00', '[]', 'five')",
    )
    roles = {name: column.role for name, column in found.tables["t"].columns.items()}
    assert roles["total"] == "measure"
    assert [roles[name] for name in ("data", "j", "mixed", "empty")] == ["other"] * 4


def test_numbers_that_are_none_are_passed_over(tmp_path: Path) -> None:
    found = made(
        tmp_path / "infinite.sqlite",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, amount REAL)",
        "INSERT INTO t VALUES (1, 1.5), (2, 9e999), (3, -9e999), (4, 2.5)",
    )
    amount = found.tables["t"].columns["amount"]
    assert (amount.minimum, amount.maximum, amount.nulls) == (1.5, 2.5, 2)


def test_a_thousand_tables_are_profiled(tmp_path: Path) -> None:
    tables = (
        f"CREATE TABLE t{n} (id INTEGER PRIMARY KEY, name TEXT, t{max(n - 1, 0)}_id INTEGER)" for n in range(1000)
    )
    rows = (f"INSERT INTO t{n} VALUES (1, 'a', 1), (2, 'b', 2)" for n in range(1000))
    found = made(tmp_path / "many.sqlite", *tables, *rows)
    assert len(found.tables) == 1000
    assert [join.pairs[0][1].table for join in found.tables["t7"].joins] == ["t6"]


def test_a_number_that_only_numbers_is_no_amount(tmp_path: Path) -> None:
    found = made(
        tmp_path / "numbers.sqlite",
        "CREATE TABLE wines (No INT, name TEXT, price INT)",
        *(f"INSERT INTO wines VALUES ({n % 9}, 'Wine {n}', {n % 17})" for n in range(40)),
    )
    roles = {name: column.role for name, column in found.tables["wines"].columns.items()}
    assert roles == {"No": "key", "name": "name", "price": "measure"}
