"""Whether a query says something: it runs, and its answer is not one that a simpler question has too.

A `Query` goes in with the database it was made for, a `Verdict` comes out: the SQL and its result, or the reason
against it. Answers are kept by their SQL, since many candidates share the simpler queries they are compared with. Of
tables whose queries take too long the first rows stand for all: a query is then run on these, and prepared on the
whole. Knows no words.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from sqlglot import exp

from myna.builders.database.query import (
    Aggregate,
    Arithmetic,
    ColumnOf,
    DatePart,
    InQuery,
    Missing,
    OneOf,
    Query,
    Rows,
    Where,
)
from myna.builders.database.sql import to_sql
from myna.databases import Database, Result
from myna.databases.statement import parse_query
from myna.errors import QueryError
from myna.text2sql.identifiers import table_identifier

Reason: TypeAlias = Literal[
    "does not run", "takes too long", "empty", "too long", "whole table", "tie", "repeats", "simpler"
]
"""`tie`: the rows that a limit keeps are not told apart by their order. `repeats`: a join gives the same row twice.
`simpler`: a query with a part less has the same answer."""

LONGEST_ANSWER = 1_000
"""Rows. Nobody reads more."""
FIRST_ROWS = 5_000
"""Of a table whose queries take too long."""
_LONGEST_OF_FIRST = 50
"""Rows of a list of first rows: on the whole of a table so large it would be far longer."""
_ANSWERS_KEPT = 20_000
_CELLS_KEPT = 400
"""Cells of an answer up to which it is kept for later candidates."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """reason: None for a query that says something. result: its answer, where it ran."""

    sql: str
    reason: Reason | None
    result: Result | None = None


class Verifier:
    """Verifies queries on one database.

    tables: those of which the first rows may stand for all; not views, whose rows may take for ever to make.
    seconds_a_table: when the queries of a table have taken so long, the rest is run on its first rows, or not at all:
    tables of many millions of rows cost seconds a query, and the others shall have their turn.
    """

    def __init__(self, database: Database, *, tables: Collection[str] = (), seconds_a_table: float = 30.0) -> None:
        self._database = database
        self._tables = tables
        self._seconds_a_table = seconds_a_table
        self._answers: dict[str, Result] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self.in_part: dict[str, exp.Table] = {}
        """Tables of which the first rows stand for all, as SQL names them."""

    def verify(self, query: Query) -> Verdict:
        """Run a query and those it must differ from. Raises `DatabaseError` when the database is gone."""
        sql = to_sql(query, self._database.dialect)
        asked = [table for table in query.tables if table not in self.in_part]
        late = [table for table in asked if self._seconds[table] > self._seconds_a_table]
        if not all(table in self._tables for table in late):
            return Verdict(sql, "takes too long")
        if late:
            self._take_part_of(late)
        try:
            result = self._answer(query)
            reason = self._against(query, result)
            if reason is None and self.in_part:
                self._database.prepare(sql)
            return Verdict(sql, reason, result)
        except QueryError as error:
            return Verdict(sql, "takes too long" if error.kind in ("time", "memory") else "does not run")

    def _take_part_of(self, tables: Collection[str]) -> None:
        for table in tables:
            written = table_identifier(table, self._database.dialect)
            self.in_part[table] = exp.to_table(written, dialect=self._database.dialect)
        self._answers.clear()  # of all rows

    def _on_first_rows(self, sql: str) -> str:
        """Return SQL in which the first rows of the tables in part stand for each of them."""
        if not self.in_part:
            return sql
        tree = parse_query(sql, self._database.dialect).copy()
        for table in list(tree.find_all(exp.Table)):
            bare = table.copy()
            bare.set("alias", None)
            if bare in self.in_part.values():
                alias = table.args.get("alias") or exp.TableAlias(this=table.this.copy())
                first = exp.select("*").from_(bare).limit(FIRST_ROWS)
                table.replace(exp.Subquery(this=first, alias=alias.copy()))
        return tree.sql(dialect=self._database.dialect)

    def _answer(self, query: Query, rows: int = LONGEST_ANSWER + 1) -> Result:
        """Return what `query` answers, at least so many rows of it where it has them.

        By default what is refused as too long is seen to be, and not read to its end.
        """
        sql = to_sql(query, self._database.dialect)
        kept = self._answers.get(sql)
        if kept is not None and (len(kept.rows) >= rows or not kept.truncated):
            return kept
        began = time.perf_counter()
        try:
            result = self._database.run(self._on_first_rows(sql), rows=rows)
        finally:
            seconds = time.perf_counter() - began
            for table in query.tables:
                self._seconds[table] += seconds
        if len(result.rows) * len(result.columns) <= _CELLS_KEPT:
            if len(self._answers) >= _ANSWERS_KEPT:
                self._answers.clear()
            self._answers[sql] = result
        return result

    def _against(self, query: Query, result: Result) -> Reason | None:
        """The first reason against a query that runs, cheap ones first."""
        # What a list of the first rows has few of, and no two of, may be many and several on the whole.
        of_first = not query.group_by and any(table in self.in_part for table in query.tables)
        longest = _LONGEST_OF_FIRST if of_first else LONGEST_ANSWER
        tests: tuple[tuple[Reason, Callable[[], bool]], ...] = (
            ("empty", lambda: says_nothing(result)),
            ("too long", lambda: result.truncated or len(result.rows) > longest),
            ("whole table", lambda: is_whole_table(query)),
            ("repeats", lambda: _repeats(query, result)),
            ("tie", lambda: query.limit is not None and (of_first or not self._cuts_cleanly(query, query.limit))),
            ("simpler", lambda: self._is_simpler_too(query, result)),
        )
        return next((reason for reason, holds in tests if holds()), None)

    def _is_simpler_too(self, query: Query, result: Result) -> bool:
        rows = Counter(result.rows)
        if query.order_by and query.limit is None and len(result.rows) == 1:
            return True
        # One row more tells that an answer is another one: the rest of it need not be read.
        enough = len(result.rows) + 1
        return any(Counter(self._answer(simpler, enough).rows) == rows for simpler in simpler_queries(query))

    def _cuts_cleanly(self, query: Query, limit: int) -> bool:
        """Whether the rows within the limit and the next one all differ in what they are ordered by."""
        keys = tuple(order.item for order in query.order_by)
        # DISTINCT over the keys alone would hide that several rows share one.
        select = (*query.select, *keys) if query.distinct else keys
        rows = self._answer(replace(query, select=select, limit=limit + 1)).rows
        values = [row[-len(keys) :] for row in rows]
        there = all(cell is not None for row in values for cell in row)
        return len(values) == limit + 1 and len(set(values)) == len(values) and there


def says_nothing(result: Result) -> bool:
    """Whether an answer has no rows, a column without any value, or is a count of none."""
    if not result.rows or any(all(cell is None for cell in column) for column in zip(*result.rows, strict=True)):
        return True
    return len(result.rows) == 1 and all(cell is None or cell in (0, "") for cell in result.rows[0])


def is_whole_table(query: Query) -> bool:
    """Whether nothing narrows what `*` chooses."""
    return (
        any(isinstance(item, Rows) for item in query.select)
        and not query.where
        and query.limit is None
        and query.set_operation is None
    )


def simpler_queries(query: Query) -> Iterator[Query]:
    """The queries with one part less: if one of them has the same answer, the question asks for more than it says."""
    if query.where is not None:
        for narrowed in _weaker(query.where):
            known = _still_known(query, narrowed)
            if known != query.where:
                yield replace(query, where=known)
    if query.having is not None:
        yield replace(query, having=None)
    if query.distinct:
        yield replace(query, distinct=False)
    for place, item in enumerate(query.select):
        if isinstance(item, Aggregate) and item.distinct:
            plain = replace(item, distinct=False)
            yield replace(query, select=(*query.select[:place], plain, *query.select[place + 1 :]))
    if query.set_operation is not None:
        yield replace(query, set_operation=None)
        right = query.set_operation.right
        if query.set_operation.operator != "except":
            yield right
        if right.where is not None and right.joins:
            yield replace(query, set_operation=replace(query.set_operation, right=replace(right, where=None)))


def _weaker(where: Where) -> Iterator[Where | None]:
    """The same with one condition less, or with one value less in a list of them."""
    conditions = where.conditions
    for place, condition in enumerate(conditions):
        rest = (*conditions[:place], *conditions[place + 1 :])
        yield replace(where, conditions=rest) if rest else None
        if isinstance(condition, OneOf):
            for value in condition.values:
                fewer = replace(condition, values=tuple(each for each in condition.values if each != value))
                yield replace(where, conditions=(*conditions[:place], fewer, *conditions[place + 1 :]))
        if isinstance(condition, DatePart) and condition.of is not None:
            year = replace(condition, part="year", value=condition.of, of=None)
            yield replace(where, conditions=(*conditions[:place], year, *conditions[place + 1 :]))
        if isinstance(condition, InQuery) and condition.query.where is not None:
            looser = replace(condition, query=replace(condition.query, where=None))
            yield replace(where, conditions=(*conditions[:place], looser, *conditions[place + 1 :]))


def _still_known(query: Query, narrowed: Where | None) -> Where | None:
    """Weaker conditions that let no NULL in among what rows are sorted by: it stands elsewhere in each database."""
    if query.where is None or query.where.any:
        return narrowed
    left = narrowed.conditions if narrowed else ()
    looked_at = {each.column for each in query.where.conditions} - {each.column for each in left}
    lost = [Missing(item, negated=True) for item in _columns_sorted_by(query) if item in looked_at]
    return Where((*left, *lost)) if lost else narrowed


def _columns_sorted_by(query: Query) -> list[ColumnOf]:
    return [order.item for order in query.order_by if isinstance(order.item, ColumnOf)]


def _repeats(query: Query, result: Result) -> bool:
    """Whether a list over joins has a row twice: people would ask for it once."""
    plain = not any(isinstance(item, Aggregate | Arithmetic) for item in query.select)
    return bool(query.joins) and plain and not query.group_by and len(set(result.rows)) < len(result.rows)
