"""What is sampled is meaningful, in the one surface, and runs: over the small shop and over real databases."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from myna.builders.database.profile import Profile, profile
from myna.builders.database.query import (
    AgainstAggregate,
    Aggregate,
    Arithmetic,
    Between,
    ColumnOf,
    Comparison,
    DatePart,
    InQuery,
    Item,
    Matches,
    Missing,
    OneOf,
    Query,
    Rows,
    Where,
    columns_of,
)
from myna.builders.database.sampling import sample_queries
from myna.builders.database.sampling.sense import table_of
from myna.builders.database.sql import to_sql
from myna.builders.database.verify import Verifier
from myna.databases import Database
from myna.text2sql.surface import canonical
from shop_database import write_shop

SPIDER = Path(__file__).parents[3] / "shared" / "data" / "spider" / "database"
SAMPLED = 1500


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with Database.open(write_shop(tmp_path_factory.mktemp("shop") / "shop.sqlite")) as database:
        yield database


@pytest.fixture(scope="module")
def described(shop: Database) -> Profile:
    return profile(shop)


@pytest.fixture(scope="module")
def queries(described: Profile) -> list[Query]:
    return list(sample_queries(described, seed=1, count=SAMPLED))


def aggregates(query: Query) -> Iterator[Aggregate]:
    items: list[Item] = [*query.select, *(order.item for order in query.order_by)]
    yield from (item for item in items if isinstance(item, Aggregate))
    if query.having:
        yield query.having.aggregate


def test_every_construct_is_made(queries: list[Query]) -> None:
    conditions = {type(each) for query in queries if query.where for each in query.where.conditions}
    assert conditions >= {Comparison, Between, Matches, OneOf, Missing, AgainstAggregate, InQuery, DatePart}
    operators = {each.operator for query in queries if query.where for each in query.where.conditions
                 if isinstance(each, Comparison)}  # fmt: skip
    assert operators == {"=", "<>", "<", ">", "<=", ">="}
    assert {each.function for query in queries for each in aggregates(query)} == {"count", "sum", "avg", "min", "max"}
    assert {query.set_operation.operator for query in queries if query.set_operation} == {
        "union",
        "intersect",
        "except",
    }
    assert {len(query.tables) for query in queries} == {1, 2, 3}
    assert any(isinstance(item, Arithmetic) for query in queries for item in query.select)
    for has in (
        lambda query: query.distinct,
        lambda query: query.having,
        lambda query: query.limit and query.limit > 1,
        lambda query: query.group_by and query.joins,
        lambda query: query.where and query.where.any,
        lambda query: query.joins and any(join.inferred for join in query.joins),
    ):
        assert sum(bool(has(query)) for query in queries) > 5


def test_one_thing_that_has_a_name_is_looked_up_often(described: Profile, queries: list[Query]) -> None:
    def is_look_up(query: Query) -> bool:
        conditions = query.where.conditions if query.where and not query.joins else ()
        return len(conditions) == 1 and any(
            isinstance(each, Comparison)
            and each.operator == "="
            and isinstance(each.column, ColumnOf)
            and described.column(each.column).role == "name"
            for each in conditions
        )

    found = [query for query in queries if is_look_up(query)]
    assert len(found) > 0.03 * len(queries)
    assert len({len(query.select) for query in found}) > 1
    assert any(isinstance(query.select[0], Rows) for query in found)


def test_queries_are_in_the_one_surface(shop: Database, queries: list[Query]) -> None:
    for query in queries:
        sql = to_sql(query)
        assert canonical(sql, shop.schema) == sql


def test_every_query_runs(shop: Database, queries: list[Query]) -> None:
    for query in queries:
        shop.prepare(to_sql(query))


def test_roles_decide_what_is_calculated(described: Profile, queries: list[Query]) -> None:
    for query in queries:
        for each in aggregates(query):
            if each.function in ("sum", "avg") and isinstance(each.argument, ColumnOf):
                assert described.column(each.argument).role == "measure"
            if each.function in ("min", "max") and isinstance(each.argument, ColumnOf):
                assert described.column(each.argument).role in ("measure", "date")


def test_nothing_is_grouped_by_columns_with_nulls(described: Profile, queries: list[Query]) -> None:
    assert not any(described.column(column).nulls for query in queries for column in query.group_by)


def test_rows_are_sorted_by_columns_with_nulls_only_where_these_are_known(tmp_path: Path) -> None:
    rows = [f"({n}, 'P {n}', {150 + n if n % 3 else 'NULL'}, {20 + n % 9})" for n in range(40)]
    made = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, height INT, age INT)"
    with database_of(tmp_path / "people.sqlite", made, f"INSERT INTO people VALUES {', '.join(rows)}") as database:
        height = ColumnOf("people", "height")
        sampled = sample_queries(profile(database), seed=1, count=400)
        by_height = [query for query in sampled if any(order.item == height for order in query.order_by)]
    assert len(by_height) > 10
    for query in by_height:
        assert query.where
        assert not query.where.any
        assert any(each.column == height for each in query.where.conditions)
    assert any(query.where == Where((Missing(height, negated=True),)) for query in by_height)


def test_columns_without_values_are_never_asked_about(queries: list[Query]) -> None:
    assert not any("fax" in to_sql(query) for query in queries)


def test_texts_that_are_dates_are_ordered_only_where_they_sort(described: Profile, queries: list[Query]) -> None:
    for query in queries:
        for condition in query.where.conditions if query.where else ():
            if isinstance(condition, Comparison) and condition.operator not in ("=", "<>"):
                assert not isinstance(condition.column, ColumnOf) or described.column(condition.column).spread
            if isinstance(condition, Comparison | Between):
                assert condition.column not in (ColumnOf("employees", "hired"), ColumnOf("employees", "left_on")) or (
                    isinstance(condition, Comparison) and condition.operator == "="
                )


def test_what_is_counted_is_not_multiplied_by_joins(described: Profile, queries: list[Query]) -> None:
    """Sums and means are taken over the table whose rows are the rows of the join."""
    for query in queries:
        finest = [
            table
            for table in query.tables
            if not any(
                join.pairs[0][1].table == table
                for other in query.tables
                for join in described.tables[other].joins
                if other != table
            )
        ]
        for each in aggregates(query):
            if query.joins and not each.distinct:
                assert [table_of(each)] == finest


def test_joined_tables_are_all_needed(queries: list[Query]) -> None:
    for query in (each for each in queries if each.joins):
        sql = to_sql(query)
        for number in range(1, len(query.tables) + 1):
            assert sql.count(f"T{number}.") > 1 or "COUNT(*)" in sql


def test_the_same_seed_gives_the_same_queries(described: Profile, queries: list[Query]) -> None:
    assert list(sample_queries(described, seed=1, count=200)) == queries[:200]
    assert list(sample_queries(described, seed=2, count=200)) != queries[:200]
    assert len(set(queries)) == len(queries)


def test_all_tables_get_their_turn(described: Profile, queries: list[Query]) -> None:
    asked = Counter(table for query in queries for table in query.tables)
    assert set(asked) == set(described.tables)
    assert min(asked.values()) > SAMPLED / 100


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)",),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)", "INSERT INTO t VALUES (1, 'only one row')"),
        ("CREATE TABLE t (a TEXT)", "INSERT INTO t VALUES (NULL), (NULL)"),
        ("CREATE TABLE t (a BLOB)", "INSERT INTO t VALUES (x'00'), (x'01')"),
        ("CREATE TABLE t (a)", "DROP TABLE t"),
    ],
)
def test_from_a_database_that_says_nothing_come_no_queries(tmp_path: Path, statements: tuple[str, ...]) -> None:
    with database_of(tmp_path / "poor.sqlite", *statements) as database:
        assert list(sample_queries(profile(database), count=10)) == []


def test_in_a_wide_table_a_phone_number_is_asked_about_too(tmp_path: Path) -> None:
    texts = ("first_name", "last_name", "title", "city", "country", "email", "phone", "fax", "postal_code", "address")
    numbers = ("age", "salary", "bonus", "height")
    columns = ["id INTEGER PRIMARY KEY", *(f"{name} TEXT" for name in texts), *(f"{name} INTEGER" for name in numbers)]
    rows = []
    for row in range(40):
        cells = [f"'{name} {row % 10 if name in ('city', 'title', 'country') else row}'" for name in texts]
        rows.append(f"({', '.join([str(row), *cells, *(str(row * k) for k in range(3, 7))])})")
    fill = f"INSERT INTO staff VALUES {', '.join(rows)}"
    with database_of(tmp_path / "wide.sqlite", f"CREATE TABLE staff ({', '.join(columns)})", fill) as database:
        found = list(sample_queries(profile(database), count=1000))
    asked = Counter(column.column for query in found for column in set(columns_of(query)))
    average = sum(asked.values()) / len(columns)
    assert min(asked[name] for name in (*texts, *numbers)) > average / 4


def test_few_queries_end_and_do_not_repeat(tmp_path: Path) -> None:
    rows = "INSERT INTO t VALUES ('a'), ('b'), ('b')"
    with database_of(tmp_path / "tiny.sqlite", "CREATE TABLE t (city TEXT)", rows) as database:
        found = list(sample_queries(profile(database), count=10_000))
    assert 5 < len(found) < 500
    assert len(set(found)) == len(found)


def test_odd_names_and_values_are_written_so_that_they_run(tmp_path: Path) -> None:
    statements = (
        'CREATE TABLE "order" ("select" INTEGER PRIMARY KEY, "two words" TEXT, "a""b" REAL, "姓名" TEXT, "😀" INTEGER, '
        '"Case" TEXT, "it\'s" TEXT)',
        'CREATE TABLE "学生 表" ("编号" INTEGER PRIMARY KEY, "order_select" INTEGER REFERENCES "order", '
        '"年级" INTEGER, "GROUP" TEXT)',
        *(
            f"INSERT INTO \"order\" VALUES ({n}, 'O''Neil {n % 5}', {n * 1.25}, '王军建{n}', {n % 9}, "
            f"'{'ab'[n % 2]}', 'x%_{n}')"
            for n in range(1, 41)
        ),
        *(f"INSERT INTO \"学生 表\" VALUES ({n}, {n % 30 + 1}, {n % 3 + 7}, 'Größe {n % 4}')" for n in range(1, 61)),
    )
    with database_of(tmp_path / "odd.sqlite", *statements) as database:
        verifier = Verifier(database)
        verdicts = [verifier.verify(query) for query in sample_queries(profile(database), count=400)]
        assert len(verdicts) == 400
        assert not [each.sql for each in verdicts if each.reason == "does not run"]
        assert all(canonical(each.sql, database.schema) == each.sql for each in verdicts)
        assert sum(each.reason is None for each in verdicts) > 100


@pytest.mark.skipif(not SPIDER.is_dir(), reason="Spider's databases are not here")
def test_over_real_databases_every_sampled_query_runs_in_the_one_surface() -> None:
    """Some of Spider's training databases; `benchmarks/skeletons.py` does the same with all and many more queries."""
    sound = 0
    for path in sorted(SPIDER.glob("*/*.sqlite"))[::6]:
        with Database.open(path) as database:
            verifier = Verifier(database)
            for query in sample_queries(profile(database), seed=1, count=25):
                verdict = verifier.verify(query)
                assert verdict.reason != "does not run", verdict.sql
                assert canonical(verdict.sql, database.schema) == verdict.sql
                sound += verdict.reason is None
    assert sound > 250


def database_of(path: Path, *statements: str) -> Database:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return Database.open(path)
