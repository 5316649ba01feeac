from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from myna.recipe import Recipe, to_yaml
from small_runs import contents, history

MakeRecipe = Callable[..., Recipe]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path, recipe: MakeRecipe) -> None:
    """SIGKILL at 20 random moments, and again and again in one run: same adapter bytes, same log."""
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe()), encoding="utf-8")
    program = Path(__file__).with_name("killing.py")
    command = [sys.executable, str(program), str(tmp_path / "recipe.yaml"), str(tmp_path / "runs"), "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    outcome = json.loads(done.stdout)
    assert len(outcome["moments"]) == 20
    assert outcome["kills_in_a_row"] >= 5
    undisturbed = tmp_path / "runs" / "undisturbed"
    runs = sorted((tmp_path / "runs").glob("killed-*"))
    assert len(runs) == 21
    for run in runs:
        assert contents(run) == contents(undisturbed), run.name
        assert history(run) == history(undisturbed), run.name
        assert sorted(path.name for path in run.iterdir()) == sorted(path.name for path in undisturbed.iterdir())
