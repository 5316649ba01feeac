"""What this machine offers, what is fast on it, what is missing, and the command that mends it: `examine`.

Out: plain facts. Knows no terminal.
"""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from myna import __version__
from myna.engines.machine import cpu_information, processor_name
from myna.errors import MissingDependency

_LIBRARIES = ("torch", "mlx", "mlx-lm", "transformers", "tokenizers", "safetensors", "huggingface_hub", "numpy")
_OPTIONAL = {"datasets": ("hf_dataset in a recipe reads data sets of the hub", "datasets")} | dict.fromkeys(
    ("duckdb", "llguidance", "rapidfuzz", "pypinyin"), ("databases and asking use it", "'myna[sql]'")
)
"""What some parts use, what for, and what installs it."""
_CAPABILITIES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 bfloat16",
    "amx_tile": "AMX",
    "amx_bf16": "AMX bfloat16",
    "asimd": "NEON",
    "bf16": "bfloat16",
}
"""What Linux calls the instructions that matter here, and everybody else."""

_ENOUGH_FREE_BYTES = 2e9


def examine() -> dict[str, Any]:
    """Return the facts of this machine, by name; `missing` holds a sentence with its mend for each thing that is.

    Without a tensor library that can be loaded, `engine`, `device` and speeds are left out.
    """
    facts: dict[str, Any] = {**_machine(), "libraries": {name: _version(name) for name in _LIBRARIES}}
    missing = _missing()
    try:
        facts |= _engine()
    except MissingDependency as error:
        missing.insert(0, str(error))
    except (ImportError, OSError) as error:
        missing.insert(0, f"torch is installed and can't be loaded ({error}): pip install --force-reinstall torch")
    else:
        if facts["device"]["kind"] == "cpu" and shutil.which("nvidia-smi") is not None:
            missing.insert(0, "an NVIDIA GPU is here that this torch can't use: pip install --force-reinstall torch")
    facts["starter"], damaged = _starter()
    facts["missing"] = [*missing, *damaged]
    return facts


def _machine() -> dict[str, Any]:
    import psutil

    memory = psutil.virtual_memory()
    return {
        "myna": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor_name(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "capabilities": _capabilities(),
        "memory_bytes": memory.total,
        "available_memory_bytes": memory.available,
        "free_disk_bytes": shutil.disk_usage(Path.cwd()).free,
    }


def _engine() -> dict[str, Any]:
    from myna.engines import choose

    engine = choose("auto")
    found: dict[str, Any] = {
        "engine": engine.name,
        "device": asdict(engine.device()),
        "floating_point_operations_per_second": engine.matrix_speed(),
    }
    if engine.name != "mlx" and all(_version(name) for name in ("mlx", "mlx-lm")):
        found["mlx_device"] = asdict(choose("mlx").device())
    return found


def _starter() -> tuple[dict[str, Any], list[str]]:
    """Return what there is to say of the model that ships with Myna, and what is wrong with its files."""
    from myna.models.files import STARTER_FOLDER
    from myna.starter.integrity import content_hash, damage

    damaged = damage()
    mend = [f"{problem}; in a clone, git checkout -- {STARTER_FOLDER}; else install Myna again" for problem in damaged]
    return {"content_hash": content_hash(), "intact": not damaged}, mend


def _missing() -> list[str]:
    missing = [
        f"{name} is not installed ({use}): pip install {install}"
        for name, (use, install) in _OPTIONAL.items()
        if _version(name) is None
    ]
    if shutil.disk_usage(Path.cwd()).free < _ENOUGH_FREE_BYTES:
        missing.append(f"little disk space is left in {Path.cwd()}: make room before training")
    return missing


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _capabilities() -> list[str]:
    information = cpu_information()
    found = f"{information.get('flags', '')} {information.get('Features', '')}".split()
    return [name for flag, name in _CAPABILITIES.items() if flag in found]
