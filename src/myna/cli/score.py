"""`myna score`: execution accuracy and exact match of a model, an adapter, or a file of predictions."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from myna.cli.flags import COMMON, Common, UsageError
from myna.cli.model_flags import MACHINE, MODEL, Machine, ModelAndAdapter, ModelFlags, base_model, recipe_of_run
from myna.cli.score_display import display, show_result

_SAID_BY_VALUE = ("constrain", "size", "engine", "dtype", "device")
"""Settings whose values need no name beside them."""


def score(
    *,
    data: Path | None = None,
    predictions: Path | None = None,
    split: Literal["train", "valid", "test"] = "test",
    size: int | None = None,
    databases: Path | None = None,
    out: Path | None = None,
    workers: int | None = None,
    time_limit: float = 10.0,
    max_tokens: Annotated[int, Parameter(name=["--max-tokens", "-m"])] = 256,
    batch_size: int = 16,
    constrain: Literal["off", "schema", "content"] = "off",
    model: ModelAndAdapter = MODEL,
    machine: Machine = MACHINE,
    common: Common = COMMON,
) -> Any:
    """Score SQL by running it: execution accuracy, exact match and valid SQL, with 95 % intervals.

    Of an adapter: myna score --adapter-path RUN. Of a base model: myna score --model MODEL --data DATA. Of ready SQL:
    myna score --data DATA --predictions FILE. Interrupted, the same command goes on where it was.

    Parameters
    ----------
    data
        Folder with test.jsonl and SQL facts, as myna data database, wikisql, spider and sql-create-context write it;
        of an adapter in a run folder it is known.
    predictions
        Ready answers, one SQL a line (an empty line for none) or JSON lines with "sql", "prediction", "text" …
    split
        Which file of the data is scored.
    size
        Score this many questions, always the same ones.
    databases
        Folder with NAME.sqlite or NAME/NAME.sqlite, where the databases are not where data.json says.
    out
        Folder for the results; by default scores/ and a name made of what is scored, and how.
    workers
        Processes that run SQL; by default as many as there are cores.
    time_limit
        Seconds after which a query is ended.
    max_tokens
        Longest answer in tokens.
    batch_size
        Questions that the model answers together.
    constrain
        Hold answers to SQL over the question's tables (schema), or also to values that are in them (content).
    """
    from myna.text2sql import scoring

    if predictions is not None and model != MODEL:
        raise UsageError(f"two things to score: {predictions} and a model; give one of them")
    chosen_data = data or _data_of_run(model.adapter_path)
    if chosen_data is None:
        raise UsageError("no data: give --data, or --adapter-path with a run that names it")
    chosen_model = base_model(model) if predictions is None else None
    settings: dict[str, Any] = {
        "constrain": constrain,
        "size": size,
        "max_tokens": max_tokens,
        "batch_size": batch_size,
        "time_limit": time_limit,
        "databases": databases,
        "engine": machine.engine,
        "dtype": machine.dtype,
        "device": machine.device,
    }
    name = "-".join([_name(predictions, model, chosen_data, split), *_unusual(settings, scoring.score)])
    with display(sys.stderr) as listener:
        result = scoring.score(
            chosen_data,
            model=chosen_model,
            adapter_path=model.adapter_path,
            predictions=predictions,
            split=split,
            workers=workers,
            output=out or Path("scores") / name,
            listener=listener,
            **settings,
        )
    show_result(result, sys.stdout)
    return result.as_dict()


def _data_of_run(adapter: Path | None) -> Path | None:
    recipe = recipe_of_run(adapter)
    return None if recipe is None or recipe.data is None else Path(recipe.data)


def _name(predictions: Path | None, model: ModelFlags, data: Path, split: str) -> str:
    """Return the name of the folder of results: what is scored, and on what."""
    scored = predictions.stem if predictions is not None else _name_of_model(model)
    return f"{scored}-{data.expanduser().resolve().name}-{split}"


def _unusual(settings: Mapping[str, Any], function: Callable[..., Any]) -> Iterator[str]:
    """Yield a word on each setting that is not the function's default, so that other scores get other folders."""
    usual = signature(function).parameters
    for name, value in settings.items():
        if value != usual[name].default:
            shown = value.expanduser().resolve().name if isinstance(value, Path) else str(value).removesuffix(".0")
            word = shown if name in _SAID_BY_VALUE else f"{name.replace('_', '-')}-{shown}"
            yield re.sub(r"[^\w.]+", "-", word)


def _name_of_model(model: ModelFlags) -> str:
    if model.adapter_path is None:
        return Path(str(model.model)).name
    path = model.adapter_path.expanduser().resolve()
    if path.name == "adapter":
        return path.parent.name
    return f"{path.parent.parent.name}-{path.name}" if path.parent.name == "checkpoints" else path.name
