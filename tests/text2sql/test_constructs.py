import pytest

from myna.errors import QueryError
from myna.text2sql.constructs import CONSTRUCTS, constructs


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT a FROM t", ""),
        ('SELECT COUNT("Name") FROM "1-2" WHERE "Position" = \'Guard\'', "aggregate count where"),
        ("SELECT DISTINCT a FROM t ORDER BY a LIMIT 1", "distinct,order by,limit"),
        ("SELECT a FROM t WHERE b NOT LIKE 'x' AND c <> 1", "where,several conditions,not,like"),
        ("SELECT a FROM t WHERE b IS NOT NULL OR c BETWEEN 1 AND 2", "where,several conditions,or,not,null,between"),
        ("SELECT a FROM t JOIN u ON t.x = u.x GROUP BY a HAVING avg(b) > 1", "join,group by,having,aggregate,average"),
        ("SELECT a FROM t, u", "join"),
        ("SELECT a FROM t WHERE b IN (SELECT b FROM u)", "where in subquery"),
        ("SELECT a FROM t WHERE b IN (1, 2)", "where in"),
        ("SELECT a FROM (SELECT a FROM t)", "subquery"),
        ("SELECT a FROM t WHERE b > (SELECT max(b) FROM t)", "where subquery aggregate maximum"),
        ("SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u)", "where subquery"),
        ("SELECT a FROM t UNION SELECT a FROM u", "set operation"),
        ("(SELECT a FROM t) UNION (SELECT a FROM u)", "set operation"),
        ("(SELECT a FROM t)", ""),
        ("WITH x AS (SELECT sum(a) FROM t) SELECT * FROM x", "with aggregate sum"),
        ("SELECT min(a) - b FROM t", "aggregate minimum arithmetic"),
        ("SELECT CASE WHEN a THEN 1 END FROM t", "case"),
        ("SELECT rank() OVER (ORDER BY a) FROM t", "window"),
        ("SELECT group_concat(a) FROM t", "aggregate"),
    ],
)
def test_every_construct_is_named_and_no_other(sql, names):
    expected = names.split(",") if "," in names else names.split(" ")
    if names in CONSTRUCTS:
        expected = [names]
    assert constructs(sql, "sqlite") == {name for name in expected if name}
    assert constructs(sql, "sqlite") <= set(CONSTRUCTS)


@pytest.mark.parametrize("sql", ["SELECT COUNT Name FROM", "SELECT 1; SELECT 2", "", "DROP TABLE t"])
def test_what_is_not_one_query_has_no_constructs(sql):
    with pytest.raises(QueryError):
        constructs(sql, "sqlite")
