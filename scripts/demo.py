"""The main job on the small real model and data of `examples/`, each step the command that a user would type.

Trains in a fresh folder under `build/`, tests the base model and every checkpoint, answers a question of the test set,
fuses, and tests the fused model. Prints each command before its output; stops at the first that fails.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECIPE = "recipes/stories260k-wikisql.yaml"
MODEL = "examples/stories260K"
DATA = "examples/wikisql-text"


def main() -> None:
    began = time.monotonic()
    run = fresh_folder()
    fused = f"{run}-fused"
    with (ROOT / "examples/wikisql/test.jsonl").open(encoding="utf-8") as lines:
        question = json.loads(next(lines))["prompt"]

    step("Train a LoRA adapter by a recipe", "train", RECIPE, "--adapter-path", run)
    step("Test the base model (0) and every checkpoint, in one pass over the data", "test", run, "--checkpoints")
    ask = ["--max-tokens", "60", "--prompt", question]
    step("Ask the base model something: it only knows children's stories", "generate", "--model", MODEL, *ask)
    step("Ask the trained one: it has learnt the form of SQL, not its sense", "generate", "--adapter-path", run, *ask)
    step("Fuse base and adapter into one model", "fuse", "--adapter-path", run, "--save-path", fused)
    step("Test the fused model", "test", "--model", fused, "--data", DATA)
    print(f"\nDone in {time.monotonic() - began:.0f} seconds. The run's report: {run}/report.html")


def fresh_folder() -> str:
    """Return a run folder that does not exist yet, relative to the repository."""
    number = 1
    while (ROOT / f"build/demo-{number}").exists():
        number += 1
    return f"build/demo-{number}"


def step(what: str, *arguments: str) -> None:
    print(f"\n# {what}\n$ {shlex.join(['myna', *arguments])}", flush=True)
    # One thread: for matrices this small a second one gains little, and waits busily where the machine has other work.
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    done = subprocess.run([sys.executable, "-m", "myna", *arguments], cwd=ROOT, env=environment, check=False)
    if done.returncode != 0:
        sys.exit(f"This step failed with exit code {done.returncode}; its message stands above.")


if __name__ == "__main__":
    main()
