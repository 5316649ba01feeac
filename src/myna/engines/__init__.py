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
    apple = platform.machine() == "arm64" and platform.system() == "Darwin"
    if name == "mlx" or (name == "auto" and apple and not _missing("mlx", "mlx_lm")):
        if missing := _missing("mlx", "mlx_lm"):
            if not apple and platform.system() != "Linux":
                raise MissingDependency("MLX runs on Apple silicon and Linux: leave out --engine mlx to use torch")
            raise MissingDependency(f"the MLX engine needs {' and '.join(missing)}: pip install 'myna[mlx]'")
        from myna.engines.mlx import MlxEngine

        return MlxEngine()
    if _missing("torch"):
        if name == "torch":
            raise MissingDependency("the torch engine needs torch: pip install 'myna[torch]'")
        where, extra = ("Apple silicon", "mlx") if apple else ("this machine", "torch")
        raise MissingDependency(f"no engine is installed for {where}: pip install 'myna[{extra}]'")
    from myna.engines.torch import TorchEngine

    return TorchEngine()


def _missing(*packages: str) -> list[str]:
    return [package.replace("_", "-") for package in packages if importlib.util.find_spec(package) is None]
