"""Real runs to put side by side: small ones that differ in what they learnt, from what, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from myna import training
from myna.text2sql.facts import SqlFacts
from scored_data import GOLD, database, folder, line
from small_runs import one_layer, small_recipe, write_lines

QUESTIONS = ("How old is Ada?", "Who is 22?", "Once upon a time", "List all names.", "Count them.", "Why?")
BY_HEART = "SELECT 4"
"""What one run answers to everything: right where the second gold query is asked for, wrong elsewhere."""


def school(path: Path) -> Path:
    """Write a data folder with a database; the six test questions have gold SQL."""
    database(path / "school.sqlite")
    facts = [SqlFacts("school", sql) for sql in GOLD]
    folder(path, [line(asked, each) for asked, each in zip(QUESTIONS, facts, strict=True)], {"school": "school.sqlite"})
    learnt = [{"prompt": asked, "completion": BY_HEART} for asked in QUESTIONS for _ in range(2)]
    write_lines(path / "train.jsonl", learnt)
    write_lines(path / "valid.jsonl", [{"prompt": asked, "completion": BY_HEART} for asked in ("How?", "Where?")])
    return path


def train(place: Path, name: str, **settings: Any) -> Path:
    """Train the run `name` in `place`, on the school that stands there unless `settings` name other data."""
    model, data = place / "model", place / "data"
    if "model" not in settings and not model.exists():
        one_layer(model)
    if "data" not in settings and not data.exists():
        school(data)
    run = place / name
    given = {"lora_parameters": {"rank": 2, "scale": 2.0, "dropout": 0.0}, **settings}
    training.train(small_recipe(given.pop("model", model), given.pop("data", data), run, **given))
    return run


def by_heart(place: Path, name: str = "heart") -> Path:
    """Train the run that answers everything with one query."""
    everything = {"fine_tune_type": "full", "num_layers": -1}  # the embeddings too: the end token is in them
    return train(place, name, iters=60, steps_per_eval=20, save_every=60, steps_per_report=10, **everything)
