"""Myna teaches a small local language model to speak your database or your documents, on your machine.

The public face: `demo`, `train`, `resume`, `test`, `score`, `learning_curve`, `compare`, `ask`, `learn`, `load`,
`fuse`, `convert`, `quantize_model`, `examine`, `Recipe`, `load_recipe` and the errors. Each name is imported when it is
first used, so that `import myna` stays light and loads no tensor library.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from myna.errors import MynaError
    from myna.evaluation import test
    from myna.examination import examine
    from myna.exporting import convert, fuse, quantize_model
    from myna.generation import load
    from myna.recipe import Recipe, load_recipe
    from myna.reports.comparing import compare
    from myna.starter.demo import demo
    from myna.studies.learning_curve import learning_curve
    from myna.text2sql.asking import ask
    from myna.text2sql.learning import learn
    from myna.text2sql.scoring import score
    from myna.training import resume, train

# Before any library loads GNU's OpenMP, whose threads otherwise spin for milliseconds at every barrier. Of two
# trainings of a small model on the same two cores, each takes more than 200 seconds then, 36 with this, 20 with little
# spinning. But alone this is as fast as spinning on, and with a tenth of it threads sleep between any two operations.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

__version__ = "0.1.0"

__all__ = [
    "MynaError",
    "Recipe",
    "__version__",
    "ask",
    "compare",
    "convert",
    "demo",
    "examine",
    "fuse",
    "learn",
    "learning_curve",
    "load",
    "load_recipe",
    "quantize_model",
    "resume",
    "score",
    "test",
    "train",
]

_HOMES = {
    "MynaError": "myna.errors",
    "Recipe": "myna.recipe",
    "ask": "myna.text2sql.asking",
    "compare": "myna.reports.comparing",
    "convert": "myna.exporting",
    "demo": "myna.starter.demo",
    "examine": "myna.examination",
    "fuse": "myna.exporting",
    "learn": "myna.text2sql.learning",
    "learning_curve": "myna.studies.learning_curve",
    "load": "myna.generation",
    "load_recipe": "myna.recipe",
    "quantize_model": "myna.exporting",
    "resume": "myna.training",
    "score": "myna.text2sql.scoring",
    "test": "myna.evaluation",
    "train": "myna.training",
}


def __getattr__(name: str) -> object:
    """Import a public name from its room on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'myna' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
