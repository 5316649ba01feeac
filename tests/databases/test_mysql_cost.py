"""Which queries are refused because nothing on a MySQL or MariaDB server could interrupt them, and which are not."""

import pytest

from myna.databases.mysql_cost import check_cost
from myna.databases.tokens import mysql_tokens
from myna.errors import QueryError


@pytest.mark.parametrize(
    "condition",
    [
        r"mail REGEXP '^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\\.[A-Za-z]{2,}$'",
        r"address RLIKE '^([0-9]{1,3}\\.){3}[0-9]{1,3}$' AND id = 1",
        r"phone REGEXP '^\\+?[0-9]{3}-?[0-9]{3}-?[0-9]{4}$'",
        r"name NOT REGEXP '^(Mr|Mrs|Dr)\\.? [[:alpha:]]+' OR id > 3",
        "name REGEXP BINARY '[]+*(]+' COLLATE utf8mb4_bin",
        "name REGEXP '(?i)^(?:ab)*c'",
        "regexp_replace(phone, '[^0-9]', '') = '123'",
        "repeat('x', 20000) = name",
        "concat(repeat('*', 20), repeat('-', 20)) = concat(repeat('*', 20), repeat('-', 20), repeat('+', 20), 'x')",
        "repeat('*', least(stars, 5)) = '*****'",
        "lpad(id, 5, '0') = concat(space(3), rpad(name, 100, ' '))",
        "replace(replace(name, '-', ''), '&', ' and ') = concat(name, ', ', city, ', ', street)",
        "st_contains(st_geomfromtext('POLYGON((0 0, 1 0, 1 1, 0 0))'), place)",
        "`repeat` = 1 AND t.space = 2",
        "hex(name) IN (SELECT hex(name) FROM a UNION SELECT hex(name) FROM b)",
    ],
)
def test_what_takes_no_time_is_run(condition: str) -> None:
    check_cost(mysql_tokens(f"SELECT a FROM t WHERE {condition}"))


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("a REGEXP '(a+)+b'", "a repeated group holds a repeat"),
        ("a REGEXP '(a|aa)*b'", "a repeated group holds a repeat or alternatives"),
        ("a REGEXP '((a|b)c){2,}'", "a repeated group holds"),
        ("a REGEXP 'a*a*a*a*b'", "too many repeats"),
        ("a REGEXP '(a?){30}a'", "too many repeats"),
        ("a REGEXP 'a?a?a?a?a?a?a?a?a?a?aaaaaaaaaaa'", "too many repeats"),
        ("a REGEXP '(?x)( a + ) +'", "can't be checked from"),
        (r"a REGEXP '\\Q[\\E(a+)+'", "can't be checked from"),
        ("a REGEXP '(a+)(?1)+'", "can't be checked from"),
        ("a REGEXP 'a)+'", "can't be checked from"),
        ("a REGEXP b", "must stand in the query"),
        ("a REGEXP '(a+' ')+'", "must stand in the query"),
        ("a REGEXP '(a+' || ')+'", "must stand in the query"),
        ("a REGEXP (SELECT '(a+)+')", "must stand in the query"),
        ("regexp_instr(a, concat('(a+)', '+')) = 1", "must stand in the query"),
        ("repeat('x', 20001) = a", "more than 20,000 characters"),
        ("repeat(repeat('x', 200), 200) = a", "more than 20,000 characters"),
        ("repeat('x', 2000) REGEXP 'x'", "more than 1,000 characters"),
        ("st_isclosed(st_geomfromtext(repeat('x', 6000)))", "more than 5,000 characters"),
        ("rpad('x', 30000, 'y') = a", "more than 20,000 characters"),
        ("cast('x' AS BINARY(30000)) = a", "more than 20,000 characters"),
        ("a = (SELECT repeat(b, 200) FROM (SELECT repeat('xx', 200) AS b) AS c)", "more than 20,000 characters"),
        ("replace(repeat('x', 1000), 'x', 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy') = a", "more than 20,000 characters"),
        ("repeat('x', 1000 * 1000) = a", "must stand in the query as a number"),
        ("repeat('x', 1e9) = a", "must stand in the query as a number"),
        ("space(b) = a", "must stand in the query as a number"),
        ("repeat('x', least(b, c)) = a", "must stand in the query as a number"),
    ],
)
def test_what_could_take_hours_is_refused(condition: str, why: str) -> None:
    with pytest.raises(QueryError, match=why) as caught:
        check_cost(mysql_tokens(f"SELECT a FROM t WHERE {condition}"))
    assert caught.value.kind == "refused"


def test_deep_nesting_is_measured_without_recursion() -> None:
    check_cost(mysql_tokens("SELECT " + "(" * 20_000 + "1" + ")" * 20_000))
