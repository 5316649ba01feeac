import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from myna.text2sql.extraction import sql_from_answer

SHARED = Path(__file__).parents[3] / "shared" / "data"

PLAIN = [
    "SELECT count(*) FROM head WHERE age  >  56",
    "select a, b from t where c = 'it''s; here' order by 1",
    'SELECT COUNT("Name") FROM "1-10015132-16" WHERE "Position" = \'Guard\'',
    "SELECT COUNT Name FROM 1-10015132-16 WHERE Years = 1989-92; 1994-95",
    "SELECT a\nFROM t\n\nWHERE b = 'two\n\nlines'\nLIMIT 3",
    "WITH RECURSIVE x(n) AS (SELECT 1 UNION SELECT n + 1 FROM x) SELECT n FROM x",
    "(SELECT a FROM t) UNION (SELECT a FROM u)",
    "SELECT `a b`, [c;d] FROM t -- a comment; with a semicolon\nWHERE e = 1",
    "SELECT a FROM t WHERE b = '```'",
    "DROP TABLE students",
    "SELECT 1; DROP TABLE students",
]


@pytest.mark.parametrize("sql", PLAIN)
def test_plain_sql_comes_out_as_it_is(sql):
    assert sql_from_answer(sql) == sql
    assert sql_from_answer(f"  {sql} ;\n") == sql


@pytest.mark.parametrize(
    ("answer", "sql"),
    [
        ("```sql\nSELECT a\nFROM t;\n```\nIt returns a.", "SELECT a\nFROM t"),
        (
            "```\nname\nTony\n```\n\n```SQL\nWITH x AS (SELECT 1)\nSELECT * FROM x\n```",
            "WITH x AS (SELECT 1)\nSELECT * FROM x",
        ),
        ("```sql\nSELECT a FROM t", "SELECT a FROM t"),
        ("```select a from t```", "select a from t"),
        ("~~~\nSELECT a FROM t\n~~~", "SELECT a FROM t"),
        ("SELECT a FROM t\n```\nMore text.", "SELECT a FROM t"),
        ("Select the names:\n```sql\nSELECT name FROM t\n```", "SELECT name FROM t"),
        ("SQL: select a from t", "select a from t"),
        ("Answer: SELECT a FROM t;", "SELECT a FROM t"),
        ("A: SELECT a FROM t\nQ: What else?\nA: SELECT b FROM t", "SELECT a FROM t"),
        ("**SQL:** `SELECT a FROM t`", "SELECT a FROM t"),
        ("Use `SELECT name FROM t` to select the names.", "SELECT name FROM t"),
        ("Sure, here is the query: SELECT a FROM t; It returns a.", "SELECT a FROM t"),
        ("The answer is SELECT a FROM t", "SELECT a FROM t"),
        (
            "Here you go.\n\n  SELECT a,\n    b\n  FROM t\n\nWith this query you get a and b.",
            "SELECT a,\n    b\n  FROM t",
        ),
        ("SELECT a FROM t\nThis query returns a.", "SELECT a FROM t"),
        ("SELECT a FROM t;\n-- done", "SELECT a FROM t"),
        ("SELECT COUNT Name FROM 1-2-3 WHERE a = b\nNote: none", "SELECT COUNT Name FROM 1-2-3 WHERE a = b"),
        ("SELECT a FROM FROM t,\n b\n\nIt does not parse.", "SELECT a FROM FROM t,\n b"),
        ("<think>SELECT b?</think>\nSELECT a FROM t", "SELECT a FROM t"),
    ],
)
def test_the_stated_rule(answer, sql):
    assert sql_from_answer(answer) == sql


@pytest.mark.parametrize("answer", ["", " \n", "I don't know.", "```\n```", "The table has no such column: name.", ";"])
def test_an_answer_without_sql_is_none(answer):
    assert sql_from_answer(answer) is None


@given(
    st.text()
    | st.lists(st.sampled_from([*PLAIN, "```", "```sql", ":", ";", "'", '"', "\n", "(", "/*", "SELECT"])).map(" ".join)
)
@example("SELECT " + "(" * 3000)
@example("SELECT 1" + "\n" * 5000)
@example("SELECT a\n" * 300)
@settings(deadline=None)
def test_it_never_raises_and_gives_no_empty_text(answer):
    sql = sql_from_answer(answer)
    assert sql is None or sql.strip() == sql


@given(
    st.sampled_from(PLAIN[:8]), st.sampled_from(["```sql\n{}\n```", "SQL: {};", "Sure:\n\n{};\n\nThat is all.", "{};"])
)
def test_wrapping_a_query_changes_nothing(sql, wrapping):
    assert sql_from_answer(wrapping.format(sql)) == sql


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
def test_all_gold_of_spider_and_of_wikisqls_surface_comes_out_unchanged():
    spider = json.loads((SHARED / "spider" / "train_spider.json").read_text("utf-8"))
    gold = [question["query"] for question in spider[::5]]
    with (SHARED / "mlx_wikisql" / "train.jsonl").open(encoding="utf-8") as file:
        gold += [json.loads(line)["text"].rpartition("\nA: ")[2] for line in file]
    for sql in gold:
        assert sql_from_answer(sql) == sql.strip().rstrip(";").strip()
