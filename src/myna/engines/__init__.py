"""Engines: the only code that imports a tensor library. `choose` finds the right one for this machine."""

from __future__ import annotations

import importlib.util
import platform
from typing import Literal

from myna.engines.base import Engine
from myna.errors import MissingDependency

__all__ = ["choose"]


def choose(name: Literal["auto", "torch", "mlx"] = "auto") -> Engine:
    """Return the engine `name`; `auto` takes MLX on Apple silicon where it is installed, torch elsewhere.

    Raises `MissingDependency` with the command that installs what is missing.
    """
    if name == "mlx":
        raise MissingDependency(
            "the MLX engine is not part of this version yet; leave out --engine mlx to train with torch"
        )
    if importlib.util.find_spec("torch") is None:
        where = "Apple silicon" if platform.machine() == "arm64" and platform.system() == "Darwin" else "this machine"
        raise MissingDependency(f"no engine is installed for {where}: pip install 'myna[torch]'")
    from myna.engines.torch import TorchEngine

    return TorchEngine()
