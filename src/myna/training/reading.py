"""What a run folder says of itself, read back and checked: it may be damaged, or come from somebody else.

In: a run folder. Out: its recipe, its environment, and its events in the types they were written from. Whatever is
wrong with a file is a `RunError` (of a recipe a `RecipeError`) that names it, and the line.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr, ValidationError

from myna.errors import RunError
from myna.recipe import Recipe, from_yaml
from myna.runs import RunFolder, read_events, read_file
from myna.training.events import Event

_LARGEST_WHOLE = 2**63
_LARGEST = 1e300
"""Beyond any number that a run writes, and small enough to be added up and drawn."""


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
    device: _Device | None = None
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


def wrong_field(kind: type, content: Mapping[str, Any]) -> str | None:
    """Say which field of the dataclass `kind` has no value of its type in JSON `content`, None when all have."""
    for name, annotation in _annotations(kind).items():
        if name not in content:
            return f'no "{name}"'
        if not _fits(content[name], annotation):
            shown = json.dumps(content[name])
            more = "…" if len(shown) > 60 else ""
            return f'"{name}" is {shown[:60]}{more}, expected {_words(annotation)},'
    return None


@cache
def _annotations(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _fits(value: object, wanted: Any) -> bool:
    """Tell whether a value from JSON is of the type that a field of an event has."""
    if get_origin(wanted) in (Union, types.UnionType):
        return any(_fits(value, each) for each in get_args(wanted))
    if get_origin(wanted) is Literal:
        return value in get_args(wanted)
    if is_dataclass(wanted):
        return isinstance(value, dict) and wrong_field(cast("type", wanted), value) is None
    if wanted is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value) and abs(value) <= _LARGEST  # type: ignore[arg-type]
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_WHOLE
    return isinstance(value, type(None) if wanted is None else wanted)


def _words(wanted: Any) -> str:
    if get_origin(wanted) in (Union, types.UnionType):
        return " or ".join(map(_words, get_args(wanted)))
    if get_origin(wanted) is Literal:
        return " or ".join(map(str, get_args(wanted)))
    if is_dataclass(wanted):
        return "an object"
    names = {float: "a number", int: "a whole number from 0 on", str: "text", bool: "true or false"}
    return names.get(wanted, "null")
