from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from myna.recipe import Recipe, to_yaml
from myna.runs import read_events

MakeRecipe = Callable[..., Recipe]

MEASURED = {
    "seconds",
    "iterations_per_second",
    "trained_tokens_per_second",
    "tokens_per_second",
    "peak_memory_bytes",
}
"""What depends on the machine's mood."""


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path, data: Path, recipe: MakeRecipe) -> None:
    """SIGKILL at 24 random moments, and again and again in one run: same adapter bytes, same log."""
    valid = data / "valid.jsonl"
    valid.write_text(valid.read_text().splitlines(keepends=True)[0])  # one sample answer, to be quick
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe()), encoding="utf-8")
    program = Path(__file__).with_name("killing.py")
    command = [sys.executable, str(program), str(tmp_path / "recipe.yaml"), str(tmp_path / "runs"), "24"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    outcome = json.loads(done.stdout)
    assert len(outcome["moments"]) == 24
    assert outcome["kills_in_a_row"] >= 5
    undisturbed = tmp_path / "runs" / "undisturbed"
    runs = sorted((tmp_path / "runs").glob("killed-*"))
    assert len(runs) == 25
    for run in runs:
        assert contents(run) == contents(undisturbed), run.name
        assert history(run) == history(undisturbed), run.name
        assert sorted(path.name for path in run.iterdir()) == sorted(path.name for path in undisturbed.iterdir())
