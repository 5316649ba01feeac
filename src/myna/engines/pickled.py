"""Checkpoints that torch pickled (`.pth`, `.pt`): where the tensors in one lie, without loading it.

In: a file, or the part of an archive that is one. Out: a `TensorInfo` for each tensor, so that the rest of the house
reads it as it reads safetensors. Only torch can tell, and it does so with `weights_only=True`: nothing in it is run.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from myna.errors import MissingDependency
from myna.models.tensors import TensorInfo


def read_pickled_header(file: Path, *, start: int = 0, stop: int | None = None) -> dict[str, TensorInfo]:
    """Return where every tensor of a checkpoint lies, by its name; of the numbers nothing is read.

    start, stop: the bytes of `file` that are the checkpoint. Raises `ModelError` for a file that is cut off, no
    checkpoint, of torch's format before 1.6, or holds anything besides tensors by name, and `MissingDependency` where
    torch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingDependency(f"{file}: only torch can read this checkpoint: pip install 'myna[torch]'")
    from myna.engines.torch.pickled import tensors_in

    return tensors_in(file, start=start, stop=file.stat().st_size if stop is None else stop)
