"""Asking a database in words: a question goes in, SQL and the rows it gives come out.

`ask` once, or keep an `Asker` open for many questions. `explain` says in words what a query asks for, and `Corrections`
keeps what a person confirmed or mended. Knows no terminal.
"""

from myna.text2sql.asking.answer import Answer, Candidate
from myna.text2sql.asking.answerer import Answerer, ModelAnswerer
from myna.text2sql.asking.asker import Asker, Constrain, ask
from myna.text2sql.asking.changes import changes_since_training
from myna.text2sql.asking.corrections import Corrections
from myna.text2sql.asking.explanation import explain

__all__ = [
    "Answer",
    "Answerer",
    "Asker",
    "Candidate",
    "Constrain",
    "Corrections",
    "ModelAnswerer",
    "ask",
    "changes_since_training",
    "explain",
]
