"""A program: train, be killed with SIGKILL at many moments, resume, and print what every run came to.

Usage: killing.py RECIPE FOLDER MOMENTS. It forks one process per attempt, so that the libraries are imported once and
each attempt still is a process of its own. A moment is a number of things that happened: files of the run that were
opened, renamed, removed, folders that were made, and events that the listener was given.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from myna import training
from myna.errors import RunError
from myna.recipe import Recipe, from_yaml
from myna.training.preparation import prepare

HAPPENINGS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "os.truncate"}


class Countdown:
    """Counts happenings in a run folder and kills this process at the given one."""

    def __init__(self, run: Path, kill_at: int | None) -> None:
        self.run = str(run)
        self.kill_at = kill_at
        self.count = 0
        sys.addaudithook(self.on_audit)

    def on_audit(self, name: str, arguments: tuple[object, ...]) -> None:
        if name in HAPPENINGS and str(arguments[0]).startswith(self.run):
            self.happened()

    def happened(self, event: object = None) -> None:
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def attempt(recipe: Recipe, kill_at: int | None) -> int:
    """Train or resume once in a process of its own; return how many things happened, -1 when it was killed."""
    assert recipe.adapter_path is not None
    run = Path(recipe.adapter_path)

    def work() -> int:
        countdown = Countdown(run, kill_at)
        if (run / "recipe.yaml").exists():
            try:
                training.resume(run, listener=countdown.happened)
            except RunError as error:
                if "is finished" not in str(error):
                    raise
        else:
            training.train(recipe, listener=countdown.happened)
        return countdown.count

    return in_a_process(work)


def in_a_process(work: Callable[[], int]) -> int:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(writer, str(work()).encode())
            status = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return -1
    if status != 0:
        raise SystemExit(f"an attempt failed with status {status}")
    return int(text)


def main() -> None:
    recipe = from_yaml(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(sys.argv[2])
    prepare(recipe, folder / "warm", lambda event: None)  # imports what every attempt would import again
    undisturbed = recipe.model_copy(update={"adapter_path": str(folder / "undisturbed")})
    happenings = attempt(undisturbed, None)
    moments = sorted(random.Random(0).sample(range(1, happenings), int(sys.argv[3])))
    for moment in moments:
        killed = recipe.model_copy(update={"adapter_path": str(folder / f"killed-{moment:04d}")})
        if attempt(killed, moment) != -1:
            raise SystemExit(f"moment {moment} of {happenings} never came")
        attempt(killed, None)
    often = recipe.model_copy(update={"adapter_path": str(folder / "killed-often")})
    kills = 0
    while attempt(often, 20 + 10 * kills) == -1:
        kills += 1
    print(json.dumps({"happenings": happenings, "moments": moments, "kills_in_a_row": kills}))


if __name__ == "__main__":
    main()
