"""The run that is gone on from: its recipe, its kept adapter, and the data that it was trained on.

A run that has itself learnt from corrections goes back to the data of the first run, and carries its corrections along:
however often is learnt, the new data is the original data and all corrections. Everything is read, nothing written.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from myna.data.folder import DataFolder, open_folder
from myna.errors import DataError, RunError
from myna.models.adapters import read_adapter
from myna.models.files import find
from myna.recipe import Recipe
from myna.runs import RunFolder
from myna.text2sql.facts import data_note
from myna.training.preparation import keys_of
from myna.training.reading import read_recipe

LEARNING = "learning"
"""The folder of a run, and the key of `data.json`, that say what was learnt from which corrections."""
CARRIED = "corrections.jsonl"
"""All corrections that a learnt run's data was made of, in the data folder."""
RESULT = "result.json"
"""What a finished learning came to, in its folder `learning/`."""


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier run.

    own: the data folder that it was trained on. data: the one to replay from; None when it is gone and nothing is to be
    replayed. carried: corrections that it has learnt.
    """

    run: RunFolder
    recipe: Recipe
    own: Path
    data: DataFolder | None
    carried: Path | None
    notes: tuple[str, ...]

    @property
    def adapter(self) -> Path:
        """The adapter that the run has kept."""
        return self.run.adapter_path

    @property
    def folders(self) -> list[Path]:
        """The data folders that say where databases are: the original one, and the run's own."""
        original = [] if self.data is None else [self.data.path]
        return [*original, *([self.own] if self.own.is_dir() else [])]

    def digest(self) -> str:
        """Return a digest of the recipe and of the adapter's files."""
        digest = hashlib.sha256(self.run.recipe_path.read_bytes())
        for file in sorted(file for file in self.adapter.iterdir() if file.is_file()):
            digest.update(file.name.encode())
            digest.update(file.read_bytes())
        return digest.hexdigest()


def open_past(path: Path, data: Path | None, *, replay: float) -> Past:
    """Open a finished run and the data it was trained on.

    data: where that is now, when it was moved. replay: 0 lets data be gone. Raises `RunError` for no run and an
    unfinished one, `AdapterError` and `ModelError` when adapter or base model can't be read, and `DataError` when the
    data is gone.
    """
    run = RunFolder.open(path.expanduser().absolute())
    _check_finished(run)
    recipe = read_recipe(run)
    read_adapter(run.path, find(recipe.model))
    own, inside = Path(recipe.data), run.path / "data"
    if not own.is_dir() and inside.is_dir():  # a run that learnt, and was moved with its data in it
        own = inside
    carried = own / CARRIED
    folder, notes = _data(run, own, data, replay)
    opened = None
    if folder is not None:
        opened = open_folder(folder, keys=keys_of(recipe), on_bad_example=recipe.on_bad_example, seed=recipe.seed)
    return Past(run, recipe, own, opened, carried if carried.is_file() else None, notes)


def _check_finished(run: RunFolder) -> None:
    learning = run.path / LEARNING
    if learning.is_dir() and not (learning / RESULT).is_file():
        raise RunError(
            f"{run.path}: is itself learning from corrections and not finished; give the command that began it again, "
            "it goes on where it was"
        )
    if not run.finished:
        saved = run.checkpoints()
        state = f"it was saved up to iteration {saved[-1][0]}" if saved else "nothing of it was saved yet"
        raise RunError(
            f"{run.path}: this run is not finished ({state}), so there is no adapter of it to go on from; finish it "
            f"with myna train --resume {shlex.quote(str(run.path))}"
        )


def _data(run: RunFolder, own: Path, given: Path | None, replay: float) -> tuple[Path | None, tuple[str, ...]]:
    """Return the folder to replay from, the original one for a run that has learnt from corrections."""
    if given is not None:
        return given.expanduser().absolute(), ()
    first = _first_data(own)
    wanted = first or own
    if wanted.is_dir():
        return wanted, ()
    if first is not None:
        return own, (
            f"{wanted}, which the first run was trained on, is gone: what {run.path} was trained on stands in",
        )
    if replay == 0:
        return None, (f"{wanted}, which the run was trained on, is gone: nothing is replayed, its test is not scored",)
    raise DataError(
        f"{wanted}: the data that {run.path} was trained on is not there any more, so nothing of it can be replayed "
        "and what is forgotten can't be measured; give its new place with --data FOLDER, or learn the corrections "
        "alone with --replay 0, which are then scored on those of them that are held out"
    )


def _first_data(folder: Path) -> Path | None:
    """Return the data of the first run, when `folder` was made by learning from corrections."""
    learning = data_note(folder).get(LEARNING)
    first = learning.get("data") if isinstance(learning, dict) else None
    return Path(first) if isinstance(first, str) else None
