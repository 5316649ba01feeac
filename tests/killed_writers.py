"""A program: write, be killed with SIGKILL at every step of it, and leave behind what each kill left.

Usage: killed_writers.py WORK FOLDER. Makes FOLDER/1, FOLDER/2 …, in which a process of its own did WORK and was killed
at its first, second … operation on the file system. Prints how many there are; in the last one nothing was killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

HAPPENINGS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.listdir", "shutil.rmtree"}


def killed_everywhere(work: str, folder: Path) -> list[Path]:
    """Run this program; return the folders of the writers that were killed."""
    command = [sys.executable, str(Path(__file__)), work, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    count = json.loads(done.stdout)
    return [folder / str(number) for number in range(1, count)]


def write_a_file(folder: Path) -> None:
    from myna.runs import write_file

    write_file(folder / "note", "new")


def write_a_folder(folder: Path) -> None:
    from myna.runs import write_folder

    with write_folder(folder / "data") as new:
        (new / "new").write_text("new")
        (new / "below").mkdir()
        (new / "below" / "x").write_text("new")


def build_data(folder: Path, size: int) -> None:
    from myna.builders.files import build_files

    build_files([folder.parent / "rows.jsonl"], folder / "data", size=size)


def an_old_file(folder: Path) -> None:
    (folder / "note").write_text("old")


def an_old_folder(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "old").write_text("old")


WORKS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "file": (an_old_file, write_a_file),
    "folder": (an_old_folder, write_a_folder),
    "data": (partial(build_data, size=6), partial(build_data, size=9)),
}
"""What stands there before, and what is killed."""


def kill_at(step: int) -> None:
    """Kill this process at its `step`-th operation from now on."""
    count = 0

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if name in HAPPENINGS:
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main() -> None:
    before, work = WORKS[sys.argv[1]]
    folder = Path(sys.argv[2])
    warm = folder / "warm"  # imports what every child would import again
    warm.mkdir(parents=True)
    before(warm)
    work(warm)
    step, killed = 0, True
    while killed:
        step += 1
        place = folder / str(step)
        place.mkdir()
        before(place)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                kill_at(step)
                work(place)
                status = 0
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(ended)
        if not killed and ended != 0:
            raise SystemExit(f"step {step}: the writer failed with status {ended}")
    print(json.dumps(step))


if __name__ == "__main__":
    main()
