"""Promises of normal forms and causes: spelling does not count, and what differs is named."""

from __future__ import annotations

import pytest

from myna.databases import Column, Schema, Table
from myna.text2sql.scoring.causes import CAUSES, differences
from myna.text2sql.scoring.normal_form import normal_form, same_tree

SCHEMA = Schema(
    (
        Table("students", (Column("id", "", "number"), Column("name", "", "text"), Column("age", "", "number"))),
        Table("visits", (Column("student_id", "", "number"), Column("course", "", "text"))),
    )
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("select a from t", 'SELECT T."A" FROM T;'),
        ("select x.a from t as x", "select a from t"),
        ("select a as b from t", "select a from t"),
        ("select a from t where b = 1 and (c = 2 or d = 3)", "select a from t where (3 = d or c = 2.0) and b = 1"),
        ("select a from t where b > 1", "select a from t where 1 < b"),
        ("select a from t where b != 1", "select a from t where b <> 1"),
        ("select a from t where b in (1, 2)", "select a from t where b in (2, 1)"),
        ("select a from x join y on x.i = y.i", "select a from y, x where y.i = x.i"),
        ("select a from x inner join y on x.i = y.i", "select a from x cross join y where x.i = y.i"),
        ("select count(*) as c from t group by b order by c desc", "select count(*) from t group by b order by 1 desc"),
        ("select a from t order by a", "select a from t order by a asc"),
        (
            "select a from t t1 where b in (select c from u t1 where t1.d = 1)",
            "select a from t where b in (select u.c from u where d = 1)",
        ),
        ("select p.a from t p join t q on p.i = q.j", "select x.a from t x join t y on x.i = y.j"),
        ("select a -- why\nfrom t", "select a from t /* so */"),
    ],
)
def test_spelling_does_not_count(one: str, other: str) -> None:
    assert same_tree(one, other, "sqlite")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("select a from t", "select b from t"),
        ("select a, b from t", "select b, a from t"),
        ("select a from t where b = 'X'", "select a from t where b = 'x'"),
        ("select a from t where b = 1", "select a from t where b = '1'"),
        ("select a from t where b = 1 or c = 1 and d = 2", "select a from t where (b = 1 or c = 1) and d = 2"),
        ("select a from t where b > c", "select a from t where c > b"),
        ("select a from t order by a", "select a from t order by a desc"),
        ("select a from t limit 1", "select a from t limit 2"),
        ("select distinct a from t", "select a from t"),
        ("select a from x left join y on x.i = y.i", "select a from y left join x on x.i = y.i"),
        ("select p.a from t p join t q on p.i = q.j", "select q.a from t p join t q on p.i = q.j"),
        ("select a from t union select b from u", "select a from t union all select b from u"),
        ("select a from t except select b from u", "select b from u except select a from t"),
    ],
)
def test_what_changes_the_question_counts(one: str, other: str) -> None:
    assert not same_tree(one, other, "sqlite")
    assert same_tree(one, one, "sqlite")


def test_a_schema_tells_whose_column_it_is() -> None:
    bare = "select name from students join visits on id = student_id where course = 'sql'"
    full = "select s.name from visits v join students s on s.id = v.student_id where v.course = 'sql'"
    assert not same_tree(bare, full, "sqlite")
    assert same_tree(bare, full, "sqlite", SCHEMA)


@pytest.mark.parametrize("sql", ["", "selec a from t", "select a from", "select a; select b", "(" * 5000])
def test_what_can_not_be_parsed_has_no_normal_form(sql: str) -> None:
    assert normal_form(sql, "sqlite") is None
    assert not same_tree(sql, sql, "sqlite")


GOLD = "SELECT name FROM t WHERE a = 1 AND b = 'x'"


@pytest.mark.parametrize(
    ("predicted", "causes"),
    [
        ("SELECT name FROM u WHERE a = 1 AND b = 'x'", ["wrong table"]),
        ("SELECT name FROM t JOIN u ON t.i = u.i WHERE a = 1 AND b = 'x'", ["wrong join"]),
        ("SELECT name FROM t WHERE a = 1 AND b = 'x' UNION SELECT name FROM t", ["wrong set operation"]),
        ("SELECT max(name) FROM t WHERE a = 1 AND b = 'x'", ["wrong aggregate"]),
        ("SELECT c FROM t WHERE a = 1 AND b = 'x'", ["wrong column"]),
        ("SELECT name, c FROM t WHERE a = 1 AND b = 'x'", ["wrong column"]),
        ("SELECT * FROM t WHERE a = 1 AND b = 'x'", ["wrong column"]),
        ("SELECT name FROM t WHERE a = 1", ["missing condition"]),
        ("SELECT name FROM t", ["missing condition"]),
        ("SELECT name FROM t WHERE a = 1 AND b = 'x' AND c = 2", ["extra condition"]),
        ("SELECT name FROM t WHERE c = 1 AND b = 'x'", ["wrong condition column"]),
        ("SELECT name FROM t WHERE a > 1 AND b = 'x'", ["wrong operator"]),
        ("SELECT name FROM t WHERE a = 1 AND NOT b = 'x'", ["wrong operator"]),
        ("SELECT name FROM t WHERE a = 1 OR b = 'x'", ["wrong operator"]),
        ("SELECT name FROM t WHERE a = 2 AND b = 'x'", ["wrong condition value"]),
        ("SELECT name FROM t WHERE a > 2 AND b = 'x'", ["wrong operator", "wrong condition value"]),
        ("SELECT name FROM t WHERE a = 1 AND b = 'x' GROUP BY name", ["wrong grouping"]),
        ("SELECT name FROM t WHERE a = 1 AND b = 'x' ORDER BY name", ["wrong order or limit"]),
        ("SELECT name FROM t WHERE a = 1 AND b = 'x' LIMIT 1", ["wrong order or limit"]),
        ("SELECT DISTINCT name FROM t WHERE a = 1 AND b = 'x'", ["wrong distinct"]),
        ("SELECT max(c) FROM t WHERE a = 3 AND b = 'x'", ["wrong aggregate", "wrong column", "wrong condition value"]),
        ("SELECT name FROM t WHERE b = 'x' AND a = 1", ["other"]),
        ("not sql at all", ["other"]),
    ],
)
def test_what_differs_is_named(predicted: str, causes: list[str]) -> None:
    assert list(differences(GOLD, predicted, "sqlite")) == causes
    assert set(causes) <= set(CAUSES)


@pytest.mark.parametrize(
    ("gold", "predicted", "cause"),
    [
        ("select count(distinct a) from t", "select count(a) from t", "wrong distinct"),
        (
            "select a from t where b = (select max(b) from t)",
            "select a from t where b = (select min(b) from t)",
            "wrong aggregate",
        ),
        ("select t.a from t join u on t.i = u.i", "select t.a from t join u on t.i = u.k", "wrong join"),
        ("select t.a from t join u on t.i = u.i", "select t.a from t left join u on t.i = u.i", "wrong join"),
        ("select t.a from t join u on t.i = u.i", "select u.a from t join u on t.i = u.i", "wrong column"),
        ("select a from t order by b", "select a from t order by b desc", "wrong order or limit"),
        ("select a from t group by a having count(*) > 1", "select a from t group by a", "wrong grouping"),
        ("select a from t where b in (1, 2)", "select a from t where b in (1, 3)", "wrong condition value"),
        ("select a from t where b between 1 and 2", "select a from t where b between 1 and 3", "wrong condition value"),
        ("select a from t where b like '%x%'", "select a from t where b = 'x'", "wrong operator"),
    ],
)
def test_the_first_cause_is_what_went_wrong(gold: str, predicted: str, cause: str) -> None:
    assert differences(gold, predicted, "sqlite")[0] == cause
