"""A school, a run that learnt two queries about it by heart, and corrections of what it answers to other questions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from myna import training
from myna.databases import Database
from myna.databases.allowed import allow
from myna.text2sql.asking import Asker, Corrections
from scripted_answers import Scripted
from small_runs import one_layer, small_recipe, write_lines

SCHOOL = """
CREATE TABLE students (name TEXT, age INTEGER);
INSERT INTO students VALUES ('Ada', 20), ('Bob', 22), ('Cy', NULL);
"""
NAMES = "SELECT name FROM students"
COUNT = "SELECT COUNT(*) FROM students"
AGES = "SELECT age FROM students"
LEARNT = (("Who is here?", NAMES), ("List all.", NAMES), ("How many are there?", COUNT), ("Count them.", COUNT))
"""What the run was trained on, and answers rightly."""
FLOAT32 = {"dtype": "float32", "device": "cpu"}


def write_school(path: Path, script: str = SCHOOL) -> Path:
    """Write the database."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path


def correct(file: Path, place: Path | str, *pairs: tuple[str, str]) -> Path:
    """Keep corrections of answers, as a person does with `\\fix`, and return the file."""
    with Database.open(place) as database, Asker(database, Scripted(*("SELECT 1" for _ in pairs)), repairs=0) as asker:
        for question, sql in pairs:
            Corrections(file).keep(asker.ask(question), sql, database)
    return file


def write_data(folder: Path, database: Path | str, pairs: Sequence[tuple[str, str]] = LEARNT) -> Path:
    """Write a data folder with the messages that asking makes, all splits alike."""
    folder.mkdir(parents=True, exist_ok=True)
    with Database.open(database) as opened, Asker(opened, Scripted()) as asker:
        lines = [
            {
                "messages": [*asker.brief(question).messages, {"role": "assistant", "content": sql}],
                "sql": {"database": "school", "gold": sql},
            }
            for question, sql in pairs
        ]
        place = opened.address.shown
        allow(opened.address.place)
    for split in ("train", "valid", "test"):
        write_lines(folder / f"{split}.jsonl", lines)
    (folder / "data.json").write_text(json.dumps({"source": {"samples": 3}, "databases": {"school": place}}))
    return folder


def train(place: Path, data: Path, **settings: Any) -> Path:
    """Train a run that answers as its data does; return its folder."""
    model = place / "model"
    if not model.exists():
        one_layer(model)
    by_heart = {"fine_tune_type": "full", "num_layers": -1, "iters": 60, "batch_size": 4}  # the end token is learnt too
    seldom = {"steps_per_eval": 1000, "save_every": 1000, "lora_parameters": {"rank": 2, "scale": 2.0, "dropout": 0.0}}
    training.train(small_recipe(model, data, place / "run", **{**by_heart, **seldom, **settings}))
    return place / "run"


def records(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def answers(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what each line teaches to answer."""
    return [line["messages"][-1]["content"] for line in lines]


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
