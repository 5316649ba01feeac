"""Scoring: a model's SQL, or a file of predictions, judged by running it. `score` is the public function.

    questions.py    a data folder → questions, and where their databases are
    generating.py   a model → answers           predictions.py  a file → answers
    work.py         answers → verdicts, in worker processes (worker.py)
    rules.py        one answer → its verdict, by its benchmark's published rule (wikisql_rule.py); causes.py says why
    result.py       verdicts → rates with intervals, groups, causes; files.py writes them
    journal.py      what is known so far, so that an interrupted scoring goes on where it was

Each name is imported when it is first used: worker processes start with less than the scorer.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from myna.text2sql.scoring.result import Answer, Rates, ScoreResult
    from myna.text2sql.scoring.running import Listener, Progress, score

__all__ = ["Answer", "Listener", "Progress", "Rates", "ScoreResult", "score"]

_HOMES = {
    "Answer": "myna.text2sql.scoring.result",
    "Listener": "myna.text2sql.scoring.running",
    "Progress": "myna.text2sql.scoring.running",
    "Rates": "myna.text2sql.scoring.result",
    "ScoreResult": "myna.text2sql.scoring.result",
    "score": "myna.text2sql.scoring.running",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'myna.text2sql.scoring' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
