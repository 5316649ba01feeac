"""Adapters in another layout: PEFT's and mlx-lm's, of each other, of runs and of mlx-examples' old `adapters.npz`.

In: an adapter and its base model's headers. Out: an adapter folder, with Myna's own note where there was one. The
formats themselves are read and written in `models`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from myna.errors import AdapterError
from myna.models.adapters import NOTE, read_note, read_stored, write_adapter, write_mlx_adapter
from myna.models.files import find
from myna.models.origin import other_base
from myna.models.stored import StoredAdapter, fit
from myna.runs import write_folder


@dataclass(frozen=True, slots=True)
class WrittenAdapter:
    """What was written; source: the layout that was read."""

    source: str
    tensors: int
    bytes: int
    notices: tuple[str, ...]


def convert_adapter(path: Path, folder: Path, *, to: Literal["peft", "mlx"], model: str | None) -> WrittenAdapter:
    """Write the adapter at `path` in the layout `to`. model: the base; None takes the one that the adapter names."""
    stored = read_stored(path)
    if stored.layout == to:
        raise AdapterError(f"{stored.path}: is in this layout already")
    if to == "peft" and stored.kind == "full":
        raise AdapterError(f"{path}: fully trained weights have no form in PEFT; make a model of them: myna fuse")
    files = find(model or _named_base(stored))
    spec, tensors = fit(stored, files)
    note = read_note(path)
    with write_folder(folder) as partial_folder:
        if to == "peft":
            write_adapter(partial_folder, spec, tensors, files=files, note=note)
        else:
            write_mlx_adapter(partial_folder, spec, tensors, files=files)
            if note:
                content = json.dumps(note, indent=2, ensure_ascii=False)
                (partial_folder / NOTE).write_text(content + "\n", encoding="utf-8")
    other = other_base(note, files)
    notices = () if other is None else (other,)
    return WrittenAdapter(stored.layout, len(tensors), sum(array.nbytes for array in tensors.values()), notices)


def _named_base(stored: StoredAdapter) -> str:
    if not stored.base:
        raise AdapterError(f"{stored.path}: does not say what base model it was made for; give it: --model MODEL")
    return stored.base
