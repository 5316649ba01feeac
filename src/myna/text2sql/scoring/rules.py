"""The rules: a question's SQL facts and an answer → a verdict, by the published rule of the benchmark it comes from.

- `wikisql`: logical form and execution on the official database, as the data set's evaluator has them.
- `spider`: the test-suite evaluator's comparison of results, and exact set match.
- anything else: the same comparison of results, and equality of normal forms.

A question without a database is judged by its SQL alone. Knows nothing of models, files of answers or other questions.
"""

from __future__ import annotations

from dataclasses import replace

from myna.databases import Schema
from myna.databases.statement import parse_query
from myna.errors import QueryError
from myna.text2sql import spider
from myna.text2sql.comparison import is_ordered, same_result
from myna.text2sql.extraction import sql_from_answer
from myna.text2sql.facts import SqlFacts
from myna.text2sql.scoring.causes import NO_SQL, because, cause_of_error, differences
from myna.text2sql.scoring.normal_form import same_tree
from myna.text2sql.scoring.opened import OpenDatabases
from myna.text2sql.scoring.verdict import Shown, Verdict, of_gold
from myna.text2sql.scoring.wikisql_rule import judge_wikisql
from myna.text2sql.wikisql import WikiSQLQuery

_LONGEST_ANSWER = 32_768
"""Characters of an answer that are looked at: no query is longer, and parsers take their time."""


def judge(facts: SqlFacts, answer: str, databases: OpenDatabases) -> Verdict:
    """Judge one answer. Raises `DatabaseError` and `DataError` when a database itself can't be opened or read."""
    sql = sql_from_answer(answer[:_LONGEST_ANSWER])
    if facts.database not in databases:
        return _by_tree(facts, sql)
    if facts.source == "wikisql" and facts.query is not None:
        gold = WikiSQLQuery.of(facts.query.get("table_id"), facts.query)
        return judge_wikisql(facts.database, gold, sql, databases)
    return _by_result(facts, sql, databases)


def _by_tree(facts: SqlFacts, sql: str | None) -> Verdict:
    """Judge by the SQL alone, where there is no database to run it on."""
    verdict = replace(of_gold(facts.gold, "sqlite", _hardness(facts.gold)), sql=sql)
    if sql is None:
        return because(verdict, NO_SQL)
    try:
        parse_query(sql, "sqlite")
    except QueryError as error:
        return because(verdict, cause_of_error(error), message=str(error))
    if same_tree(facts.gold, sql, "sqlite"):
        return replace(verdict, exact=True)
    return because(verdict, *differences(facts.gold, sql, "sqlite"))


def _by_result(facts: SqlFacts, sql: str | None, databases: OpenDatabases) -> Verdict:
    database = databases.get(facts.database)
    dialect, schema = database.dialect, database.schema
    verdict = replace(of_gold(facts.gold, dialect, _hardness(facts.gold)), sql=sql, execution=False, valid=False)
    try:
        gold = database.run(_as_meant(facts.gold, facts.source, schema))
    except QueryError as error:
        return replace(verdict, left_out=f"its gold SQL does not run: {error}")
    wrong = replace(verdict, gold=Shown.of(gold))
    if sql is None:
        return because(wrong, NO_SQL)
    try:
        predicted = database.run(_as_meant(sql, facts.source, schema))
    except QueryError as error:
        # A query that ran until a limit was accepted by the database.
        met_limit = error.kind in ("time", "memory")
        return because(replace(wrong, valid=met_limit), cause_of_error(error), message=str(error))
    exact = _is_exact(facts, sql, databases)
    if same_result(gold, predicted, ordered=is_ordered(facts.gold, dialect)):
        return replace(verdict, execution=True, exact=exact, valid=True)
    found = differences(facts.gold, sql, dialect, schema)
    return because(replace(wrong, exact=exact, valid=True, predicted=Shown.of(predicted)), *found)


def _as_meant(sql: str, source: str, schema: Schema) -> str:
    """Return what is run. Spider writes texts in double quotes, which elsewhere name columns."""
    return spider.single_quoted_values(sql, schema) if source == "spider" else sql


def _is_exact(facts: SqlFacts, sql: str, databases: OpenDatabases) -> bool:
    if facts.source == "spider":
        return spider.exact_set_match(facts.gold, sql, databases.spider_schema(facts.database))
    database = databases.get(facts.database)
    return same_tree(facts.gold, sql, database.dialect, database.schema)


def _hardness(gold: str) -> str:
    """Return Spider's hardness, which is a count of clauses and so says something of any query; empty for none."""
    try:
        return spider.hardness(gold)
    except QueryError:
        return ""
