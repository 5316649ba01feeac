"""Learning from corrections: a run, and what a person mended in its answers → a new run that keeps the better of both.

    reading.py     `corrections.jsonl` → corrections
    past.py        the run that is gone on from, and the data it was trained on
    databases.py   the databases that its data knows, by name
    checking.py    corrections → those whose SQL still runs, and why the others are left out
    mixing.py      → the new run's data: corrections and replay to train on, corrections that are held out to score on
    place.py       the new run's folder: what is learnt there of what, begun anew or gone on with
    outcome.py     the scores of both adapters → which one is kept, and what changed
    learning.py    all of these in order: `learn`

The old run is only ever read. Knows no terminal.
"""

from myna.text2sql.learning.learning import learn
from myna.text2sql.learning.listening import Listener, Stage
from myna.text2sql.learning.outcome import Change, LearnResult

__all__ = ["Change", "LearnResult", "Listener", "Stage", "learn"]
