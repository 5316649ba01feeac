"""A query is written in the one surface, in every dialect, whatever names and values it has."""

from __future__ import annotations

import pytest

from myna.builders.database.query import (
    AgainstAggregate,
    Aggregate,
    Arithmetic,
    Between,
    ColumnOf,
    Comparison,
    DatePart,
    Having,
    InQuery,
    Join,
    Matches,
    Missing,
    OneOf,
    Order,
    Query,
    Rows,
    SetOperation,
    Where,
)
from myna.builders.database.sql import to_sql
from myna.text2sql.surface import canonical
from sql_schemas import ODD, SCHOOL

NAME, AGE, HEIGHT = (ColumnOf("students", name) for name in ("Name", "Age", "Height"))
SCHOOL_ID, CITY = ColumnOf("students", "SchoolID"), ColumnOf("schools", "City")
TO_SCHOOL = Join(((SCHOOL_ID, ColumnOf("schools", "ID")),))
AGE_LESS = Arithmetic("-", AGE, HEIGHT)
COUNT = Aggregate("count", Rows("students"))


def over(*conditions, any: bool = False) -> Query:
    return Query((NAME,), "students", where=Where(conditions, any))


QUERIES = [
    (Query((Rows("students"),), "students"), "SELECT * FROM students"),
    (Query((NAME, AGE), "students", distinct=True), "SELECT DISTINCT Name, Age FROM students"),
    (
        Query((Aggregate("count", NAME, distinct=True), Aggregate("avg", AGE)), "students"),
        "SELECT COUNT(DISTINCT Name), AVG(Age) FROM students",
    ),
    (over(Comparison(NAME, "=", "O'Neil")), "SELECT Name FROM students WHERE Name = 'O''Neil'"),
    (
        over(Comparison(AGE, "<>", 3), Missing(HEIGHT), any=True),
        "SELECT Name FROM students WHERE Age <> 3 OR Height IS NULL",
    ),
    (over(Missing(HEIGHT, negated=True)), "SELECT Name FROM students WHERE Height IS NOT NULL"),
    (over(Between(HEIGHT, 1.5, 2)), "SELECT Name FROM students WHERE Height BETWEEN 1.5 AND 2"),
    (over(Matches(NAME, "begins", "A")), "SELECT Name FROM students WHERE Name LIKE 'A%'"),
    (over(Matches(NAME, "ends", "a", negated=True)), "SELECT Name FROM students WHERE Name NOT LIKE '%a'"),
    (over(Matches(NAME, "contains", "nn")), "SELECT Name FROM students WHERE Name LIKE '%nn%'"),
    (over(OneOf(AGE, (1, 2), negated=True)), "SELECT Name FROM students WHERE Age NOT IN (1, 2)"),
    (
        over(AgainstAggregate(AGE, ">", Aggregate("avg", AGE))),
        "SELECT Name FROM students WHERE Age > (SELECT AVG(Age) FROM students)",
    ),
    (
        over(InQuery(SCHOOL_ID, Query((ColumnOf("schools", "ID"),), "schools"), negated=True)),
        "SELECT Name FROM students WHERE SchoolID NOT IN (SELECT ID FROM schools)",
    ),
    (
        over(DatePart(NAME, "year", "=", 2020, "%d.%m.%Y")),
        "SELECT Name FROM students WHERE Name LIKE '%.2020'",
    ),
    (
        over(DatePart(NAME, "year", ">", 2020, "%Y-%m-%d")),
        "SELECT Name FROM students WHERE Name >= '2021-01-01'",
    ),
    (
        over(DatePart(NAME, "month", "=", 3, of=2020)),
        "SELECT Name FROM students WHERE Name >= '2020-03-01' AND Name < '2020-04-01'",
    ),
    (
        over(DatePart(NAME, "month", "=", 12, of=2020)),
        "SELECT Name FROM students WHERE Name >= '2020-12-01' AND Name < '2021-01-01'",
    ),
    (
        over(DatePart(NAME, "year", "=", 2020), Comparison(AGE, ">", 3)),
        "SELECT Name FROM students WHERE Name >= '2020-01-01' AND Name < '2021-01-01' AND Age > 3",
    ),
    (
        over(DatePart(NAME, "year", "=", 2020), Comparison(AGE, ">", 3), any=True),
        "SELECT Name FROM students WHERE Name >= '2020-01-01' AND Name < '2021-01-01' OR Age > 3",
    ),
    (
        Query((NAME, AGE_LESS), "students", order_by=(Order(NAME, False), Order(AGE, True)), limit=3),
        "SELECT Name, Age - Height FROM students ORDER BY Name, Age DESC LIMIT 3",
    ),
    (
        Query(
            (CITY, COUNT), "students", (TO_SCHOOL,), Where((Comparison(AGE, ">=", 7),)), (CITY,),
            Having(COUNT, ">", 2), (Order(COUNT, True),), 1,
        ),
        "SELECT T2.City, COUNT(*) FROM students AS T1 JOIN schools AS T2 ON T1.SchoolID = T2.ID WHERE T1.Age >= 7 "
        "GROUP BY T2.City HAVING COUNT(*) > 2 ORDER BY COUNT(*) DESC LIMIT 1",
    ),
    (
        Query((NAME,), "students", set_operation=SetOperation("except", over(Comparison(AGE, ">", 7)))),
        "SELECT Name FROM students EXCEPT SELECT Name FROM students WHERE Age > 7",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("query", "sql"), QUERIES, ids=[sql[:60] for _, sql in QUERIES])
def test_a_query_is_written_in_the_one_surface(query: Query, sql: str) -> None:
    assert to_sql(query) == sql
    assert canonical(sql, SCHOOL) == sql


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql", "duckdb"])
def test_odd_names_and_values_survive_in_every_dialect(dialect: str) -> None:
    for table in ODD.tables:
        for column in table.columns:
            named = ColumnOf(table.name, column.name)
            query = Query((named,), table.name, where=Where((Comparison(named, "=", "it's a 'text'"),)))
            sql = to_sql(query, dialect)
            assert canonical(sql, ODD, dialect=dialect) == sql


def test_booleans_are_words() -> None:
    assert to_sql(over(Comparison(AGE, "=", True)), "postgres").endswith('WHERE "Age" = TRUE')


def test_a_year_cannot_be_before_another_in_dates_that_do_not_sort() -> None:
    with pytest.raises(ValueError, match="no SQL"):
        to_sql(over(DatePart(NAME, "year", "<", 2020, "%d.%m.%Y")))
