"""The event log: JSON objects, one a line, appended while a run goes on and read back afterwards."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from myna.errors import RunError
from myna.runs.atomic import writing
from myna.runs.files import open_for_writing


class EventLog:
    """A file of JSON objects, one a line, that only grows, except when a resumed run goes back to its
    checkpoint."""

    def __init__(self, path: Path) -> None:
        """Open `path` for appending; a last line torn by a kill is dropped."""
        self.path = path
        with writing(path):
            self._file = open_for_writing(path)
            if os.fstat(self._file.fileno()).st_nlink > 1:
                self._file.close()
                raise RunError(
                    f"{path}: has another name elsewhere (a hard link), and what is written here would change that "
                    "file too; put a copy of it in its place"
                )
            self._file.truncate(_whole_lines(self._file, self.size))

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
        """Drop, in one step, all events after the first `size` bytes, and one that these bytes cut."""
        with writing(self.path):
            self._file.truncate(_whole_lines(self._file, min(size, self.size)))
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
            except (ValueError, RecursionError):
                event = None
            if not isinstance(event, dict):
                raise RunError(f"{path}:{number}: not a JSON object; the log was changed. Remove that line to go on.")
            events.append(event)
    return events


def _whole_lines(file: FileIO, end: int) -> int:
    """Return how many of the file's first `end` bytes end with their last newline; reads backwards, the torn part is
    short."""
    while end > 0:
        start = max(0, end - 65536)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
