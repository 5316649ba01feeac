"""What a model may write to keep the scorer busy: it is read in a number of steps that grows with its length.

Each input once took from ten seconds to hours. None is timed: what is not bounded does not end.
"""

from contextlib import suppress

import pytest

from myna.databases.schema import Column, Schema, Table
from myna.databases.statement import Steps, parse_query, parse_statements
from myna.databases.tokens import check_is_one_query, mysql_tokens, postgres_tokens
from myna.errors import QueryError
from myna.text2sql import spider
from myna.text2sql.asking import explain
from myna.text2sql.extraction import sql_from_answer
from myna.text2sql.scoring.causes import differences
from myna.text2sql.scoring.normal_form import same_tree
from myna.text2sql.surface import canonical
from myna.text2sql.wikisql.form import WikiSQLTable
from myna.text2sql.wikisql.reading import from_sql

SCHEMA = Schema((Table("t", (Column("a", "TEXT", "text"),)), Table("u", (Column("a", "TEXT", "text"),))))
PAPERS = WikiSQLTable("1-1", ("a", "b"), ("text", "real"), ())
LONG = 30_000

CHAINS = {
    "and": "SELECT a FROM t WHERE a = 1" + " AND a = 1" * 1200,
    "or of texts in double quotes": 'SELECT a FROM t WHERE a = "x"' + ' OR a = "x"' * 600,
    "plus": "SELECT a FROM t WHERE a = 1" + " + 1" * 2000,
    "union": "SELECT a FROM t" + " UNION SELECT a FROM t" * 900,
    "joins": "SELECT a FROM t" + " JOIN u ON t.a = u.a" * 400,
    "a number of thousands of digits": "SELECT a FROM t GROUP BY " + "1" * 5000,
}


@pytest.mark.parametrize("sql", CHAINS.values(), ids=CHAINS)
def test_long_chains_are_judged_explained_or_refused(sql: str) -> None:
    assert same_tree(sql, sql, "sqlite", SCHEMA) in (True, False)
    assert differences("SELECT a FROM u", sql, "sqlite", SCHEMA)
    assert spider.exact_set_match("SELECT a FROM u", sql, SCHEMA) is False
    assert spider.single_quoted_values(sql, SCHEMA)
    for read in (lambda: canonical(sql, SCHEMA), lambda: explain(sql, "sqlite"), lambda: from_sql(sql, PAPERS)):
        with suppress(QueryError):
            assert read()


def test_a_chain_of_conditions_is_the_same_in_any_order() -> None:
    conditions = [f"a = {number}" for number in range(400)]
    sql = "SELECT a FROM t WHERE " + " AND ".join(conditions)
    assert same_tree(sql, "SELECT a FROM t WHERE " + " AND ".join(reversed(conditions)), "sqlite")
    assert not same_tree(sql, sql + " AND a = 400", "sqlite")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a FROM 1-1 WHERE a = " + " " * LONG,
        "SELECT a FROM 1-1 WHERE b" + " " * LONG,
        "SELECT a" + "\n" * LONG + "FROM",
        "SELECT a" + "\n" * LONG,
        "SELECT a FROM t WHERE b = " + "1" * 5000,
        "SELECT a FROM 1-1 WHERE b = " + "1" * 5000,
    ],
    ids=lambda sql: sql[:30],
)
def test_white_space_and_digits_without_end_are_read_as_papers_write_sql(sql: str) -> None:
    with suppress(QueryError):
        from_sql(sql, PAPERS)


@pytest.mark.parametrize(
    ("repeated", "times"),
    [
        *[("/*", 50_000), ("[", 100_000), (";", 50_000), ("; ", 50_000), ("``` ", 25_000), (" ", 100_000)],
        *[("SELECT 1;\n", 10_000), ("SELECT DATE(DATE(DATE(DATE(DATE(DATE(DATE(DATE(a))))))))\n", 500)],
    ],
)
@pytest.mark.parametrize("before", ["", "SELECT a FROM t ", "SELECT a FROM t\n", "```"])
def test_sql_is_found_in_answers_that_repeat_themselves(before: str, repeated: str, times: int) -> None:
    found = sql_from_answer(before + repeated * times + "1")
    assert found is None or found in before + repeated * times + "1"


def test_a_line_with_a_label_ends_a_statement_behind_many_spaces() -> None:
    statement = "SELECT a FROM t WHERE (\n" + " " * 100_000 + "1"
    assert sql_from_answer(f"{statement}\nNote: it ends here") == statement


def test_an_answer_has_one_budget_for_all_parsing() -> None:
    steps = Steps(1000)
    sql = "SELECT " + "DATE(" * 7 + "a" + ")" * 7
    for _ in range(5):
        with suppress(QueryError):
            parse_statements(sql, "sqlite", steps)
    with pytest.raises(QueryError, match="too many ways"):
        parse_statements("SELECT 1", "sqlite", steps)


@pytest.mark.parametrize("dialect", ["sqlite", "duckdb", "postgres", "mysql"])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM a" + " JOIN a" * 40,
        "SELECT " + "(SELECT a LIMIT " * 20 + "1" + ")" * 20,
        "SELECT a" + "[1]" * 1600,
        "SELECT a" + ".f()" * 1200,
        "SELECT f(" + "1, " * 2000 + "1)" + "[1]" * 60,
        "SELECT INTERVAL '" + " " * 90_000 + "'",
        "SELECT INTERVAL '" + "1" * 90_000 + "x'",
        'SELECT a::"' + "DATE(" * 20 + ")" * 20 + '"',
        'SELECT CAST(a AS "' + "x y " * 20_000 + '")',
        "SELECT 0x" + "1" * 6000,
        "SELECT 1" + ";SHOW " * 15_000,
    ],
    ids=lambda sql: sql[:20],
)
def test_what_sqlglot_takes_long_for_is_refused_or_wrong(sql: str, dialect: str) -> None:
    with suppress(QueryError):
        parse_query(sql, dialect)


def test_trailing_semicolons_are_counted_once() -> None:
    for tokens in (postgres_tokens("SELECT 1" + ";" * 100_000), mysql_tokens("SELECT 1" + ";" * 100_000)):
        check_is_one_query(tokens)
    with pytest.raises(QueryError, match="more than one statement"):
        check_is_one_query(postgres_tokens("SELECT 1;; SELECT 2;"))
