"""A query is kept only when its answer says something that no simpler question says."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from myna.builders.database.query import (
    Aggregate,
    ColumnOf,
    Comparison,
    Having,
    InQuery,
    Item,
    Join,
    OneOf,
    Order,
    Query,
    Rows,
    SetOperation,
    Where,
)
from myna.builders.database.verify import FIRST_ROWS, Verdict, Verifier
from myna.databases import Database, Limits

NAME, AGE, CITY, HEIGHT = (ColumnOf("people", name) for name in ("name", "age", "city", "height"))
OWNER, KIND = ColumnOf("pets", "owner"), ColumnOf("pets", "kind")
PETS = Join(((ColumnOf("people", "id"), OWNER),))
COUNT = Aggregate("count", Rows("people"))
PEOPLE = [
    (1, "Ann", 30, "Rome", 1.5),
    (2, "Bo", 40, "Rome", 1.6),
    (3, "Cai", 50, "Oslo", 1.7),
    (4, "Dee", 50, "Oslo", None),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("people") / "people.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, age INTEGER, city TEXT, height REAL)")
    connection.execute("CREATE TABLE pets (owner INTEGER REFERENCES people, kind TEXT)")
    connection.execute("CREATE TABLE numbers (n INTEGER)")
    connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?, ?)", PEOPLE)
    connection.executemany("INSERT INTO pets VALUES (?, ?)", [(1, "cat"), (1, "cat"), (2, "dog")])
    connection.executemany("INSERT INTO numbers VALUES (?)", [(number,) for number in range(2000)])
    connection.commit()
    connection.close()
    with Database.open(path) as opened:
        yield opened


def people(*select: Item, where: Where | None = None, **parts) -> Query:
    return Query(select, "people", where=where, **parts)


def those(*conditions, any: bool = False) -> Where:
    return Where(conditions, any)


GOOD = [
    people(NAME, where=those(Comparison(CITY, "=", "Rome"))),
    people(NAME),
    people(COUNT),
    people(CITY, distinct=True),
    people(CITY, COUNT, group_by=(CITY,)),
    people(NAME, where=those(Comparison(AGE, ">", 35), Comparison(CITY, "=", "Rome"))),
    people(NAME, order_by=(Order(AGE, False),), limit=2),
    people(Rows("people"), order_by=(Order(AGE, False),), limit=1),
    people(NAME, where=those(InQuery(ColumnOf("people", "id"), Query((OWNER,), "pets"), negated=True))),
    people(CITY, group_by=(CITY,), having=Having(Aggregate("avg", AGE), ">", 40)),
    people(Aggregate("count", CITY, distinct=True)),
    Query((NAME,), "people", (PETS,), those(Comparison(KIND, "=", "cat")), distinct=True),
    people(
        NAME,
        set_operation=SetOperation("except", people(NAME, where=those(Comparison(CITY, "=", "Rome")))),
    ),
]
BAD = [
    ("empty", people(NAME, where=those(Comparison(AGE, ">", 99)))),
    ("empty", people(COUNT, where=those(Comparison(AGE, ">", 99)))),
    ("empty", people(Aggregate("avg", HEIGHT), where=those(Comparison(NAME, "=", "Dee")))),
    ("empty", people(HEIGHT, where=those(Comparison(NAME, "=", "Dee")))),
    ("whole table", people(Rows("people"))),
    ("too long", Query((ColumnOf("numbers", "n"),), "numbers")),
    ("simpler", people(NAME, where=those(Comparison(AGE, ">", 1)))),
    ("simpler", people(NAME, where=those(Comparison(AGE, ">", 35), Comparison(CITY, "=", "Oslo")))),
    ("simpler", people(NAME, where=those(OneOf(CITY, ("Rome", "Paris"))))),
    ("simpler", people(NAME, where=those(Comparison(CITY, "=", "Rome"), Comparison(AGE, "=", 30), any=True))),
    ("simpler", people(Aggregate("max", AGE), where=those(Comparison(CITY, "=", "Oslo")))),
    ("simpler", people(NAME, distinct=True)),
    ("simpler", people(Aggregate("count", NAME, distinct=True))),
    ("simpler", people(CITY, group_by=(CITY,), having=Having(COUNT, ">", 1))),
    ("simpler", people(NAME, set_operation=SetOperation("except", people(CITY)))),
    ("simpler", people(NAME, set_operation=SetOperation("union", people(NAME)))),
    ("tie", people(NAME, order_by=(Order(AGE, True),), limit=1)),
    ("tie", people(CITY, group_by=(CITY,), order_by=(Order(COUNT, True),), limit=1)),
    ("tie", people(NAME, order_by=(Order(HEIGHT, False),), limit=1)),  # the first is NULL
    ("tie", people(NAME, order_by=(Order(AGE, False),), limit=4)),  # there are no more
    ("tie", people(NAME, AGE, distinct=True, order_by=(Order(AGE, True),), limit=1)),
    ("simpler", people(NAME, where=those(Comparison(AGE, "=", 30)), order_by=(Order(NAME, False),))),
    ("repeats", Query((NAME,), "people", (PETS,), those(Comparison(KIND, "=", "cat")))),
    ("does not run", people(ColumnOf("people", "nothing"))),
]


@pytest.mark.parametrize("query", GOOD, ids=str)
def test_what_says_something_is_kept_with_its_answer(database: Database, query: Query) -> None:
    verdict = Verifier(database).verify(query)
    assert verdict.reason is None
    assert verdict.result is not None
    assert verdict.result.rows == database.run(verdict.sql).rows


@pytest.mark.parametrize(("reason", "query"), BAD, ids=str)
def test_what_says_nothing_is_refused_with_the_reason(database: Database, reason: str, query: Query) -> None:
    assert Verifier(database).verify(query).reason == reason


def test_one_verifier_gives_the_verdicts_of_many(database: Database) -> None:
    verifier = Verifier(database)
    for _ in range(2):
        for reason, query in [*((None, query) for query in GOOD), *BAD]:
            assert verifier.verify(query).reason == reason


def test_an_answer_of_which_a_part_was_read_for_comparison_is_whole_when_it_is_asked_for(database: Database) -> None:
    verifier = Verifier(database)
    assert verifier.verify(people(NAME, where=those(Comparison(NAME, "=", "Ann")))).reason is None  # reads two of all
    verdict = verifier.verify(people(NAME))
    assert verdict.result is not None
    assert len(verdict.result.rows) == len(database.run("SELECT name FROM people").rows) > 2


def test_a_table_that_takes_too_long_is_left_for_the_others(tmp_path: Path) -> None:
    path = tmp_path / "endless.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a INTEGER)")
    connection.execute("INSERT INTO t VALUES (1), (2), (3)")
    connection.execute(
        "CREATE VIEW endless AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c"
    )
    connection.commit()
    connection.close()
    slow = Query((Aggregate("count", Rows("endless")),), "endless")
    with Database.open(path, limits=Limits(seconds=0.2)) as database:
        verifier = Verifier(database, seconds_a_table=0.1)
        assert verifier.verify(slow).reason == "takes too long"
        other = Query((Aggregate("max", ColumnOf("endless", "n")),), "endless")
        assert verifier.verify(other) == Verdict("SELECT MAX(n) FROM endless", "takes too long")  # not run at all
        assert verifier.verify(Query((Aggregate("sum", ColumnOf("t", "a")),), "t")).reason is None


def test_of_a_table_that_takes_too_long_the_first_rows_stand_for_all(tmp_path: Path) -> None:
    path = tmp_path / "large.sqlite"
    connection = sqlite3.connect(path)
    connection.execute('CREATE TABLE "all sales" (id INTEGER PRIMARY KEY, shop INTEGER, price INTEGER)')
    connection.execute("CREATE TABLE shops (id INTEGER PRIMARY KEY, name TEXT)")
    connection.executemany(
        'INSERT INTO "all sales" VALUES (?, ?, ?)', [(row, row % 3, row) for row in range(FIRST_ROWS + 500)]
    )
    connection.executemany("INSERT INTO shops VALUES (?, ?)", [(0, "North"), (1, "South"), (2, "West")])
    connection.commit()
    connection.close()
    price, shop, name = ColumnOf("all sales", "price"), ColumnOf("all sales", "shop"), ColumnOf("shops", "name")
    at_shop = Join(((shop, ColumnOf("shops", "id")),))
    with Database.open(path) as database:
        verifier = Verifier(database, tables=["all sales", "shops"], seconds_a_table=0.0)
        whole = verifier.verify(Query((Aggregate("max", price),), "all sales"))
        assert whole.result is not None
        assert whole.result.rows == ((FIRST_ROWS + 499,),)
        assert not verifier.in_part
        in_part = verifier.verify(Query((Aggregate("count", Rows("all sales")),), "all sales"))
        assert in_part.result is not None
        assert in_part.result.rows == ((FIRST_ROWS,),)
        assert (in_part.sql, in_part.reason) == ('SELECT COUNT(*) FROM "all sales"', None)
        joined = Query((Aggregate("max", price),), "all sales", (at_shop,), those(Comparison(name, "=", "West")))
        verdict = verifier.verify(joined)
        assert (verdict.reason, list(verifier.in_part)) == (None, ["all sales"])
        assert verdict.result is not None
        assert verdict.result.rows == ((max(range(2, FIRST_ROWS, 3)),),)
        assert database.run(verdict.sql).rows > verdict.result.rows
