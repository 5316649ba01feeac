"""The run folder: its paths and its lock.

    recipe.yaml  environment.json  log.jsonl  checkpoints/000200/  adapter/  report.html

A run folder may come from somebody else: nothing is written through a link in it. Knows nothing of what is in the
files.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from myna.errors import RunError
from myna.runs.atomic import restore, writing
from myna.runs.files import open_for_writing, try_lock
from myna.runs.log import read_events
from myna.runs.staging import is_leftover, restore_within, tidy

LOCK = ".lock"
"""The file that the writing process holds."""
_STEP = re.compile("[0-9]{6,15}")
"""Names a checkpoint."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run's folder. Make one with `create` or `open`; hold `lock` while writing into it."""

    path: Path

    @property
    def finished(self) -> bool:
        """Whether training came to its end; a kill just before that leaves samples, test and result to be made."""
        if not self.log_path.is_file():
            return False
        return [event.get("event") for event in read_events(self.log_path)[-1:]] == ["finish"]

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """Make a new run folder, parents included.

        Raises `RunError` when something stands there already or the place can't be written to.
        """
        if path.exists() and (not path.is_dir() or any(not _leftover(name) for name in os.listdir(path))):
            raise RunError(_taken(path))
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            if not os.access(path, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run folder for reading, whoever writes into it.

        Nothing is changed there, but for a folder that a killed process left aside while it replaced it: that is put
        back. Raises `RunError` when there is no run.
        """
        run = cls(path)
        restore(path)
        if not path.is_dir():
            raise RunError(f"{path}: there is no such run folder; look at the name, or start one with myna train.")
        if not run.recipe_path.is_file():
            raise RunError(f"{path}: not a run folder (no recipe.yaml in it); give the folder that myna train wrote.")
        for folder in run._written_into:
            restore_within(folder)
        return run

    @classmethod
    def unused(cls, path: Path) -> Path:
        """Return `path`, or the first of `path-2`, `path-3` … where nothing stands yet."""
        if path.name in ("", ".."):
            path = path.resolve()
        candidate, number = path, 1
        while candidate.exists():
            number += 1
            candidate = path.with_name(f"{path.name}-{number}")
        return candidate

    @property
    def recipe_path(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def environment_path(self) -> Path:
        """Versions, device, and hashes of data and base model."""
        return self.path / "environment.json"

    @property
    def log_path(self) -> Path:
        """Events, one JSON object a line."""
        return self.path / "log.jsonl"

    @property
    def adapter_path(self) -> Path:
        """The best adapter."""
        return self.path / "adapter"

    @property
    def report_path(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    @property
    def cache_path(self) -> Path:
        """What can be made again: gone when the run ends."""
        return self.path / "cache"

    def checkpoint(self, step: int) -> Path:
        """The folder of the checkpoint after `step` optimizer steps."""
        return self.path / "checkpoints" / f"{step:06d}"

    def checkpoints(self) -> list[tuple[int, Path]]:
        """All checkpoints with their steps, in order of steps."""
        folder = self.path / "checkpoints"
        if not folder.is_dir():
            return []
        return sorted((int(path.name), path) for path in folder.iterdir() if _STEP.fullmatch(path.name))

    @contextmanager
    def lock(self, *, busy: str | None = None) -> Iterator[None]:
        """Be the only process that writes into this run, and clean up after one that was killed.

        busy: what to say when another process holds it. Raises `RunError` then, and when a link stands where a folder
        or the lock should be. Where the file system has no locks, nothing is held.
        """
        refuse_links(self.path, read_only=("data",))
        with writing(self.path), open_for_writing(self.path / LOCK) as file:
            if try_lock(file.fileno()) is False:
                raise RunError(
                    busy
                    or f"{self.path}: another process is training into this run; wait for it, or choose another "
                    "--adapter-path."
                )
            for folder in self._written_into:
                tidy(folder)
            yield

    @property
    def _written_into(self) -> tuple[Path, Path]:
        return self.path, self.path / "checkpoints"

    def discard(self) -> None:
        """Remove the folder and all that is in it: for a run that ended before its first step."""
        shutil.rmtree(self.path, ignore_errors=True)


def refuse_links(folder: Path, *, read_only: tuple[str, ...] = ()) -> None:
    """Raise `RunError` when a folder below `folder` is a symbolic link: what is written there would go elsewhere.

    read_only: names in `folder` of what is only read, and may be links. `folder` may be one: the user named it.
    """
    for place, names, files in os.walk(folder):
        for name in [*names, *files]:
            path = Path(place, name)
            if path.is_symlink() and not path.is_file() and not (Path(place) == folder and name in read_only):
                raise RunError(
                    f"{path}: a symbolic link, and Myna would write where it leads to; put a copy of that folder in "
                    "its place, or remove the link"
                )


@contextmanager
def held_folder(folder: Path, what: str, *, mark: str, instead: str) -> Iterator[bool]:
    """Make a folder and be the only process that writes into it while the block runs.

    what: what it holds, as messages call it. mark: the file by which a folder of that kind is known; yields whether it
    was there. instead: what a person can do who doesn't get the folder.
    Raises `RunError` when it holds something else, another process writes into it or nobody may, and `ResourceError`
    when the disk is full.
    """
    known = (folder / mark).is_file()
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; {instead}")
    if folder.is_dir() and not known and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise RunError(f"{folder}: exists and holds no {what}; {instead}")
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    except (RunError, OSError) as error:
        raise RunError(f"{folder}: can't be written to; {instead}") from error
    refuse_links(folder)
    busy = f"{folder}: another process is at work on the {what} there; wait for it, or {instead}"
    with RunFolder(folder).lock(busy=busy):
        yield known


def _leftover(name: str) -> bool:
    """Whether a run that never began can have left this behind."""
    return name == LOCK or is_leftover(name)


def _taken(path: Path) -> str:
    if not (path / "recipe.yaml").is_file():
        return f"{path}: exists already and is not a run; choose another name with --adapter-path."
    saved = RunFolder(path).checkpoints()
    state = f"saved up to iteration {saved[-1][0]}" if saved else "nothing saved yet"
    this, another = shlex.quote(str(path)), shlex.quote(str(RunFolder.unused(path)))
    return (
        f"{path}: a run with this name exists already ({state}). Go on with it: myna train --resume {this} "
        f"or choose another name: --adapter-path {another}"
    )
