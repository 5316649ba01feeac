"""Checkpoints: all that a run needs to go on, in one folder that is there whole or not at all.

    checkpoints/000200/  the adapter's files, as in adapter/
                         optimizer.safetensors   the engine's optimizer state, exact
                         state.json              how far the run has come (`Progress`)

Knows no tensor library and nothing of the loop.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from myna.engines.base import Model
from myna.errors import RunError, TrainingError
from myna.models.adapters import AdapterSpec, read_adapter, write_adapter
from myna.models.files import ModelFiles
from myna.models.tensors import read_header, read_tensor, write_tensors
from myna.runs import RunFolder, write_file, write_folder
from myna.training.progress import Progress

OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
NOTE = "myna.json"
"""Stands beside every adapter; `iteration` in it says which step the adapter is from."""


def save(
    run: RunFolder,
    model: Model,
    progress: Progress,
    *,
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
            f"finite any more, so nothing was saved. {last_saved(run)} Lower --learning-rate."
        )
    path = run.checkpoint(progress.step)
    with write_folder(path) as folder:
        write_adapter(folder, spec, tensors, files=files, note={**note, "iteration": progress.step})
        write_tensors(folder / OPTIMIZER, model.optimizer_state())
        write_file(folder / STATE, json.dumps(progress.as_dict(), indent=2))
    return path


def last_saved(run: RunFolder) -> str:
    """Tell in a sentence what a run that stops here can go on from."""
    saved = run.checkpoints()
    if not saved:
        return "No checkpoint had been saved yet."
    step, path = saved[-1]
    return f"The checkpoint of iteration {step} is intact: {path}."


def read_progress(path: Path) -> Progress:
    """Read how far the checkpoint in folder `path` had come. Raises `RunError` for one that was changed."""
    try:
        return Progress.from_dict(json.loads((path / STATE).read_bytes()))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(
            f"{path / STATE}: not the state of a checkpoint ({error}); remove {path} to resume from the one before."
        ) from error


def restore(path: Path, model: Model, *, files: ModelFiles) -> None:
    """Load adapter and optimizer of the checkpoint in folder `path` into `model`, which is prepared for
    training."""
    _, tensors = read_adapter(path, files)
    model.load_trainable(tensors)
    header = read_header(path / OPTIMIZER)
    model.load_optimizer_state({name: read_tensor(info) for name, info in header.items()})


def keep(run: RunFolder, step: int) -> None:
    """Make `adapter/` the adapter of the checkpoint of `step`, unless it is already.

    Raises `RunError` when that checkpoint is gone.
    """
    if _iteration(run.adapter_path) == step:
        return
    checkpoint = run.checkpoint(step)
    if not checkpoint.is_dir():
        raise RunError(
            f"{checkpoint}: this checkpoint holds the best adapter so far, and it is gone; put it back, or "
            "start a new run with myna train."
        )
    with write_folder(run.adapter_path) as folder:
        for file in sorted(checkpoint.iterdir()):
            if file.name not in (OPTIMIZER, STATE):
                shutil.copyfile(file, folder / file.name)


def _iteration(adapter: Path) -> int | None:
    try:
        note = json.loads((adapter / NOTE).read_bytes())
    except (OSError, ValueError):
        return None
    iteration = note.get("iteration") if isinstance(note, dict) else None
    return iteration if isinstance(iteration, int) else None
