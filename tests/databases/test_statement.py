"""The gate in front of every database: one query, or a sentence that says why not."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.databases.statement import MAX_CHARACTERS, Steps, parse_query, parse_statements
from myna.errors import QueryError
from myna.text2sql.extraction import sql_from_answer
from myna.text2sql.scoring.normal_form import normal_form

DATA = Path(__file__).parents[3] / "shared" / "data"

QUERIES = """
SELECT 1
SELECT 1;
SELECT 1 ;; -- done
-- why\\n SELECT 1 /* because */
VALUES (1, 'a'), (2, 'b')
(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1 LIMIT 1
WITH a AS (SELECT 1 AS n), b AS (VALUES (2)) SELECT * FROM a, b
WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 5) SELECT n FROM c
SELECT COUNT("Name") FROM "1-10015132-16" WHERE "Position" = 'Guard'
SELECT `a b`, [c d], "e f" FROM `t t`
SELECT a FROM t WHERE b GLOB 'x*' AND c REGEXP 'y' AND d IS NOT DISTINCT FROM 1 AND e ISNULL AND f NOT NULL
SELECT a ->> '$.b', iif(a, 1, 2), x'00', 0x1F FROM t INDEXED BY i LIMIT 5, 3
SELECT sum(a) FILTER (WHERE b > 1) OVER w FROM t WINDOW w AS (PARTITION BY c ORDER BY d ROWS UNBOUNDED PRECEDING)
SELECT * FROM t WHERE (a, b) IN (SELECT 1, 2) OR a IN ()
SELECT * FROM a NATURAL LEFT OUTER JOIN b FULL JOIN c USING (x)
SELECT 姓名 FROM 学生 WHERE 年龄 = (SELECT max(年龄) FROM 学生)
SELECT replace(name, 'DELETE', 'INSERT INTO') AS "update" FROM "drop" WHERE note = '; DROP TABLE x'
SELECT * FROM pragma_table_info('t'), json_each('[1]')
""".strip().splitlines()

REFUSED = """
DELETE FROM t
INSERT INTO t VALUES (1)
UPDATE t SET a = 1
REPLACE INTO t VALUES (1)
DROP TABLE t
CREATE TABLE t (a)
ALTER TABLE t ADD b
PRAGMA user_version = 1
ATTACH 'x' AS y
VACUUM
EXPLAIN SELECT 1
COPY t TO 'x'
CALL f()
SET x = 1
BEGIN
GRANT ALL ON t TO public
SELECT 1; SELECT 2
SELECT 1; DROP TABLE t
SELECT a INTO b FROM t
SELECT * FROM t FOR UPDATE
SELECT * FROM t FOR SHARE
WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a
WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a
WITH a AS (SELECT 1) REPLACE INTO t SELECT * FROM a
DO $$ BEGIN DELETE FROM t; END $$
""".strip().splitlines()


@pytest.mark.parametrize("sql", QUERIES)
def test_one_query_passes(sql: str) -> None:
    parse_query(sql.replace("\\n", "\n"), "sqlite")


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql", "duckdb"])
@pytest.mark.parametrize("sql", REFUSED)
def test_what_is_not_one_reading_query_does_not_pass(
    sql: str, dialect: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(sql, dialect)
    assert caught.value.kind in ("refused", "syntax")
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("sql", "kind", "says"),
    [
        ("DELETE FROM t", "refused", "DELETE is not a query"),
        ("SELECT 1; SELECT 2", "refused", "more than one statement"),
        ("SELECT a INTO b FROM t", "refused", "INTO writes"),
        ("SELECT a b c FROM t", "syntax", 'line 1, column 12, near "c"'),
        ("SELEC a FROM t", "syntax", "begins with 'SELEC'"),
        ("The answer is 7.", "syntax", "begins with 'THE'"),
        ("SELECT * FROM t WHERE a = ?", "syntax", "placeholder"),
        ("SELECT * FROM t WHERE a = :name", "syntax", "placeholder"),
        ("", "syntax", "no statement"),
        ("  -- nothing\n", "syntax", "no statement"),
        (";", "syntax", "no statement"),
        ("SELECT '\x00'", "syntax", "U+0000 at position 9"),
        ("SELECT '\ud800'", "syntax", "U+D800 at position 9"),
        ("SELECT 'never closed", "syntax", "not valid SQL"),
        ("SELECT " + "1," * MAX_CHARACTERS + "1", "refused", "characters long"),
        ("SELECT " + "1," * 9000 + "1", "refused", "words and signs"),
    ],
)
def test_the_error_says_what_is_wrong(sql: str, kind: str, says: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(sql, "sqlite")
    assert caught.value.kind == kind
    assert says in str(caught.value)


def test_code_in_a_comment_does_not_pass_for_mysql() -> None:
    for sql in ("SELECT 1 /*! INTO OUTFILE 'x' */", "SELECT 1 /*!50000 + 1 */", "SELECT 1 /*M! + 1 */"):
        with pytest.raises(QueryError, match="comment"):
            parse_query(sql, "mysql")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(" * 2000 + "1" + ")" * 2000,
        "SELECT " + "(" * 2000,
        "SELECT " + "(SELECT " * 1000 + "1" + ")" * 1000,
        "SELECT * FROM " + "(SELECT * FROM " * 800 + "t" + ")" * 800,
        "SELECT " + "NOT " * 4000 + "1",
        "SELECT " + "- " * 4000 + "1",
        "SELECT " + "CASE WHEN 1 THEN " * 500 + "1" + " END" * 500,
        "SELECT " + "CAST(" * 1000 + "1" + " AS INT)" * 1000,
        "SELECT 1 WHERE " + "EXISTS (SELECT 1 WHERE " * 500 + "1" + ")" * 500,
    ],
)
def test_deep_nesting_is_refused_and_not_a_crash(sql: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(sql, "sqlite")
    assert caught.value.kind in ("refused", "syntax")


# sqlglot tries several readings of these, and of what is in them: unbounded, each level doubles the time.
MANY_READINGS = [
    *(("DATE(", ")"), ("DECIMAL(", ")"), ("TIMESTAMP(", ")"), ("VARCHAR(", ")"), ("ARRAY(", ")"), ("MAP(", ")")),
    *(("STRUCT(", ")"), ("ARRAY<", ">"), ("INTERVAL (", ")"), ("NULLABLE(", ")"), ("x[DATE(", ")]"), ("(DATE (", "))")),
    *(
        ("CASE WHEN DATE(", ") THEN 1 END"),
        ("CAST(DATE(", ") AS DATE)"),
        ("DATE(a, DATE(", "))"),
        ("{'a': DATE(", ")}"),
    ),
]


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql", "duckdb"])
@pytest.mark.parametrize(("opening", "closing"), MANY_READINGS)
def test_nested_calls_that_can_be_read_in_many_ways_end(opening: str, closing: str, dialect: str) -> None:
    for levels in (1, 24, 60, 400):
        sql = f"SELECT {opening * levels}a{closing * levels} FROM t"
        with suppress(QueryError):
            parse_query(sql, dialect)
        assert sql_from_answer(f"The query is:\n{sql};\nIt counts.") is not None
        normal_form(sql, dialect)


def test_the_steps_of_all_parsing_are_counted_together() -> None:
    steps = Steps(50)
    parse_statements("SELECT a FROM t", "sqlite", steps)
    assert 40 <= steps.left < 50
    while steps.left >= 0:
        with suppress(QueryError):
            parse_statements("SELECT a FROM t", "sqlite", steps)
    with pytest.raises(QueryError, match="too many ways to read it"):
        parse_statements("SELECT a FROM t", "sqlite", steps)


WORDS = st.sampled_from(
    [
        *("SELECT", "FROM", "WITH", "AS", "IN", "CASE", "(", ")", ",", "'", '"', "`", "[", ";", "1", "a"),
        *("--", "/*", "*/", "$$", "E'", "::", "?", "@", ":=", "\\"),
    ]
)


@given(st.text(max_size=60) | st.lists(WORDS).map(" ".join))
def test_any_text_gives_a_query_or_an_error_of_ours(text: str) -> None:
    for dialect in ("sqlite", "postgres", "mysql", "duckdb"):
        with suppress(QueryError):
            parse_query(text, dialect)


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data is not here")
@pytest.mark.slow
def test_every_gold_query_of_the_public_data_passes() -> None:
    spider = json.loads((DATA / "spider/train_spider.json").read_text("utf-8"))
    queries = {question["query"] for question in spider}
    with (DATA / "sql_create_context/sql_create_context.jsonl").open(encoding="utf-8") as lines:
        queries |= {json.loads(line)["answer"] for line in lines}
    assert len(queries) > 5000
    for sql in queries:
        parse_query(sql, "sqlite")
