"""`myna train`: a new run by a recipe, flags or both, or an old one gone on with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from myna.cli.flags import COMMON, Common, UsageError
from myna.cli.terminal import say
from myna.cli.train_display import display, show_result
from myna.cli.train_flags import RecipeFlags, flag_names, overrides, settings

_MAY_CHANGE = ("iters", "epochs")


def train(
    recipe: Path | None = None,
    /,
    *,
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
    resume: Path | None = None,
    train: Annotated[bool, Parameter(negative="")] = False,
    flags: Annotated[RecipeFlags, Parameter(name="*")] | None = None,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Train by a recipe or flags, or go on with a run.

    Every setting of a recipe has a flag, and a flag wins over the file. YAML files of mlx_lm run unchanged.

    Parameters
    ----------
    recipe
        YAML file with the settings.
    config
        The same, as mlx_lm names it.
    resume
        Run folder to go on with, from its last checkpoint; only --iters and --epochs may be changed.
    train
        Accepted as in mlx_lm; this command always trains.
    """
    from myna.recipe import load_recipe
    from myna.reports import write_report
    from myna.training import resume as resume_training
    from myna.training import train as start_training

    if recipe is not None and config is not None:
        raise UsageError(f"two recipes: {recipe} and --config {config}; give one of them")
    if resume is not None:
        changes = _changes(flags, recipe or config)
        with display(sys.stdout) as listener:
            result = resume_training(resume, listener=listener, **changes)
    else:
        loaded = load_recipe(recipe or config, overrides(flags) if flags is not None else {})
        for notice in loaded.notices:
            say(f"Note: {notice}", stream=sys.stderr)
        with display(sys.stdout) as listener:
            result = start_training(loaded.recipe, listener=listener)
    report = write_report(result.run)
    show_result(result, report, sys.stdout)
    return {**result.as_dict(), "report": str(report)}


def _changes(flags: Any, recipe: Path | None) -> dict[str, Any]:
    """What a resumed run may change; refuse the rest."""
    given = {path: getattr(flags, "__".join(path)) for _, path, _ in settings()} if flags is not None else {}
    changed = {path: value for path, value in given.items() if value is not None}
    refused = [flag_names(path)[0] for path in changed if path[-1] not in _MAY_CHANGE]
    if recipe is not None:
        refused.insert(0, str(recipe))
    if refused:
        raise UsageError(
            f"a resumed run keeps its own recipe, so {', '.join(refused)} can't be given with --resume;"
            f" only --iters and --epochs may be changed"
        )
    return {path[-1]: value for path, value in changed.items()}
