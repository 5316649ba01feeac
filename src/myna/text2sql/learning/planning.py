"""From what was prepared to the plan of a learning and to what its folder begins with: the new recipe, the new data.

The recipe is the old run's but for where it starts, what it reads, how long and how fast it learns.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from myna.data.example import Example
from myna.databases.allowed import path_in_data
from myna.recipe import LearningRateSchedule, Recipe
from myna.text2sql.facts import NOTE, data_note, official_folder
from myna.text2sql.learning.checking import Checked
from myna.text2sql.learning.databases import KnownDatabases
from myna.text2sql.learning.mixing import (
    Asked,
    Divided,
    Mix,
    Record,
    example_record,
    lesson_record,
    training_records,
)
from myna.text2sql.learning.past import LEARNING, Past
from myna.text2sql.learning.place import Contents, Place, Plan
from myna.text2sql.learning.settings import Settings
from myna.training.preparation import examples_per_iteration, keys_of

_OF_THE_RATE = 0.5
"""Of the run's own highest learning rate: the adapter is to change where it is corrected, and little elsewhere."""
_WARMUP = 0.1
"""Of the steps: the optimizer knows nothing of earlier gradients."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A learning that can begin, or go on."""

    past: Past
    place: Place
    checked: Checked
    divided: Divided
    amounts: Mix
    asked: list[Asked]
    notes: tuple[str, ...]


def plan_of(past: Past, checked: Checked, settings: Settings) -> Plan:
    """Return all that determines a learning, in digests."""
    corrections = [[lesson.correction.record, lesson.meaning] for lesson in checked.lessons]
    data = []
    if past.data is not None:
        splits = (past.data.train, past.data.valid, past.data.test)
        data = [data_note(past.data.path), *(None if split is None else split.content_hash for split in splits)]
    return Plan(str(past.run.path), past.digest(), _digest(corrections), _digest(data), asdict(settings))


def learning_rate_of(recipe: Recipe, settings: Settings) -> float:
    """Return the highest learning rate: the one that was asked for, or a part of the run's own."""
    if settings.learning_rate is not None:
        return settings.learning_rate
    schedule = recipe.lr_schedule
    own = schedule.arguments[0] if schedule is not None and schedule.arguments else recipe.learning_rate
    return _OF_THE_RATE * own


def official_files(past: Past) -> Path | None:
    """Return the folder of what the benchmark's own evaluator reads, None without one.

    Raises `DatabaseError` when the data names one that it may not name.
    """
    if past.data is None:
        return None
    data = past.data.path
    official = path_in_data(str(official_folder(data).absolute()), data, where=f'{data / NOTE}: "official"')
    return official if official.is_dir() else None


def contents(
    prepared: Prepared,
    settings: Settings,
    *,
    seed: int,
    test: list[Example],
    known: KnownDatabases,
    file: Path,
) -> Contents:
    """Return what the new folder begins with. test: the original's questions. file: of corrections."""
    past, divided = prepared.past, prepared.divided
    keys = keys_of(past.recipe)
    train = list(training_records(divided, past.data, prepared.amounts, keys=keys, seed=seed))
    held_out = [lesson_record(lesson, keys) for lesson in divided.held_out]
    return Contents(
        recipe=_recipe(prepared, settings, len(train)),
        train=train,
        valid=_validation(prepared),
        test=[*(example_record(example, keys) for example in test), *held_out],
        questions=[each.record for each in prepared.asked],
        corrections=[lesson.correction.record for lesson in prepared.checked.lessons],
        note=_note(past, known, file),
    )


def _recipe(prepared: Prepared, settings: Settings, samples: int) -> Recipe:
    past, place = prepared.past, prepared.place
    steps = settings.iters or math.ceil(samples / examples_per_iteration(past.recipe))
    return past.recipe.model_copy(
        update={
            "data": str(place.data),
            "hf_dataset": None,
            "adapter_path": str(place.run.path),
            "resume_adapter_file": str(past.adapter),
            "iters": steps,
            "epochs": None,
            "learning_rate": learning_rate_of(past.recipe, settings),
            "lr_schedule": LearningRateSchedule(name="cosine_decay", warmup=max(1, round(_WARMUP * steps))),
            "shuffle": True,
            # No loss chooses the adapter: what it answers does.
            "val_batches": 0,
            "early_stopping": None,
            "test": False,
        }
    )


def _validation(prepared: Prepared) -> Iterator[Record]:
    """Yield what is validated on: the original's, or else, that nothing be split off, what is trained."""
    keys = keys_of(prepared.past.recipe)
    original = prepared.past.data
    if original is not None and original.valid is not None:
        yield from (example_record(example, keys) for example in original.valid)
    else:
        yield from (lesson_record(lesson, keys) for lesson in prepared.divided.trained)


def _note(past: Past, known: KnownDatabases, file: Path) -> Mapping[str, Any]:
    """Return what `data.json` says: how the original data was made, and what was added to it."""
    of_original: dict[str, Any] = {}
    original = None
    if past.data is not None:
        original = str(past.data.path.absolute())
        dropped = ("splits", "skipped", "notes", "files")
        of_original = {name: value for name, value in data_note(past.data.path).items() if name not in dropped}
        if (official := official_files(past)) is not None:
            of_original["official"] = str(official)
    learning = {"run": str(past.run.path), "data": original, "corrections": str(file.expanduser().absolute())}
    return {**of_original, LEARNING: learning, "databases": known.places}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=True, sort_keys=True).encode()).hexdigest()
