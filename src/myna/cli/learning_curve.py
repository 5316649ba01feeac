"""`myna learning-curve`: how many examples are enough?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from myna.cli.flags import COMMON, Common, UsageError
from myna.cli.terminal import say
from myna.cli.train_flags import RecipeFlags, overrides


def learning_curve(
    recipe: Path | None = None,
    /,
    *,
    out: Path | None = None,
    sizes: str | None = None,
    score_size: int | None = None,
    databases: Path | None = None,
    constrain: Literal["off", "schema", "content"] = "off",
    flags: Annotated[RecipeFlags, Parameter(name="*")] | None = None,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Train on 50, 100, 200, 400 … examples, score each by running its SQL, and say how many are enough.

    Takes a recipe or flags, as myna train does. Interrupted, the same command goes on where it was; with more sizes it
    trains only those that are new.

    Parameters
    ----------
    recipe
        YAML file with the settings.
    out
        Folder of the study; by default --adapter-path, or runs/ and a name made of model and data.
    sizes
        How many examples, such as 50,100,200; by default 50, doubled until all are taken.
    score_size
        Score this many questions of test.jsonl, always the same ones.
    databases
        Folder with NAME.sqlite or NAME/NAME.sqlite, where the databases are not where data.json says.
    constrain
        Hold answers to SQL over the question's tables (schema), or also to values that are in them (content).
    """
    from myna.cli.learning_curve_display import display, show_curve
    from myna.recipe import load_recipe
    from myna.studies.learning_curve import learning_curve as study

    loaded = load_recipe(recipe, overrides(flags) if flags is not None else {})
    for notice in loaded.notices:
        say(f"Note: {notice}", stream=sys.stderr)
    with display(sys.stdout) as listener:
        curve = study(
            loaded.recipe,
            out=out,
            sizes=None if sizes is None else _sizes(sizes),
            score_size=score_size,
            databases=databases,
            constrain=constrain,
            listener=listener,
        )
    show_curve(curve, sys.stdout)
    return curve.as_dict()


def _sizes(text: str) -> list[int]:
    try:
        return [int(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise UsageError(f"--sizes {text}: expected numbers, such as 50,100,200") from None
