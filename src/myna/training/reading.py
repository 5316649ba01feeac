"""What a run folder says of itself, read back and checked: it may be damaged, or come from somebody else.

In: a run folder. Out: its recipe, its environment, and its events in the types they were written from. Whatever is
wrong with a file is a `RunError` (of a recipe a `RecipeError`) that names it, and the line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr, ValidationError

from myna.errors import RunError
from myna.recipe import Recipe, from_yaml
from myna.runs import RunFolder, read_events, read_file, wrong_field
from myna.training.events import Event

_LARGEST_WHOLE = 2**63


def read_recipe(run: RunFolder) -> Recipe:
    """Return the recipe of a run. Raises `RecipeError` for one that can't be, `RunError` for what is no text."""
    return from_yaml(recipe_text(run), source=str(run.recipe_path))


def recipe_text(run: RunFolder) -> str:
    """Return the recipe as it stands in the folder. Raises `RunError` for what is no text."""
    try:
        return read_file(run.recipe_path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"{run.recipe_path}: a recipe is UTF-8 text; byte {error.start} is not") from error
    except OSError as error:
        raise RunError(f"{run.recipe_path}: can't be read ({error.strerror})") from error


class _Device(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: StrictStr = ""
    kind: StrictStr = ""
    memory_bytes: StrictInt = 0
    dtype: StrictStr = ""
    notes: list[StrictStr] = []


class _Environment(BaseModel):
    """What is used of an environment; anything else in it is only shown."""

    model_config = ConfigDict(extra="ignore")

    engine: StrictStr = ""
    libraries: dict[StrictStr, StrictStr] = {}
    device: _Device = _Device()
    hashes: dict[StrictStr, StrictStr | None] = {}


def read_environment(run: RunFolder) -> dict[str, Any]:
    """Return what `environment.json` holds; empty where there is none. Raises `RunError` for a damaged one."""
    path = run.environment_path
    if not path.exists():
        return {}
    try:
        content: dict[str, Any] = json.loads(read_file(path))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: not JSON ({error}); {_REPORTS_WITHOUT}") from error
    try:
        _Environment.model_validate(content)
        _check_values(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f" in {part}" for part in reversed(first["loc"]))
        raise RunError(f"{path}: not what a run writes{where}: {first['msg']}; {_REPORTS_WITHOUT}") from error
    except ValueError as error:
        raise RunError(f"{path}: not what a run writes: {error}; {_REPORTS_WITHOUT}") from error
    return content


_REPORTS_WITHOUT = "put the file back, or remove it to make the report without it"
_DEEPEST = 8


def _check_values(value: object, depth: int = 0) -> None:
    """Raise `ValueError` for what can't be shown."""
    if depth > _DEEPEST:
        raise ValueError(f"nested more than {_DEEPEST} deep")
    if isinstance(value, int) and abs(value) > _LARGEST_WHOLE:
        raise ValueError("a number is too large")
    for each in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        _check_values(each, depth + 1)


def read_log(run: RunFolder) -> list[Event]:
    """Return the events of a run, as far as this version knows their kinds; none where there is no log.

    A last line that is torn is left out. Raises `RunError` naming the first line that no run has written.
    """
    if not run.log_path.exists():
        return []
    kinds: dict[str, type[Event]] = {kind.name: kind for kind in get_args(Event)}
    found: list[Event] = []
    for number, event in enumerate(read_events(run.log_path), start=1):
        name = event.get("event")
        if not isinstance(name, str):
            raise RunError(f'{run.log_path}:{number}: no "event" that says what happened; {_CHANGED}')
        if (kind := kinds.get(name)) is not None:
            found.append(_typed(kind, event, f"{run.log_path}:{number}"))
    return found


def _typed(kind: type[Event], event: Mapping[str, Any], where: str) -> Event:
    if (wrong := wrong_field(kind, event)) is not None:
        raise RunError(f"{where}: {wrong} in a {kind.name} event; {_CHANGED}")
    return kind(**{field.name: event[field.name] for field in fields(kind)})


_CHANGED = "the log was changed. Remove that line to go on"
