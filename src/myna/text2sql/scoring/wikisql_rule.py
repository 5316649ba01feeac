"""WikiSQL's rule: an answer is read back into the data set's form, compared as such and run on the official database.

What the form can't say is an error to the data set's evaluator, and wrong here, though it may be valid SQL. Knows no
other benchmark.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from myna.databases import Database, Result
from myna.errors import QueryError
from myna.text2sql import wikisql
from myna.text2sql.scoring.causes import NO_SQL, because, cause_of_error, differences
from myna.text2sql.scoring.opened import OpenDatabases
from myna.text2sql.scoring.verdict import Shown, Verdict, of_gold


def judge_wikisql(name: str, gold: wikisql.WikiSQLQuery, sql: str | None, databases: OpenDatabases) -> Verdict:
    """Judge `sql`, None for an answer without SQL, as a query on the table of `gold` in the database `name`."""
    table = databases.wikisql_table(name, gold.table_id)
    executable = wikisql.to_sql(gold, table)
    verdict = replace(of_gold(executable, "sqlite", _number_of_conditions(gold)), sql=sql, execution=False, valid=False)
    try:
        gold_result = databases.official(name).run(wikisql.official_sql(gold, table))
    except QueryError as error:
        return replace(verdict, left_out=f"its gold query does not run: {error}")
    shown = _shown(gold, gold_result, table)
    if sql is None:
        return because(replace(verdict, gold=shown, official=wikisql.official_line(NO_SQL)), NO_SQL)
    refused = _refusal(databases.get(name), sql)
    try:
        predicted = wikisql.from_sql(sql, table)
    except QueryError as error:
        unread = replace(verdict, gold=shown, official=wikisql.official_line(error), valid=refused is None)
        return because(unread, *_causes_of_unread(executable, sql, error, refused), message=str(error))
    # What can be read back can be run, also where it is the papers' surface.
    exact = wikisql.same_query(gold, predicted)
    read = replace(verdict, valid=True, exact=exact, official=wikisql.official_line(predicted))
    result = _outcome(predicted, gold, gold_result, table, databases.official(name))
    if isinstance(result, Result) and wikisql.same_answer(gold_result, result):
        return replace(read, execution=True)
    found = differences(executable, wikisql.to_sql(predicted, table), "sqlite")
    if isinstance(result, QueryError):
        return because(replace(read, gold=shown), *found, message=str(result))
    return because(replace(read, gold=shown, predicted=_shown(predicted, result, table)), *found)


def _outcome(
    predicted: wikisql.WikiSQLQuery,
    gold: wikisql.WikiSQLQuery,
    gold_result: Result,
    table: wikisql.WikiSQLTable,
    official: Database,
) -> Result | QueryError:
    try:
        sql = wikisql.official_sql(predicted, table)
        return gold_result if sql == wikisql.official_sql(gold, table) else official.run(sql)
    except QueryError as error:
        return error


def _refusal(database: Database, sql: str) -> QueryError | None:
    """Return why the database does not accept `sql`, None when it does."""
    try:
        database.prepare(sql)
    except QueryError as error:
        return error
    return None


def _causes_of_unread(gold: str, sql: str, error: QueryError, refused: QueryError | None) -> Iterable[str]:
    """Say why an answer is no query in WikiSQL's form. It may be good SQL of another form all the same."""
    if refused is not None:
        return [cause_of_error(refused if error.kind == "refused" else error)]
    return ["wrong table"] if error.kind == "unknown table" else differences(gold, sql, "sqlite")


def _number_of_conditions(query: wikisql.WikiSQLQuery) -> str:
    count = len(query.conds)
    return "1 condition" if count == 1 else f"{count or 'no'} conditions"


def _shown(query: wikisql.WikiSQLQuery, result: Result, table: wikisql.WikiSQLTable) -> Shown:
    """Return what is shown of the official database's answer, under the column's own name."""
    name, aggregate = table.columns[query.sel], wikisql.AGGREGATES[query.agg]
    return Shown.of(replace(result, columns=(f"{aggregate}({name})" if aggregate else name,)))
