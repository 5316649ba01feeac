"""Short runs on the lowest layer of the small real model that the project carries, with a few made-up lines of data."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.numpy

from myna.recipe import Recipe
from myna.runs import read_events

STORIES = Path(__file__).parents[1] / "examples" / "stories260K"

MEASURED = {
    "seconds",
    "iterations_per_second",
    "trained_tokens_per_second",
    "tokens_per_second",
    "peak_memory_bytes",
}
"""Fields of events that depend on the machine's mood."""


def one_layer(folder: Path) -> Path:
    """Copy the model with its lowest layer only, for runs that are soon through."""
    shutil.copytree(STORIES, folder)
    config = json.loads((STORIES / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    tensors = safetensors.numpy.load_file(STORIES / "model.safetensors")
    lower = {name: tensor for name, tensor in tensors.items() if not re.search(r"layers\.[1-9]", name)}
    safetensors.numpy.save_file(lower, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def sums(first: int, last: int) -> list[dict[str, str]]:
    return [{"prompt": f"{n} and {n} are", "completion": f"{2 * n}" + " yes" * (n % 4)} for n in range(first, last)]


def write_data(folder: Path) -> Path:
    """Write 10 lines to train on, 5 to validate on and 5 to test on."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (first, last) in {"train": (0, 10), "valid": (10, 15), "test": (15, 20)}.items():
        write_lines(folder / f"{name}.jsonl", sums(first, last))
    return folder


def small_recipe(model: Path, data: Path, run: Path, **settings: Any) -> Recipe:
    """A recipe of 8 short steps with everything in it that a resumed run could lose: dropout, best, reports."""
    return Recipe.model_validate(
        {
            "model": str(model),
            "data": str(data),
            "adapter_path": str(run),
            "iters": 8,
            "batch_size": 3,
            "num_layers": 1,
            "lora_parameters": {"rank": 2, "scale": 2.0, "dropout": 0.1},
            "learning_rate": 5e-3,
            "steps_per_report": 2,
            "steps_per_eval": 3,
            "save_every": 2,
            "val_batches": 1,
            "dtype": "float32",
            "device": "cpu",
            **settings,
        }
    )


def events(run: Path, name: str) -> list[dict[str, Any]]:
    """All events of one kind that a run has logged."""
    return [event for event in read_events(run / "log.jsonl") if event["event"] == name]


def history(run: Path) -> list[dict[str, Any]]:
    """All that a run has logged, but for how fast it was and how often it began."""
    return [
        {key: value for key, value in event.items() if key not in MEASURED}
        for event in read_events(run / "log.jsonl")
        if event["event"] != "start"
    ]


def contents(run: Path) -> dict[str, bytes]:
    """Every file of the adapter and of the checkpoints, but for `state.json`, which holds seconds."""
    return {
        str(path.relative_to(run)): path.read_bytes()
        for folder in ("adapter", "checkpoints")
        for path in sorted((run / folder).rglob("*"))
        if path.is_file() and path.name != "state.json"
    }
