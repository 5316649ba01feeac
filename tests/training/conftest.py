"""The small real model that the project carries, and a few lines of made-up data that it learns within seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from myna.recipe import Recipe

STORIES = Path(__file__).parents[2] / "demo" / "stories260K"


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def sums(first: int, last: int) -> list[dict[str, Any]]:
    return [{"prompt": f"{n} and {n} are", "completion": f"{2 * n}" + " yes" * (n % 4)} for n in range(first, last)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write_lines(folder / "train.jsonl", sums(0, 10))
    write_lines(folder / "valid.jsonl", sums(10, 15))
    write_lines(folder / "test.jsonl", sums(15, 20))
    return folder


@pytest.fixture
def recipe(tmp_path: Path, data: Path) -> Callable[..., Recipe]:
    """Return a function that makes a recipe of a run of 8 short steps."""

    def make(**settings: Any) -> Recipe:
        return Recipe.model_validate(
            {
                "model": str(STORIES),
                "data": str(data),
                "adapter_path": str(tmp_path / "run"),
                "iters": 8,
                "batch_size": 3,
                "num_layers": 2,
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

    return make
