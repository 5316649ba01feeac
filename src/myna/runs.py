"""The run folder: its paths, whole-or-nothing writes, its lock and the event log.

    recipe.yaml  environment.json  log.jsonl  checkpoints/000200/  adapter/  report.html

Every file and folder is written beside its place, flushed to disk and renamed, so that a reader (or a resumed
run) sees the old one or the new one, never half of one. Knows nothing of what is in the files.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from myna.errors import MynaError, ResourceError, RunError

PARTIAL = ".partial"
"""Ends the name of what is still being written."""
REPLACED = ".replaced"
"""Ends the name of the old folder while the new one is renamed into its place."""

LOCK = ".lock"
"""The file that the writing process holds."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals while `path` is written into errors that a person can mend.

    Raises `ResourceError` when the disk is full (or a quota or size limit is reached) and `RunError` when
    writing is not permitted. Every other exception passes unchanged.
    """
    try:
        yield
    except MynaError:
        raise
    except Exception as error:
        number = _system_error_number(error)
        if number in _FULL:
            raise ResourceError(
                f"{path}: the disk is full ({os.strerror(number)}). What was written before is intact; "
                "free some space and run the command again (training goes on with --resume)."
            ) from error
        if number in _FORBIDDEN:
            raise RunError(
                f"{path}: can't be written ({os.strerror(number)}); choose a folder that you may write to "
                "with --adapter-path."
            ) from error
        raise


def _system_error_number(error: Exception) -> int:
    """Return the errno behind `error`, 0 when there is none. Libraries written in Rust only name it in their
    text."""
    if isinstance(error, OSError):
        return error.errno or 0
    named = re.search(r"\(os error (\d+)\)", str(error))
    return int(named.group(1)) if named else 0


def write_file(path: Path, content: bytes | str) -> None:
    """Write `path` whole or not at all; an older file is replaced in one step.

    Raises `ResourceError` (disk full) and `RunError` (not permitted); the older file is then untouched.
    """
    partial = _partial(path)
    with writing(path):
        try:
            with partial.open("xb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        _flush(path.parent)


@contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path`; when the block ends well it stands at `path`, else nothing has
    changed.

    An older folder is moved aside, replaced and then removed. A process killed between the two renames leaves
    the old one aside; `RunFolder.open` puts it back. Raises `ResourceError` (disk full) and `RunError` (not
    permitted).
    """
    partial = _partial(path)
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.mkdir()
            yield partial
            for folder, _, names in os.walk(partial):
                for name in names:
                    _flush(Path(folder, name))
                _flush(Path(folder))
            _put_in_place(partial, path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")


def _put_in_place(partial: Path, path: Path) -> None:
    """Rename `partial` to `path`. No file system renames a folder over a full one, hence two renames."""
    aside = path.with_name(f".{path.name}{REPLACED}")
    if path.exists():
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
    try:
        partial.rename(path)
    except BaseException:
        if aside.exists():
            aside.rename(path)
        raise
    _flush(path.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _flush(path: Path) -> None:
    """Make a file's content, or a folder's names, outlive a power cut."""
    if sys.platform == "win32":
        if path.is_dir():  # Windows has no handle to flush for a folder
            return
        flags = os.O_RDWR
    else:
        flags = os.O_RDONLY
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run's folder. Make one with `create` or `open`; hold `lock` while writing into it."""

    path: Path

    @property
    def finished(self) -> bool:
        """Whether training came to its end; a kill just before that leaves samples, test and result to be made."""
        return self.log_path.is_file() and [event["event"] for event in read_events(self.log_path)[-1:]] == ["finish"]

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
        if not path.is_dir():
            raise RunError(f"{path}: there is no such run folder; look at the name, or start one with myna train.")
        if not run.recipe_path.is_file():
            raise RunError(f"{path}: not a run folder (no recipe.yaml in it); give the folder that myna train wrote.")
        if any(not place.exists() for folder in run._written_into for _, place in _aside(folder)):
            with suppress(RunError), run._held():  # whoever holds it is just replacing the folder
                for folder in run._written_into:
                    _put_back(folder)
        return run

    @classmethod
    def unused(cls, path: Path) -> Path:
        """Return `path`, or the first of `path-2`, `path-3` … where nothing stands yet."""
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
        return sorted((int(path.name), path) for path in folder.iterdir() if path.name.isdecimal())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only process that writes into this run, and clean up after one that was killed.

        Raises `RunError` when another process holds it. Where the system has no `flock`, nothing is held.
        """
        with self._held():
            for folder in self._written_into:
                _tidy(folder)
            yield

    @contextmanager
    def _held(self) -> Iterator[None]:
        with writing(self.path), (self.path / LOCK).open("ab") as file:
            if not _flock(file.fileno()):
                raise RunError(
                    f"{self.path}: another process is training into this run; wait for it, or choose another "
                    "--adapter-path."
                )
            yield

    @property
    def _written_into(self) -> tuple[Path, Path]:
        return self.path, self.path / "checkpoints"

    def discard(self) -> None:
        """Remove the folder and all that is in it: for a run that ended before its first step."""
        shutil.rmtree(self.path, ignore_errors=True)


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
    with ExitStack() as held:
        try:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / LOCK).touch()
        except (RunError, OSError) as error:
            raise RunError(f"{folder}: can't be written to; {instead}") from error
        try:
            held.enter_context(RunFolder(folder).lock())
        except RunError as error:
            raise RunError(
                f"{folder}: another process is at work on the {what} there; wait for it, or {instead}"
            ) from error
        yield known


def _leftover(name: str) -> bool:
    """Whether a run that never began can have left this behind."""
    return name == LOCK or (name.startswith(".") and name.endswith(PARTIAL))


def _taken(path: Path) -> str:
    if not (path / "recipe.yaml").is_file():
        return f"{path}: exists already and is not a run; choose another name with --adapter-path."
    saved = RunFolder(path).checkpoints()
    state = f"saved up to iteration {saved[-1][0]}" if saved else "nothing saved yet"
    return (
        f"{path}: a run with this name exists already ({state}). Go on with it: myna train --resume {path} "
        f"or choose another name: --adapter-path {RunFolder.unused(path)}"
    )


def _flock(handle: int) -> bool:
    """Try to lock an open file for as long as it stays open. True where locks are not to be had at all."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # some network file systems know no locks
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def _tidy(folder: Path) -> None:
    """Remove what a killed process left half-written, and undo a replacement that it began."""
    for leftover in folder.glob(f".*{PARTIAL}"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
    _put_back(folder)
    for aside, _ in _aside(folder):
        shutil.rmtree(aside, ignore_errors=True)


def _put_back(folder: Path) -> None:
    """Undo a replacement that a killed process began and did not finish."""
    for aside, place in _aside(folder):
        if not place.exists():
            aside.rename(place)


def _aside(folder: Path) -> list[tuple[Path, Path]]:
    """Return what was moved aside to be replaced, each with the place that it had."""
    return [
        (aside, folder / aside.name.removeprefix(".").removesuffix(REPLACED)) for aside in folder.glob(f".*{REPLACED}")
    ]


class EventLog:
    """A file of JSON objects, one a line, that only grows, except when a resumed run goes back to its
    checkpoint."""

    def __init__(self, path: Path) -> None:
        """Open `path` for appending; a last line torn by a kill is dropped."""
        self.path = path
        with writing(path):
            self._file = path.open("a+b", buffering=0)
            self._file.truncate(_whole_lines(self._file.name))

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event. Raises `ResourceError` when the disk is full; no torn line stays behind."""
        line = json.dumps(event, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        before = self.size
        with writing(self.path):
            try:
                written = self._file.write(line)
                if written != len(line):  # the disk took a part of it and will refuse the rest
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            except BaseException:
                with suppress(OSError):
                    self._file.truncate(before)
                raise

    @property
    def size(self) -> int:
        """Bytes written so far: what `truncate` goes back to."""
        return os.fstat(self._file.fileno()).st_size

    def truncate(self, size: int) -> None:
        """Drop, in one step, all events after the first `size` bytes."""
        with writing(self.path):
            self._file.truncate(min(size, self.size))
            self.flush()

    def flush(self) -> None:
        """Make all events so far outlive a power cut."""
        with writing(self.path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_events(path: Path) -> list[dict[str, Any]]:
    """Read an event log, without a last line that is torn because its writer was killed or is still writing.

    Raises `RunError` for a missing file and for a line in it that is not a JSON object.
    """
    if not path.is_file():
        raise RunError(f"{path}: there is no event log; give the folder of a run that was started with myna train.")
    events = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if not isinstance(event, dict):
                raise RunError(f"{path}:{number}: not a JSON object; the log was changed. Remove that line to go on.")
            events.append(event)
    return events


def _whole_lines(path: str) -> int:
    """Return how many bytes of the file end with its last newline; reads backwards, the torn part is
    short."""
    with Path(path).open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0
