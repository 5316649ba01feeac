"""Flags that name a model, an adapter and the machine, and what the adapter's run says where they are left out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from cyclopts import Group, Parameter

from myna.cli.flags import UsageError
from myna.cli.terminal import say

if TYPE_CHECKING:
    from myna.generation import LanguageModel
    from myna.recipe import Recipe

_MODEL = Group("Model", sort_key=0)
_MACHINE = Group("Machine", sort_key=900)

EngineName: TypeAlias = Literal["auto", "torch", "mlx"]
Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class MachineFlags:
    """Where and in what to compute."""

    engine: Annotated[EngineName, Parameter(group=_MACHINE)] = "auto"
    """Tensor library."""
    dtype: Annotated[Dtype, Parameter(group=_MACHINE)] = "auto"
    """Number type of the base weights; auto takes what this machine does well."""
    device: Annotated[str, Parameter(group=_MACHINE)] = "auto"
    """auto, cpu, cuda, cuda:1 …"""


@dataclass(frozen=True, slots=True)
class ModelFlags:
    """Base model and adapter."""

    model: Annotated[str | None, Parameter(group=_MODEL)] = None
    """Folder or hub id of the base model; of an adapter in a run folder it is known."""
    adapter_path: Annotated[Path | None, Parameter(group=_MODEL)] = None
    """Run folder, checkpoint, or adapter folder of Myna, PEFT or mlx-lm."""


Machine: TypeAlias = Annotated[MachineFlags, Parameter(name="*")]
ModelAndAdapter: TypeAlias = Annotated[ModelFlags, Parameter(name="*")]

MACHINE = MachineFlags()
MODEL = ModelFlags()


def recipe_of_run(adapter: Path | None) -> Recipe | None:
    """Return the recipe of the run that an adapter belongs to, None for one that stands alone.

    `adapter` is the run folder, its `adapter/`, or one of its checkpoints.
    """
    from myna.recipe import load_recipe

    if adapter is None:
        return None
    adapter = adapter.expanduser()
    for folder in (adapter, *list(adapter.parents)[:2]):
        if (folder / "recipe.yaml").is_file():
            return load_recipe(folder / "recipe.yaml").recipe
    return None


def base_model(flags: ModelFlags) -> str:
    """Return the base model that the flags name or the adapter's run was trained on."""
    if flags.model is not None:
        return flags.model
    recipe = recipe_of_run(flags.adapter_path)
    if recipe is not None:
        return recipe.model
    if flags.adapter_path is None:
        raise UsageError("no model: give --model FOLDER-OR-HUB-ID, or --adapter-path RUN")
    if not flags.adapter_path.expanduser().exists():
        raise UsageError(f"--adapter-path {flags.adapter_path}: there is no such run or adapter; look at the name")
    raise UsageError(f"{flags.adapter_path} is not part of a run; give its base model with --model")


def load_model(flags: ModelFlags, machine: MachineFlags) -> LanguageModel:
    """Load what the flags name."""
    from myna.generation import load

    say_other_base(base_model(flags), flags.adapter_path)
    return load(
        base_model(flags),
        adapter_path=flags.adapter_path,
        engine=machine.engine,
        dtype=machine.dtype,
        device=machine.device,
    )


def say_other_base(model: str, adapter: Path | None) -> None:
    """Tell, on standard error, when the adapter was trained on a base that is not quite this one."""
    from myna.models.adapters import read_note
    from myna.models.files import find
    from myna.models.origin import other_base

    if adapter is not None and (difference := other_base(read_note(adapter), find(model))) is not None:
        say(f"Note: {difference}.", stream=sys.stderr)
