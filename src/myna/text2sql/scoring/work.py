"""Worker processes that judge answers, and who gets what: answers in, verdicts out as they come.

Answers are dealt in chunks of one database each, so that a database is opened once by each process that needs it. A
process that dies or hangs costs one answer and is replaced. Knows nothing of how a verdict is found.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from myna.errors import DatabaseError, DataError, MissingDependency, MynaError, ResourceError
from myna.text2sql.facts import SqlFacts
from myna.text2sql.scoring.causes import NOT_JUDGED, because
from myna.text2sql.scoring.places import Place
from myna.text2sql.scoring.verdict import Verdict

_CHUNK = 32
"""Answers dealt at once: enough to keep a process busy, few enough that all end together."""

_LOOK_EVERY = 5.0
"""Seconds between looks at how long each process has been at its answer."""

_PATIENCE = 60.0
"""Seconds that an answer may take beyond the time limits of its queries; after that something hangs."""


_ERRORS: dict[str, type[MynaError]] = {
    kind.__name__: kind for kind in (DataError, DatabaseError, MissingDependency, ResourceError)
}
"""What a worker may say of the data or a database as such."""


@dataclass(frozen=True, slots=True)
class Task:
    """An answer to judge. question: its place in the list of questions."""

    question: int
    facts: SqlFacts
    answer: str


def judge_all(
    tasks: Sequence[Task], places: Mapping[str, Place], *, workers: int, seconds: float
) -> Iterator[tuple[int, Verdict]]:
    """Yield question and verdict of each task, in no particular order. `seconds` is the time limit of a query.

    When the caller stops asking, the processes end. Raises `DatabaseError` when a database can't be opened and
    `ResourceError` when no process can be started.
    """
    chunks = _chunks(tasks)
    if not chunks:
        return
    setup = {"places": {name: asdict(place) for name, place in places.items()}, "seconds": seconds}
    found: queue.SimpleQueue[tuple[int, Verdict] | Exception] = queue.SimpleQueue()
    # A verdict takes up to three queries, each with its own limit.
    patience = 3 * seconds + _PATIENCE
    desks = [_Desk(chunks, setup, found, patience=patience) for _ in range(min(workers, len(chunks)))]
    try:
        for desk in desks:
            desk.start()
        for _ in tasks:
            yield _next(found, desks)
    finally:
        for desk in desks:
            desk.close()


def _chunks(tasks: Sequence[Task]) -> deque[list[Task]]:
    """Cut the tasks into chunks of one database; large databases first, so that none is left alone at the end."""
    by_database: defaultdict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        by_database[task.facts.database].append(task)
    groups = sorted(by_database.values(), key=len, reverse=True)
    return deque(group[start : start + _CHUNK] for group in groups for start in range(0, len(group), _CHUNK))


def _next(found: queue.SimpleQueue[tuple[int, Verdict] | Exception], desks: Sequence[_Desk]) -> tuple[int, Verdict]:
    """Wait for the next verdict; end processes that have been at one for too long."""
    while True:
        try:
            result = found.get(timeout=_LOOK_EVERY)
        except queue.Empty:
            for desk in desks:
                desk.end_if_stuck()
            continue
        if isinstance(result, Exception):
            raise result
        return result


class _Desk(threading.Thread):
    """A thread that keeps one worker process busy until no chunk is left."""

    def __init__(
        self,
        chunks: deque[list[Task]],
        setup: Mapping[str, Any],
        found: queue.SimpleQueue[tuple[int, Verdict] | Exception],
        *,
        patience: float,
    ) -> None:
        super().__init__(daemon=True)
        self._chunks = chunks
        self._setup = setup
        self._found = found
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._since = time.monotonic()
        self._stuck = False
        self._closed = False

    def run(self) -> None:
        """Take chunks until none is left."""
        try:
            while not self._closed:
                try:
                    chunk = self._chunks.popleft()
                except IndexError:
                    return
                self._do(chunk)
        except Exception as error:  # raised where the verdicts are waited for
            if not self._closed:
                self._found.put(error)
        finally:
            self._end_process()

    def close(self) -> None:
        """Let nothing more be judged, and end the process."""
        self._closed = True
        self._chunks.clear()
        while self.is_alive():
            if (process := self._process) is not None:
                process.kill()
            self.join(timeout=0.1)  # it may be about to start one

    def end_if_stuck(self) -> None:
        """End the process when it has been at one answer for longer than any answer may take."""
        process = self._process
        if process is not None and time.monotonic() - self._since > self._patience:
            self._stuck = True
            process.kill()

    def _do(self, chunk: list[Task]) -> None:
        """Have a chunk judged. An answer at which two processes died is given up."""
        left, deaths = chunk, 0
        while left and not self._closed:
            judged = self._ask(left)
            left, deaths = left[judged:], deaths + 1 if not judged else 1
            if left and (deaths > 1 or self._stuck) and not self._closed:
                self._found.put((left[0].question, self._given_up()))
                left, deaths = left[1:], 0
            self._stuck = False

    def _given_up(self) -> Verdict:
        reason = "took too long to judge" if self._stuck else "ended the process that judged it, twice"
        return because(Verdict(execution=False, valid=False), NOT_JUDGED, message=f"the answer {reason}")

    def _ask(self, tasks: list[Task]) -> int:
        """Have tasks judged by the process; return how many were before it ended, all of them if it did not."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        request = json.dumps([asdict(task) for task in tasks], ensure_ascii=False).encode() + b"\n"
        self._since = time.monotonic()
        try:
            process.stdin.write(request)
            process.stdin.flush()
        except BrokenPipeError:
            self._end_process()
            return 0
        for judged in range(len(tasks)):
            line = process.stdout.readline()
            if not line.endswith(b"\n"):
                self._end_process()
                return judged
            message = json.loads(line)
            if "error" in message:
                kind, text = message["error"]
                raise _ERRORS.get(kind, MynaError)(text)
            self._since = time.monotonic()
            self._found.put((message["question"], Verdict.from_dict(message["verdict"])))
        return len(tasks)

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the process; start one when there is none."""
        if self._process is not None:
            return self._process
        # -P: the folder the user is in is not searched for modules. A session of its own: Ctrl-C is for the scorer.
        command = [sys.executable, "-P", "-m", "myna.text2sql.scoring.worker"]
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        except OSError as error:
            raise ResourceError(f"no process can be started to judge answers ({error}); lower --workers") from error
        self._process = process
        self._since = time.monotonic()
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(self._setup, ensure_ascii=False).encode() + b"\n")
            process.stdin.flush()
        if not process.stdout.readline():
            raise ResourceError(
                f"a process that judges answers ended as soon as it began (exit code {process.wait()}); "
                "what it wrote stands above. Is memory short? Lower --workers"
            )
        return process

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
