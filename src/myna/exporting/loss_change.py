"""What packing a fused model again costs: its loss on the adapter's own test set, and that of base and adapter.

In: a base, an adapter, the fused folder. Out: two losses over the same tokens. Both are measured as `myna test` does.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from myna.errors import DataError
from myna.evaluation import noted_keys, test
from myna.models.adapters import read_note
from myna.recipe import load_recipe

LARGEST_RISE = 0.01
"""Of the loss: above it, people are warned that the fused model has lost some of what was learnt."""


@dataclass(frozen=True, slots=True)
class LossChange:
    """Mean loss per trained token (nats): of base and adapter, and of the fused model; over how many tokens."""

    before: float
    after: float
    tokens: int

    @property
    def rise(self) -> float:
        """By which share of itself the loss has risen; below zero when it fell."""
        return self.after / self.before - 1


def test_set_of(adapter_path: Path) -> Path | None:
    """Return the data folder of the run that the adapter belongs to, None where it is not known or not there."""
    for folder in (adapter_path, *list(adapter_path.parents)[:2]):
        if (folder / "recipe.yaml").is_file():
            data = Path(load_recipe(folder / "recipe.yaml").recipe.data)
            return data if any(data.glob("test.jsonl*")) else None
    return None


def measure(
    model: str,
    adapter_path: Path,
    fused: Path,
    data: Path,
    *,
    engine: Literal["auto", "torch", "mlx"] = "auto",
    device: str = "auto",
) -> LossChange:
    """Test base and adapter, then the fused folder, one loaded after the other, on `data`'s test set.

    Raises `DataError` when the test set is missing or has not one token to score.
    """
    note: dict[str, Any] = read_note(adapter_path)
    (before,) = test(model, data, adapter_path=adapter_path, engine=engine, device=device)
    gc.collect()  # the first model's memory, before the second one is loaded
    (after,) = test(
        str(fused),
        data,
        max_seq_length=note.get("max_seq_length"),
        mask_prompt=note.get("mask_prompt"),
        keys=noted_keys(adapter_path, note),
        engine=engine,
        device=device,
    )
    if not before.tokens:
        raise DataError(f"{data}: no token of the test set is scored, so the loss can't be compared")
    return LossChange(before.loss, after.loss, before.tokens)
