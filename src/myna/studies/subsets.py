"""A data folder → a smaller one that trains on some of its examples and validates on all that it validates on.

Smaller sizes are parts of larger ones: every example has a place in one order, drawn by the seed, and a size takes the
first of it. Lines are copied as they stand. Knows no model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np

from myna.data.folder import DataFolder, Examples
from myna.databases.allowed import allow, place_in_data, shown_place
from myna.errors import DatabaseError, RecipeError, RunError
from myna.evaluation import fixed_selection
from myna.runs import write_folder
from myna.text2sql.facts import named_databases

_SMALLEST = 50


def usual_sizes(examples: int) -> tuple[int, ...]:
    """Return 50, 100, 200, 400 … and at last all `examples`."""
    doubled = takewhile(lambda size: size < examples, (_SMALLEST << power for power in count()))
    return (*doubled, examples)


def checked_sizes(sizes: Sequence[int], examples: int) -> tuple[int, ...]:
    """Return sizes in order, once each. Raises `RecipeError` for one that is none, or more than there is."""
    for size in sizes:
        if not 1 <= size <= examples:
            raise RecipeError(f"--sizes {size}: expected 1 to {examples:,}, which is all that train.jsonl has to learn")
    return tuple(sorted(set(sizes)))


def write_subset(folder: DataFolder, size: int, out: Path, *, seed: int) -> None:
    """Write the data folder `out` with `size` of the training examples of `folder`.

    Raises `DataError` for a damaged data.json, `ResourceError` when the disk is full, `RunError` when writing is not
    permitted.
    """
    chosen = np.asarray(fixed_selection(len(folder.train), size, seed), np.int64)
    with write_folder(out) as partial:
        _write(folder.train.subset(chosen), partial / "train.jsonl")
        if folder.valid is not None:
            _write(folder.valid, partial / "valid.jsonl")
        made = json.dumps(_made(folder.path, size, seed), ensure_ascii=False, indent=2)
        (partial / "data.json").write_text(made + "\n", encoding="utf-8")


def _write(examples: Examples, path: Path) -> None:
    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in examples.contents())


def _made(data: Path, size: int, seed: int) -> dict[str, Any]:
    """Return the whole folder's `data.json` for a part of it: databases stay where they are."""
    places: dict[str, str] = {}
    for name, place in named_databases(data).items():  # says what is wrong with a data.json that can't be read
        try:
            places[name] = place_in_data(place, data, where="")
            with suppress(RunError):
                allow(places[name])
        except DatabaseError:  # said when it is to be opened
            places[name] = shown_place(place) if "://" in place else str((data / place).absolute())
    note = data / "data.json"
    whole = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    kept = {key: value for key, value in whole.items() if key not in ("splits", "skipped", "notes", "files")}
    return {**kept, "databases": places, "part": {"of": str(data), "size": size, "seed": seed}}
