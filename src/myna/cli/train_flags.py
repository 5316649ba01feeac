"""A flag for every setting of a recipe, made from the recipe itself so that none can be missing.

`RecipeFlags` is what the parser fills; `overrides` turns it into the nested mapping that `load_recipe` takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import make_dataclass
from types import GenericAlias, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from cyclopts import Group, Parameter
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from myna.errors import RecipeError
from myna.recipe import OTHER_NAMES, SECTIONS, LearningRateSchedule, LoraParameters, Recipe
from myna.recipe.document import read_document

_NESTED: Mapping[str, tuple[type[BaseModel], Mapping[str, str]]] = {
    "lora_parameters": (LoraParameters, {}),
    "lr_schedule": (LearningRateSchedule, {"name": "lr-schedule", "arguments": "lr-schedule-arguments"}),
}
"""Settings that have settings of their own, and those of them whose flag is not just their name."""

_WRITTEN_AS_YAML = ("hf_dataset", "optimizer_config")

FlagPath = tuple[str, ...]


def flag_names(path: FlagPath) -> tuple[str, ...]:
    """Return the flags of a setting: `("lora_parameters", "rank")` → `("--rank",)`; mlx_lm's other names last."""
    name = path[-1].replace("_", "-")
    if len(path) > 1:
        name = _NESTED[path[0]][1].get(path[1], name)
    others = [other for other, ours in OTHER_NAMES.items() if path == (ours,)]
    return (f"--{name}", *(f"--{other.replace('_', '-')}" for other in others))


def settings() -> Iterator[tuple[str, FlagPath, FieldInfo]]:
    """Yield heading, path and field of every setting of a recipe."""
    for heading, names in SECTIONS.items():
        for name in names:
            if name in _NESTED:
                for inner, field in _NESTED[name][0].model_fields.items():
                    yield heading, (name, inner), field
            else:
                yield heading, (name,), Recipe.model_fields[name]


def _flag_type(path: FlagPath, annotation: Any) -> Any:
    """Return what the parser should read: without None, and without limits, which the recipe checks."""
    if path[-1] in _WRITTEN_AS_YAML or path == ("lr_schedule", "name"):
        return str
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _flag_type(path, arguments[0])
    if origin in (Union, UnionType):
        return _flag_type(path, next(part for part in arguments if part is not type(None)))
    if origin is tuple:
        return GenericAlias(tuple, (_flag_type(path, arguments[0]), ...))
    return annotation


def _parameter(group: Group, path: FlagPath, field: FieldInfo) -> Parameter:
    several = get_origin(_flag_type(path, field.annotation)) is tuple
    default = field.default if field.default not in (None, ()) and not callable(field.default) else None
    shown = f" (default: {default})" if isinstance(default, bool | int | float | str) and default != "" else ""
    return Parameter(
        name=flag_names(path),
        help=f"{field.description}{'' if isinstance(default, bool) else shown}",
        group=group,
        consume_multiple=several,
        negative="" if several else None,
        show_default=False,
    )


def _make_recipe_flags() -> type:
    groups = {heading: Group(heading, sort_key=place) for place, heading in enumerate(SECTIONS)}
    annotated: Any = Annotated
    fields = [
        (
            "__".join(path),
            annotated[_flag_type(path, field.annotation) | None, _parameter(groups[heading], path, field)],
            None,
        )
        for heading, path, field in settings()
    ]
    made = make_dataclass("RecipeFlags", fields, frozen=True)
    made.__module__ = __name__  # the parser looks annotations up in the module of the class
    return made


if TYPE_CHECKING:

    class RecipeFlags:
        """An attribute for every setting, None where its flag is not given."""

else:
    RecipeFlags = _make_recipe_flags()


def overrides(flags: Any) -> dict[str, Any]:
    """Return the settings that were given as flags, nested as in a recipe file.

    Raises `RecipeError` for a value that should be YAML and is not.
    """
    given: dict[str, Any] = {}
    for _, path, _ in settings():
        value = getattr(flags, "__".join(path))
        if value is None:
            continue
        if path[-1] in _WRITTEN_AS_YAML:
            value = _from_yaml(path[-1], value)
        elif path[-1] == "keys":
            value = tuple(word for words in value for word in words.replace(",", " ").split())
        place = given.setdefault(path[0], {}) if len(path) > 1 else given
        place[path[-1]] = value
    return given


def _from_yaml(name: str, text: str) -> Any:
    """`{adamw: {weight_decay: 0.1}}`, or for a data set of the hub its id alone."""
    flag = f"--{name.replace('_', '-')}"
    if name == "hf_dataset" and not text.lstrip().startswith(("{", "[")):
        return ({"path": text},)
    values = read_document(f"{name}: {text}", flag).values
    if set(values) != {name}:
        raise RecipeError(f"{flag}: expected settings such as '{{adamw: {{weight_decay: 0.1}}}}', found {text!r}")
    value = values[name]
    return (value,) if name == "hf_dataset" and isinstance(value, dict) else value
