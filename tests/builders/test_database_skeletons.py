"""Queries of the same construct and join shape have one skeleton, others have another."""

from __future__ import annotations

import pytest

from myna.builders.database.skeleton import skeleton


@pytest.mark.parametrize(
    ("sql", "bones"),
    [
        ("SELECT count(*) FROM a", "SELECT COUNT(*) FROM t"),
        ("SELECT x AS n, count(DISTINCT y) FROM a GROUP BY x", "SELECT COUNT(DISTINCT _), _ FROM t GROUP BY _"),
        ("SELECT a.x FROM a WHERE (y != 'v' AND z >= -3)", "SELECT _ FROM t WHERE _ <> ? AND _ >= ?"),
        ("SELECT x FROM a WHERE z >= 3 AND y <> 'w'", "SELECT _ FROM t WHERE _ <> ? AND _ >= ?"),
        ('SELECT x FROM a WHERE y = "quoted"', "SELECT _ FROM t WHERE _ = ?"),
        ("SELECT x FROM a WHERE y = z", "SELECT _ FROM t WHERE _ = _"),
        ("SELECT x FROM a WHERE y NOT IN (1, 2) OR z LIKE '%q'", "SELECT _ FROM t WHERE NOT _ IN (?) OR _ LIKE ?"),
        ("SELECT x FROM a WHERE y IN (SELECT z FROM b)", "SELECT _ FROM t WHERE _ IN (SELECT _ FROM t)"),
        (
            "SELECT T1.x FROM a AS T1 JOIN b AS T2 ON T1.i = T2.i JOIN c AS T3 ON T2.j = T3.j ORDER BY x ASC LIMIT 5",
            "SELECT _ FROM t JOIN t JOIN t ON _ = _ AND _ = _ ORDER BY _ LIMIT ?",
        ),
        (
            "SELECT x FROM a UNION ALL SELECT max(y) - 1 FROM b GROUP BY z HAVING avg(w) BETWEEN 1 AND 2",
            "SELECT _ FROM t UNION ALL SELECT MAX(_) - ? FROM t GROUP BY _ HAVING AVG(_) BETWEEN ? AND ?",
        ),
        (
            "SELECT x FROM a WHERE (y = 1 OR y = 2) AND z IS NULL",
            "SELECT _ FROM t WHERE (_ = ? OR _ = ?) AND _ IS NULL",
        ),
        ("SELECT max(n) FROM (SELECT count(*) AS n FROM a)", "SELECT MAX(_) FROM (SELECT COUNT(*) FROM t)"),
    ],
)
def test_names_values_and_order_are_taken_away(sql: str, bones: str) -> None:
    assert skeleton(sql) == bones


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT x FROM a", "SELECT DISTINCT x FROM a"),
        ("SELECT x FROM a", "SELECT x, y FROM a"),
        ("SELECT min(x) FROM a", "SELECT max(x) FROM a"),
        ("SELECT x FROM a WHERE y > 1", "SELECT x FROM a WHERE y < 1"),
        ("SELECT x FROM a JOIN b ON a.i = b.i", "SELECT x FROM a LEFT JOIN b ON a.i = b.i"),
        ("SELECT x FROM a ORDER BY y", "SELECT x FROM a ORDER BY y DESC"),
        ("SELECT x FROM a LIMIT 1", "SELECT x FROM a LIMIT 1 OFFSET 2"),
    ],
)
def test_other_constructs_are_other_skeletons(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)
