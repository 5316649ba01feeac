"""From what a model said to what the database makes of it, and from several candidates to one.

A candidate's SQL is parsed, prepared and only then run, all behind the database's wall. Candidates vote by their
results: two queries that give the same rows are one opinion, however they are written. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from myna.databases import Database
from myna.errors import QueryError, QueryErrorKind
from myna.text2sql.asking.answer import Candidate
from myna.text2sql.comparison import is_ordered, same_result
from myna.text2sql.extraction import sql_from_answer

_NEARNESS: tuple[QueryErrorKind, ...] = (
    "time",
    "memory",
    "database",
    "unknown column",
    "unknown table",
    "syntax",
    "refused",
)
"""Errors, those of the candidates nearest to an answer first."""


def judge(text: str, database: Database, *, repairs: int, running: Callable[[str], None]) -> Candidate:
    """Return what becomes of a model's answer. `running` is told the SQL before it runs.

    Raises `DatabaseError` when the database itself can't be asked any more.
    """
    sql = sql_from_answer(text)
    if sql is None:
        return Candidate(text, None, None, QueryError("the model's answer holds no SQL", "syntax"), repairs)
    try:
        database.prepare(sql)
        running(sql)
        return Candidate(text, sql, database.run(sql), None, repairs)
    except QueryError as error:
        return Candidate(text, sql, None, error, repairs)


def vote(candidates: Sequence[Candidate], dialect: str) -> tuple[Candidate, int] | None:
    """Return the first candidate with the result that most have, and how many have it; None when all failed.

    Of results with equally many votes one with rows wins, then the one that came first.
    """
    groups: list[list[Candidate]] = []
    for candidate in candidates:
        if candidate.result is None:
            continue
        group = next((each for each in groups if _agree(each[0], candidate, dialect)), None)
        if group is None:
            groups.append([candidate])
        else:
            group.append(candidate)
    if not groups:
        return None
    # `max` keeps the first of equals, and groups stand in the order of their first candidates
    winner = max(groups, key=lambda group: (len(group), bool(group[0].result and group[0].result.rows)))
    return winner[0], len(winner)


def nearest(candidates: Sequence[Candidate]) -> Candidate:
    """Return the failed candidate that came nearest to an answer."""
    return min(candidates, key=_distance)


def _distance(candidate: Candidate) -> tuple[bool, int]:
    assert candidate.error is not None
    return candidate.sql is None, _NEARNESS.index(candidate.error.kind)


def _agree(first: Candidate, second: Candidate, dialect: str) -> bool:
    assert first.result is not None
    assert second.result is not None
    assert first.sql is not None
    return same_result(first.result, second.result, ordered=is_ordered(first.sql, dialect))
