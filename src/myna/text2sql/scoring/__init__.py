"""Scoring: a model's SQL, or a file of predictions, judged by running it. `score` is the public function.

questions.py    a data folder → questions, and where their databases are
generating.py   a model → answers           predictions.py  a file → answers
work.py         answers → verdicts, in worker processes (worker.py)
rules.py        one answer → its verdict, by its benchmark's published rule (wikisql_rule.py); causes.py says why
result.py       verdicts → rates with intervals, groups, causes; files.py writes them
journal.py      what is known so far, so that an interrupted scoring goes on where it was
"""

from myna.text2sql.scoring.result import Answer, Rates, ScoreResult
from myna.text2sql.scoring.running import Listener, Progress, score

__all__ = ["Answer", "Listener", "Progress", "Rates", "ScoreResult", "score"]
