"""Answers → right or wrong: by running them where there is a database, else by their SQL or their words.

In: questions with the answers of all runs. Out: `JudgedAnswer`s. Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from myna.reports.comparing.measured import GivenAnswer
from myna.reports.comparing.questions import Listed, Questions
from myna.text2sql.scoring.verdict import Verdict
from myna.text2sql.scoring.work import Task, judge_all


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """An answer of a run, or the error that came instead.

    right: None when nobody can say. by: what says so: `execution` of it and of the gold SQL, `sql` when it is the gold
    SQL in other words, `text` when it is the expected text (it is never wrong by that: other words may be right too).
    cause, message: why it is wrong.
    """

    text: str
    error: str = ""
    right: bool | None = None
    by: Literal["execution", "sql", "text"] | None = None
    cause: str = ""
    message: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return {
            "text": self.text,
            "error": self.error or None,
            "right": self.right,
            "by": self.by,
            "cause": self.cause or None,
            "message": self.message or None,
        }


def judge_answers(
    questions: Questions, answers: Sequence[Sequence[GivenAnswer]], *, workers: int, time_limit: float
) -> list[tuple[JudgedAnswer | None, ...]]:
    """Return the judged answers, `[runs][questions]`; None for a run without answers.

    answers: `[runs][questions]`, empty for such a run. time_limit: seconds of each query. Raises `DatabaseError` when a
    database can't be opened and `ResourceError` when no process can be started.
    """
    listed = questions.listed
    tasks = [
        Task(run * len(listed) + number, question.facts, given[number].text)
        for run, given in enumerate(answers)
        for number, question in enumerate(listed)
        if given and question.facts is not None and not given[number].error
    ]
    verdicts = dict(judge_all(tasks, questions.places, workers=workers, seconds=time_limit))
    return [
        tuple(
            _judged(question, given[number], verdicts.get(run * len(listed) + number)) if given else None
            for number, question in enumerate(listed)
        )
        for run, given in enumerate(answers)
    ]


def _judged(question: Listed, given: GivenAnswer, verdict: Verdict | None) -> JudgedAnswer:
    if given.error:
        return JudgedAnswer("", given.error)
    if verdict is None:
        same = bool(question.expected) and given.text.split() == question.expected.split()
        return JudgedAnswer(given.text, right=True if same else None, by="text" if same else None)
    if verdict.left_out:
        return JudgedAnswer(given.text, message=verdict.left_out)
    return JudgedAnswer(
        given.text,
        right=verdict.right,
        by="sql" if verdict.execution is None else "execution",
        cause=verdict.cause or "",
        message=verdict.message,
    )
