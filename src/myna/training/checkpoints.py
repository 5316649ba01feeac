"""Checkpoints: all that a run needs to go on, in one folder that is there whole or not at all.

    checkpoints/000200/  the adapter's files, as in adapter/
                         optimizer.safetensors   the engine's optimizer state, exact
                         state.json              how far the run has come (`Progress`), the recipe that it was trained
                                                 by, and a SHA-256 of each other file and of this one

Knows no tensor library and nothing of the loop.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from myna.engines.base import Model
from myna.errors import RunError, TrainingError
from myna.models.adapters import AdapterSpec, read_adapter, write_adapter
from myna.models.files import ModelFiles
from myna.models.tensors import read_header, read_tensor, write_tensors
from myna.recipe import Recipe
from myna.runs import RunFolder, read_file, write_file, write_folder
from myna.training.progress import Progress

OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
NOTE = "myna.json"
"""Stands beside every adapter; `iteration` in it says which step the adapter is from."""
_RECIPE, _FILES, _DIGEST = "recipe", "files", "sha256"

_MAY_CHANGE = frozenset({"iters", "epochs", "data", "model", "adapter_path", "resume_adapter_file", "device"})
"""Settings that a resumed run may find changed: how long it trains, and where things are. What is in the data and the
base model is compared by itself, and another device is reported."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint whose files are as they were written.

    recipe: the settings that it was trained by, as in JSON; None in those of versions that did not record it.
    """

    path: Path
    progress: Progress
    recipe: Mapping[str, Any] | None


def save(
    run: RunFolder,
    model: Model,
    progress: Progress,
    *,
    recipe: Recipe,
    spec: AdapterSpec,
    files: ModelFiles,
    note: Mapping[str, Any],
) -> Path:
    """Write the checkpoint of `progress.step` and return its folder.

    Raises `TrainingError` when a trained number is not finite, `ResourceError` when the disk is full; what
    was saved before stays.
    """
    tensors = model.trainable()
    broken = sorted(name for name, tensor in tensors.items() if not np.isfinite(tensor).all())
    if broken:
        raise TrainingError(
            f"iteration {progress.step}: {broken[0]} and {len(broken) - 1} other trained tensors are not "
            f"finite any more, so nothing was saved. {last_saved(run, progress.step)} Lower --learning-rate."
        )
    path = run.checkpoint(progress.step)
    with write_folder(path) as folder:
        write_adapter(folder, spec, tensors, files=files, note={**note, "iteration": progress.step})
        write_tensors(folder / OPTIMIZER, model.optimizer_state())
        hashes = {file.name: _content_hash(file) for file in sorted(folder.iterdir())}
        state = {**progress.as_dict(), _RECIPE: recipe.model_dump(mode="json"), _FILES: hashes}
        write_file(folder / STATE, json.dumps({**state, _DIGEST: _digest(state)}, indent=2))
    return path


def last_saved(run: RunFolder, step: int | None = None) -> str:
    """Tell in a sentence what a run that stops here, after `step`, can go on from."""
    saved = [each for each in run.checkpoints() if step is None or each[0] <= step]
    if not saved:
        return "No checkpoint had been saved yet."
    last, path = saved[-1]
    return f"The checkpoint of iteration {last} is intact: {path}."


def newest(run: RunFolder) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint that is intact, and what is wrong with each newer one.

    None when the run has no checkpoint. Raises `RunError` when it has some and all of them are damaged.
    """
    damages: list[str] = []
    for step, path in reversed(run.checkpoints()):
        try:
            return _read(path, step), damages
        except RunError as error:
            damages.append(str(error))
    if damages:
        raise RunError(
            f"{damages[0]}. No other checkpoint of the run is intact, so it can't go on; start a new one with "
            "myna train."
        )
    return None, []


def _read(path: Path, step: int) -> Checkpoint:
    """Read what a checkpoint says of itself. Raises `RunError` unless its files are as they were written."""
    file = path / STATE
    try:
        state = json.loads(read_file(file))
        if (recorded := state.pop(_DIGEST, None)) is not None and recorded != _digest(state):
            raise ValueError("it was changed")
        recipe, hashes = state.pop(_RECIPE, None), state.pop(_FILES, None)
        progress = Progress.from_dict(state)
        if progress.step != step:
            raise ValueError(f"it is of iteration {progress.step}")
        if not isinstance(recipe, dict | None) or not isinstance(hashes, dict | None):
            raise TypeError(f'"{_RECIPE}" and "{_FILES}" are objects')
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RunError(f"{file}: not the state of this checkpoint ({error})") from error
    for changed in _changed(path, hashes or {}):
        raise RunError(f"{changed}: was changed or damaged after it was saved")
    return Checkpoint(path, progress, recipe)


def _changed(folder: Path, hashes: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the files of `folder` that are not as recorded."""
    for name, recorded in hashes.items():
        file = folder / name
        try:
            if not file.is_file() or _content_hash(file) != recorded:
                yield file
        except OSError:
            yield file


def _digest(state: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _content_hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def changed_settings(recipe: Recipe, checkpoint: Checkpoint) -> list[str]:
    """Name the settings of `recipe` that the checkpoint was not trained by, with what they are and were."""
    before = dict(_settings(checkpoint.recipe or {}))
    now = dict(_settings(recipe.model_dump(mode="json")))
    return [
        f"{name} is {json.dumps(now[name])}, was {json.dumps(before[name])}"
        for name in now
        if name in before and now[name] != before[name] and name not in _MAY_CHANGE
    ]


def _settings(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _settings(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def restore(path: Path, model: Model, *, files: ModelFiles) -> None:
    """Load adapter and optimizer of the checkpoint in folder `path` into `model`, which is prepared for
    training."""
    _, tensors = read_adapter(path, files)
    model.load_trainable(tensors)
    header = read_header(path / OPTIMIZER)
    model.load_optimizer_state({name: read_tensor(info) for name, info in header.items()})


def keep(run: RunFolder, step: int, *, verify: bool = False) -> None:
    """Make `adapter/` the adapter of the checkpoint of `step`, unless it is already.

    verify: read all its files before believing so. Raises `RunError` when that checkpoint is gone, or damaged.
    """
    checkpoint = run.checkpoint(step)
    if _iteration(run.adapter_path) == step and not (verify and _differs(run.adapter_path, checkpoint)):
        return
    if not checkpoint.is_dir():
        raise RunError(
            f"{checkpoint}: this checkpoint holds the best adapter so far, and it is gone; put it back, or "
            "start a new run with myna train."
        )
    if verify:
        try:
            _read(checkpoint, step)
        except RunError as error:
            raise RunError(f"{error}; the best adapter so far is in it: put it back, or start a new run") from error
    with write_folder(run.adapter_path) as folder:
        for file in sorted(checkpoint.iterdir()):
            if file.is_file() and file.name not in (OPTIMIZER, STATE):
                shutil.copyfile(file, folder / file.name)


def _differs(adapter: Path, checkpoint: Path) -> bool:
    """Whether an adapter is not what its checkpoint recorded; False when that can't be read."""
    try:
        hashes = json.loads(read_file(checkpoint / STATE))[_FILES]
        return any(_changed(adapter, {name: each for name, each in hashes.items() if name != OPTIMIZER}))
    except (OSError, RunError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False


def _iteration(adapter: Path) -> int | None:
    try:
        note = json.loads(read_file(adapter / NOTE))
    except (OSError, RunError, ValueError, RecursionError):
        return None
    iteration = note.get("iteration") if isinstance(note, dict) else None
    return iteration if isinstance(iteration, int) else None
