"""Our verdicts are those of WikiSQL's published rule, which this file implements on its own, on plain SQLite.

The rule is taken from the data set's README and paper: the database's names and lower-casing, values bound to columns
by name, numbers in texts, and what counts as the same answer and the same query.
"""

from __future__ import annotations

import json
import random
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.databases import Database
from myna.databases.query import Result
from myna.errors import QueryError
from myna.text2sql.wikisql import (
    WikiSQLQuery,
    WikiSQLTable,
    official_line,
    official_sql,
    read_questions,
    read_tables,
    same_answer,
    same_query,
    write_official_database,
)
from wikisql_tables import PLAYERS, REAL, needs_real_files, real_questions, tables_and_queries

Verdict = tuple[bool, bool]
"""Right answer, same query."""


class PublishedRule:
    """The rule, written down independently of the library."""

    def __init__(self, tables: Iterable[WikiSQLTable]) -> None:
        self.database = sqlite3.connect(":memory:")
        self.types: dict[str, list[str]] = {}
        for table in tables:
            name = "table_" + table.id.replace("-", "_")
            self.types[name] = list(table.types)
            columns = ", ".join(f"col{i} {kind}" for i, kind in enumerate(table.types))
            self.database.execute(f'CREATE TABLE "{name}" ({columns})')
            for row in table.rows:
                cells = [cell.lower() if isinstance(cell, str) else cell for cell in row]
                self.database.execute(f'INSERT INTO "{name}" VALUES ({",".join("?" * len(cells))})', cells)

    def answer(self, query: WikiSQLQuery) -> list[Any]:
        name = "table_" + query.table_id.replace("-", "_")
        bound, clauses = {}, []
        for column, operator, value in query.conds:
            bound[f"col{column}"] = self.bound(value, self.types[name][column])
            clauses.append(f"col{column} {'=><'[operator]} :col{column}")
        aggregate = ["", "MAX", "MIN", "COUNT", "SUM", "AVG"][query.agg]
        sql = f'SELECT {aggregate}(col{query.sel}) FROM "{name}"'
        sql += " WHERE " + " AND ".join(clauses) if clauses else ""
        return [row[0] for row in self.database.execute(sql, bound)]

    def bound(self, value: Any, kind: str) -> Any:
        if not isinstance(value, str) or kind == "text":
            return value.lower() if isinstance(value, str) else value
        try:
            return float(Decimal(value.lower().replace(",", "")))
        except InvalidOperation:
            return float(re.findall(r"[-+]?\d*\.\d+|\d+", value.lower())[0])

    def judge(self, gold: WikiSQLQuery, predicted: WikiSQLQuery) -> Verdict:
        try:
            right = self.answer(predicted) == self.answer(gold)
        except Exception:
            right = False
        same = (gold.sel, gold.agg) == (predicted.sel, predicted.agg)
        as_set = [{(c, o, str(v).lower()) for c, o, v in query.conds} for query in (gold, predicted)]
        return right, same and as_set[0] == as_set[1]


class OurRule:
    """The library's rule, on the file it writes."""

    def __init__(self, run: Callable[[str], Result], tables: dict[str, WikiSQLTable]) -> None:
        self.run, self.tables = run, tables

    def judge(self, gold: WikiSQLQuery, predicted: WikiSQLQuery) -> Verdict:
        table = self.tables[gold.table_id]
        try:
            right = same_answer(self.run(official_sql(gold, table)), self.run(official_sql(predicted, table)))
        except QueryError:
            right = False
        return right, same_query(gold, predicted)


def on_sqlite(connection: sqlite3.Connection) -> Callable[[str], Result]:
    """What `Database.run` gives, without its process: for thousands of queries in seconds."""
    return lambda sql: Result(("result",), tuple(connection.execute(sql).fetchall()), False, 0.0)


def perturbed(query: WikiSQLQuery, table: WikiSQLTable, rng: random.Random) -> Iterator[WikiSQLQuery]:
    """Queries that differ from `query` in one thing each."""
    columns, conds = range(len(table.types)), query.conds
    yield query
    yield WikiSQLQuery(query.table_id, query.sel, rng.choice([a for a in range(6) if a != query.agg]), conds)
    yield WikiSQLQuery(query.table_id, rng.choice(columns), query.agg, conds)
    yield WikiSQLQuery(query.table_id, query.sel, query.agg, conds[::-1])
    for values in (other_value, spelled_otherwise, other_number_format):
        for column, operator, value in conds[:1]:
            first = (column, operator, values(value, table.types[column], rng))
            yield WikiSQLQuery(query.table_id, query.sel, query.agg, (first, *conds[1:]))
    for column, operator, value in conds[:1]:
        changed = ((column, (operator + rng.choice([1, 2])) % 3, value), (rng.choice(columns), operator, value))
        for first in changed:
            yield WikiSQLQuery(query.table_id, query.sel, query.agg, (first, *conds[1:]))
        yield WikiSQLQuery(query.table_id, query.sel, query.agg, conds[1:])
        again = (column, 1, other_value(value, table.types[column], rng))
        yield WikiSQLQuery(query.table_id, query.sel, query.agg, (*conds, again))


def other_value(value: Any, kind: str, rng: random.Random) -> Any:
    return f"{value} x" if isinstance(value, str) else value + rng.choice([-1, 1, 0.5])


def spelled_otherwise(value: Any, kind: str, rng: random.Random) -> Any:
    return rng.choice([value.upper(), value.lower(), value.swapcase()]) if isinstance(value, str) else str(value)


def other_number_format(value: Any, kind: str, rng: random.Random) -> Any:
    if isinstance(value, str):
        return rng.choice([5, 5.0, 0.1, -7]) if rng.random() < 0.5 else value + " 5"
    formats = [str(value), float(value), f"{value:,}", f"${value}", f" {value} ", f"about {value} or 7", "none", "nan"]
    return rng.choice([*formats, f"-{value}", f"+{value} m", f"{value}e0", "inf", "–", ""])


@pytest.fixture(scope="module")
def players(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("official") / "players.db"
    write_official_database(path, [PLAYERS])
    return path


@needs_real_files
def test_every_verdict_on_five_thousand_and_more_pairs_is_the_published_one(tmp_path: Path) -> None:
    by_id = {table.id: table for table in read_tables(REAL / "test_a.tables.jsonl")}
    rng, published = random.Random(0), PublishedRule(by_id.values())
    write_official_database(tmp_path / "test_a.exec.db", read_tables(REAL / "test_a.tables.jsonl"))
    verdicts: dict[Verdict, int] = {}
    with closing(sqlite3.connect(tmp_path / "test_a.exec.db")) as connection:
        ours = OurRule(on_sqlite(connection), by_id)
        for number, (table, gold) in enumerate(real_questions("test_a.exec")):
            for predicted in list(perturbed(gold, table, rng))[number % 4 :: 4]:
                verdict = ours.judge(gold, predicted)
                assert verdict == published.judge(gold, predicted), (gold, predicted)
                verdicts[verdict] = verdicts.get(verdict, 0) + 1
    published.database.close()
    assert sum(verdicts.values()) > 15_000
    # The pairs can tell rules apart: each verdict occurs often, except the same query with another answer.
    assert min(verdicts[True, True], verdicts[True, False], verdicts[False, False]) > 1_000


@settings(deadline=None, max_examples=300)
@given(tables_and_queries(rows=4, table_ids=st.just("1-10015132-16")))
def test_any_query_on_any_table_gets_the_published_verdict(
    tmp_path_factory: pytest.TempPathFactory, made: tuple[WikiSQLTable, WikiSQLQuery]
) -> None:
    table, gold = made
    path = tmp_path_factory.mktemp("any") / "any.db"
    write_official_database(path, [table])
    published = PublishedRule([table])
    with closing(published.database), closing(sqlite3.connect(path)) as connection:
        ours = OurRule(on_sqlite(connection), {table.id: table})
        for predicted in perturbed(gold, table, random.Random(0)):
            assert ours.judge(gold, predicted) == published.judge(gold, predicted)


@pytest.mark.parametrize(
    ("conditions", "answer"),
    [
        (((1, 0, 5),), [("jalen rose",), ("robert archibald",)]),
        (((1, 0, "5"),), [("jalen rose",), ("robert archibald",)]),
        (((1, 0, "No. 5.0 of 7"),), [("jalen rose",), ("robert archibald",)]),
        (((1, 0, "31.5"),), [("terrence ross",)]),
        (((2, 0, "Scotland"),), [("robert archibald",)]),
        (((1, 1, 5), (1, 2, 30)), []),  # both are bound to the last value: col1 > 30 AND col1 < 30
        (((1, 1, 31),), [("quentin richardson",), ("terrence ross",)]),  # a text is more than any number
        (((0, 0, "Patrick O'Bryant"),), [("patrick o'bryant",)]),
        (((4, 0, 2004),), [("robert archibald",)]),
        (((4, 0, 2004.0),), []),
        (((1, 0, "nan"),), []),
        (((1, 2, "inf"),), [(name.lower(),) for name in ("Aleksandar Radojević", "Shawn Respert", "Jalen Rose")]),
    ],
)
def test_the_official_sql_runs_through_database(players: Path, conditions: Any, answer: list[Any]) -> None:
    query = WikiSQLQuery(PLAYERS.id, 0, 0, conditions)
    with Database.open(players) as database:
        rows = database.run(official_sql(query, PLAYERS)).rows
    assert list(rows)[: len(answer) or None] == answer
    assert list(rows)[: len(answer) or None] == [(name,) for name in PublishedRule([PLAYERS]).answer(query)][:3]


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        (WikiSQLQuery(PLAYERS.id, 0, 0, ((1, 0, "–"),)), "database"),
        (WikiSQLQuery(PLAYERS.id, 0, 0, ((1, 0, 2**63),)), "database"),
        (WikiSQLQuery(PLAYERS.id, 6, 0), "unknown column"),
        (WikiSQLQuery(PLAYERS.id, 0, 0, ((9, 0, 1),)), "unknown column"),
    ],
)
def test_what_the_evaluator_can_not_run_is_an_error(query: WikiSQLQuery, kind: str) -> None:
    with pytest.raises(QueryError) as caught:
        official_sql(query, PLAYERS)
    assert caught.value.kind == kind
    with pytest.raises((IndexError, OverflowError, sqlite3.Error)):
        PublishedRule([PLAYERS]).answer(query)


def test_an_answer_cut_short_is_not_a_whole_one() -> None:
    assert same_answer(Result(("a",), ((1,), (None,)), False, 0.0), Result(("b",), ((1.0,), (None,)), False, 1.0))
    assert not same_answer(Result(("a",), ((1,), (2,)), False, 0.0), Result(("a",), ((2,), (1,)), False, 0.0))
    assert not same_answer(Result(("a",), ((1,),), False, 0.0), Result(("a",), ((1,),), True, 0.0))


def test_lines_of_a_predictions_file_are_those_of_the_evaluator() -> None:
    query = WikiSQLQuery(PLAYERS.id, 3, 5, ((0, 0, "名前"), (1, 2, 5.0)))
    assert json.loads(official_line(query)) == {
        "query": {"sel": 3, "agg": 5, "conds": [[0, 0, "名前"], [1, 2, 5.0]]},
        "error": "",
    }
    assert "名前" in official_line(query)
    assert json.loads(official_line(QueryError("no column\n'x'", "unknown column"))) == {"error": "no column\n'x'"}
    assert json.loads(official_line(""))["error"]
    assert "\n" not in official_line("two\nlines")


@needs_real_files
def test_every_gold_query_of_the_executable_test_questions_is_right() -> None:
    """Their answers are not empty, and a query that reads back from its line is the same query."""
    rule = PublishedRule(read_tables(REAL / "test_a.tables.jsonl"))
    for question in read_questions(REAL / "test_a.exec.jsonl"):
        assert rule.answer(question.query)
        line = json.loads(official_line(question.query))["query"]
        assert WikiSQLQuery.of(question.query.table_id, line) == question.query
    rule.database.close()
