"""From a YAML file and a command line's flags to a recipe, with a readable sentence for each thing wrong.

mlx_lm's YAML files are taken as they are: its names for our fields are translated, what has no meaning here
is left out and said in a notice. Paths are relative to the working directory, as in mlx_lm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from myna.errors import RecipeError, did_you_mean
from myna.recipe.document import Document, read_document, read_file
from myna.recipe.settings import LearningRateSchedule, LoraParameters, Recipe, fetched_folder

OTHER_NAMES = {
    "lora_layers": "num_layers",
    "text_feature": "text_key",
    "prompt_feature": "prompt_key",
    "completion_feature": "completion_key",
    "chat_feature": "messages_key",
}
"""Names that mlx_lm has, or had, for our fields."""

_WITHOUT_MEANING = {
    "clear_cache_threshold": "memory is returned to the system without it",
    "report_to": "a run writes log.jsonl and report.html and sends nothing to anyone",
    "project_name": "a run writes log.jsonl and report.html and sends nothing to anyone",
    "wandb": "a run writes log.jsonl and report.html and sends nothing to anyone",
    "config": "the recipe is this file",
}

_MOST_PROBLEMS = 20
"""A message names so many; a file that is no recipe has one for each of its lines."""

_LONGEST_NAME = 100
"""Characters of a setting's path; nothing longer is a misspelling of one of ours."""

_REPLACES = {
    "iters": "epochs",
    "epochs": "iters",
    "scale": "alpha",
    "alpha": "scale",
    "name": "arguments",
}
"""A flag takes away the file's setting that says the same in another way, or belongs to what it changes."""


@dataclass(frozen=True, slots=True)
class LoadedRecipe:
    """A recipe and what a person should know about how it was read."""

    recipe: Recipe
    notices: tuple[str, ...] = ()


def load_recipe(path: Path | str | None, overrides: Mapping[str, Any] | None = None) -> LoadedRecipe:
    """Read the YAML file at `path`, if any, and put `overrides` (nested as in the file) over it.

    Raises `RecipeError` for a file that can't be read, and for settings that are unknown, misspelt, out of
    range or contradict each other: all of them in one message.
    """
    overrides = overrides or {}
    if path is None:
        return _build(Document({}, {}), overrides, source="")
    text = read_file(Path(path).expanduser(), "recipe")
    loaded = _build(read_document(text, str(path)), overrides, source=str(path))
    return _with_fetched_data(loaded, overrides)


def read_recipe(path: Path) -> Recipe:
    """Read the recipe that a run left in its folder. Raises `RecipeError` when it can't be read."""
    return from_yaml(read_file(path, "recipe"), source=str(path))


def from_yaml(text: str, *, source: str = "recipe") -> Recipe:
    """Read a recipe from YAML text; `source` names it in error messages. Raises `RecipeError`."""
    return _build(read_document(text, source), {}, source=source).recipe


def _build(document: Document, overrides: Mapping[str, Any], source: str) -> LoadedRecipe:
    place = _Place(source, document.lines, overrides)
    values, notices = _translate(document.values, place)
    try:
        recipe = Recipe.model_validate(_overlaid(values, overrides))
    except ValidationError as error:
        raise RecipeError(_all_problems(place, error.errors())) from error
    notices += [
        f"optimizer_config.{recipe.optimizer}.{name}: {value} has no meaning here and is ignored"
        for name, value in recipe.options_without_meaning.items()
    ]
    if "learning_rate" in overrides and recipe.lr_schedule is not None and recipe.lr_schedule.arguments:
        notices.append(
            f"learning_rate {recipe.learning_rate:g} is not used: the arguments of lr_schedule say"
            f" {recipe.lr_schedule.arguments[0]:g}"
        )
    steps, said_here = recipe.grad_accumulation_steps, values.keys() - overrides.keys()
    if steps > 1 and recipe.iters is not None and {"iters", "grad_accumulation_steps"} <= said_here:
        notices.append(
            f"iters: {recipe.iters} steps of the optimizer, each of {steps} batches; mlx_lm counts batches: for the "
            f"same as there set --iters {max(1, recipe.iters // steps)}"
        )
    return LoadedRecipe(recipe, tuple(notices))


def _all_problems(place: _Place, problems: Sequence[ErrorDetails]) -> str:
    """Return a sentence for each of the first problems, one a line."""
    sentences = list(dict.fromkeys(place.sentence(problem) for problem in problems[:_MOST_PROBLEMS]))
    if len(problems) > _MOST_PROBLEMS:
        sentences.append(f"… and {len(problems) - _MOST_PROBLEMS:,} more problems")
    return "\n".join(sentences)


def _translate(given: Mapping[str, Any], place: _Place) -> tuple[dict[str, Any], list[str]]:
    """Take mlx_lm's keys for ours; a null that is no value of its own stands for the default, as there."""
    values: dict[str, Any] = {}
    notices: list[str] = []
    use_dora = False
    for key, value in given.items():
        name = OTHER_NAMES.get(key, key)
        if name in values:
            place.refuse((key,), f"{key} and {name} are the same setting; give one of them")
        if key == "trust_remote_code":
            if value:
                place.refuse(
                    (key,),
                    "trust_remote_code: true would run code that came with the model; Myna never does:"
                    " leave it out (architectures are those of the transformers library)",
                )
        elif key == "train":
            if not value:
                notices.append("train: false is ignored: myna train trains; to test only, use myna test")
        elif key in _WITHOUT_MEANING:
            if value is not None:
                notices.append(f"{key}: {value} is ignored: {_WITHOUT_MEANING[key]}")
        elif key == "use_dora":
            use_dora = bool(value)
        elif value is not None or _takes_null(name):
            values[name] = value
    if use_dora and values.setdefault("fine_tune_type", "dora") != "dora":
        kind = values["fine_tune_type"]
        place.refuse(("use_dora",), f"use_dora is true and fine_tune_type is {kind}; leave use_dora out")
    if (scale := _old_scale(values.get("lora_parameters"))) is not None:
        given_parameters = values["lora_parameters"]
        values["lora_parameters"] = {**given_parameters, "scale": scale, "alpha": None}
        notices.append(
            f"lora_parameters: scale {given_parameters['scale']} and alpha {given_parameters['alpha']} are taken as "
            f"mlx_lm took them in 2024, scale · alpha / rank = {scale:g}"
        )
    return values, notices


def _old_scale(parameters: object) -> float | None:
    """Return the factor that mlx_lm made of scale and alpha until the summer of 2024, None where not both are given.

    Its `LoRALinear` had `self.scale = scale * (alpha / r)`, with 10 and 16 in the `lora_config.yaml` of its examples.
    """
    if not isinstance(parameters, Mapping) or parameters.get("rslora"):
        return None
    numbers = [parameters.get(name, default) for name, default in (("scale", None), ("alpha", None), ("rank", 8))]
    if any(isinstance(number, bool) or not isinstance(number, int | float) or number <= 0 for number in numbers):
        return None  # not both, or what is refused as it stands
    scale, alpha, rank = numbers
    return float(scale * alpha / rank)


def _takes_null(name: str) -> bool:
    field = Recipe.model_fields.get(name)
    return field is None or type(None) in get_args(field.annotation)


def _overlaid(values: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(values)
    for name, value in overrides.items():
        below = result.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            result[name] = _overlaid(dict(below), value)
        else:
            result[name] = value
        if value != below and (other := _REPLACES.get(name)) is not None and other not in overrides:
            result.pop(other, None)
    return result


def _with_fetched_data(loaded: LoadedRecipe, overrides: Mapping[str, Any]) -> LoadedRecipe:
    """Let data sets of the hub win over a folder that the same file names, as in mlx_lm."""
    recipe = loaded.recipe
    if recipe.hf_dataset is None or "data" in overrides:
        return loaded
    folder = fetched_folder(recipe.hf_dataset)
    if recipe.data == folder:
        return loaded
    notice = f"data: {recipe.data} is not used: hf_dataset names the data, which is kept in {folder}"
    return LoadedRecipe(recipe.model_copy(update={"data": folder}), (*loaded.notices, notice))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where settings came from, and how to say what is wrong with one."""

    source: str
    lines: Mapping[tuple[str, ...], int]
    overrides: Mapping[str, Any]

    def refuse(self, path: tuple[str, ...], message: str) -> NoReturn:
        raise RecipeError(self._where(path) + message)

    def sentence(self, problem: ErrorDetails) -> str:
        path = tuple(str(part) for part in problem["loc"])
        return self._where(path) + _complaint(path, problem)

    def _where(self, path: tuple[str, ...]) -> str:
        """`file:line: ` of the setting, the nearest one around it, or nothing for one given by flag."""
        if path and _holds(self.overrides, path):
            return ""
        names = [path, *((other, *path[1:]) for other, name in OTHER_NAMES.items() if path[:1] == (name,))]
        for candidate in names:
            for length in range(len(candidate), 0, -1):
                if candidate[:length] in self.lines:
                    return f"{self.source}:{self.lines[candidate[:length]]}: "
        return f"{self.source}: " if self.source else ""


def _holds(values: object, path: tuple[str, ...]) -> bool:
    if not path or not isinstance(values, Mapping):
        return True
    return path[0] in values and _holds(values[path[0]], path[1:])


def _complaint(path: tuple[str, ...], problem: ErrorDetails) -> str:
    name, kind, value = ".".join(path), problem["type"], problem["input"]
    if kind == "value_error":
        message = str(problem["ctx"]["error"])
        return f"{name} is {_shown(value)}; {message}" if message.startswith("expected") else message
    owner = _owner(path)
    if kind == "extra_forbidden":
        if len(name) > _LONGEST_NAME:
            return f"unknown setting {_shown(name)}"
        return f"unknown setting {name!r}{did_you_mean(path[-1], _names(owner))}"
    if kind == "missing":
        described = owner.model_fields[path[-1]].description or ""
        return f"{name!r} is missing: {described[:1].lower()}{described[1:].rstrip('.')}"
    return f"{name} is {_shown(value)}; expected {_expected(kind, problem)}"


def _owner(path: tuple[str, ...]) -> type[BaseModel]:
    nested: dict[str, type[BaseModel]] = {
        "lora_parameters": LoraParameters,
        "lr_schedule": LearningRateSchedule,
    }
    return nested.get(path[0], Recipe) if len(path) > 1 else Recipe


def _names(owner: type[BaseModel]) -> Iterable[str]:
    return [*owner.model_fields, *OTHER_NAMES, *_WITHOUT_MEANING, "use_dora"] if owner is Recipe else owner.model_fields


def _expected(kind: str, problem: ErrorDetails) -> str:
    limits = problem.get("ctx", {})
    number = {"int": "a whole number", "float": "a number", "finite": "a finite number"}
    if kind == "literal_error":
        return str(limits["expected"]) + did_you_mean(str(problem["input"]), re.findall(r"'([^']*)'", str(limits)))
    for bound, words in {
        "greater_than_equal": ("ge", "{} or more"),
        "greater_than": ("gt", "a number above {}"),
        "less_than": ("lt", "a number below {}"),
    }.items():
        if kind == bound:
            return words[1].format(limits[words[0]])
    if kind == "string_too_short":
        return "a name, not nothing"
    if kind == "string_too_long":
        return f"at most {limits['max_length']} characters"
    kinds = {
        **number,
        "string": "text",
        "bool": "true or false",
        "tuple": "a list",
        "dict": "settings such as 'name: value'",
        "model": "settings such as 'name: value'",
    }
    return kinds.get(kind.split("_", maxsplit=1)[0], problem["msg"])


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
