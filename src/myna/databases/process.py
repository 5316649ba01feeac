"""A database's worker process, seen from its parent: started, asked, killed when late, started again.

Thread-safe: questions wait for each other. After a fork, the child starts a worker of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, cast

from myna.databases.address import Address
from myna.databases.query import Limits, took_too_long
from myna.databases.wire import read_message, write_message
from myna.errors import DatabaseError, MissingDependency, QueryError

# Isolated from the user's environment and without `site`, which takes as long as all the rest; the parent's own paths
# instead, so that the worker finds what the parent does.
_COMMAND = "import sys; sys.path[:] = sys.argv[1:]; from myna.databases.worker import main; main()"
_OPENING_SECONDS = 60.0
_GRACE_SECONDS = 0.5
_SERVER_GRACE_SECONDS = 3.0  # a server's worker first sees to it that the query has ended there
_CLOSING_SECONDS = 1.0

_Inbox = SimpleQueue[dict[str, Any] | None]


class WorkerProcess:
    """The worker of one database. Starts with the first question, and again after it was killed."""

    def __init__(self, address: Address, limits: Limits, *, double_quoted_strings: bool = False) -> None:
        self._opening = {
            "address": {"kind": address.kind, "location": address.location, "shown": address.shown},
            "limits": asdict(limits),
            "double_quoted_strings": double_quoted_strings,
        }
        self._shown = address.shown
        self._grace = _SERVER_GRACE_SECONDS if address.kind in ("postgres", "mysql") else _GRACE_SECONDS
        self._parent = os.getpid()
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def open(self) -> str:
        """Start the process if it is not there and return the database's dialect. Raises `DatabaseError`."""
        self._look_for_fork()
        with self._lock:
            return self._started().dialect

    def ask(self, request: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
        """Send a request and return all messages of the answer.

        A worker that has not answered soon after `seconds` is killed. Raises the error that the worker
        answered with, `QueryError` when it was killed or ended, `DatabaseError` when it can't be started again.
        """
        self._look_for_fork()
        with self._lock:
            running = self._started()
            try:
                running.send(request)
                return list(running.answer(seconds + self._grace))
            except Empty:
                self._kill()
                raise took_too_long(seconds) from None
            except EOFError:
                self._kill()
                raise QueryError(
                    "the process that ran the query was ended by the system, most likely because it took more memory "
                    "than the limit; ask for less, or raise the limit (in Python Limits.memory)",
                    "memory",
                ) from None
            except (QueryError, DatabaseError, MissingDependency):
                raise
            except BaseException:  # Ctrl-C: the query ends with the wish to have its answer, on a server too
                running.close()
                self._running = None
                raise

    def close(self) -> None:
        """End the process; harmless when called twice."""
        self._look_for_fork()
        with self._lock:
            if self._running is not None:
                self._running.close()
            self._running = None

    def _look_for_fork(self) -> None:
        """In a forked child, leave the parent its worker; a lock that another thread held would never open here."""
        if self._parent != os.getpid():
            self._parent = os.getpid()
            self._lock = threading.Lock()
            if self._running is not None:
                self._running.leave()
            self._running = None

    def _started(self) -> _Running:
        if self._running is not None and self._running.process.poll() is None:
            return self._running
        self._kill()
        self._running = running = _Running()
        try:
            running.send(self._opening)
            (answer,) = running.answer(_OPENING_SECONDS)
        except Empty:
            self._kill()
            raise DatabaseError(f"{self._shown}: did not open within {_OPENING_SECONDS:g} s") from None
        except EOFError:
            self._kill()
            raise DatabaseError(
                f"{self._shown}: the process that was to open it ended at once; look at the memory and processes that "
                "are free, and whether the file is damaged"
            ) from None
        except BaseException:
            self._kill()
            raise
        running.dialect = answer["dialect"]
        return running

    def _kill(self) -> None:
        if self._running is not None:
            self._running.kill()
        self._running = None


class _Running:
    """One running process. A thread reads its answers, because no pipe can be read with a time limit everywhere."""

    dialect = ""

    def __init__(self) -> None:
        if not sys.executable:
            raise DatabaseError("Python does not know its own program (sys.executable), so no worker can be started")
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _COMMAND, *_paths()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        except OSError as error:
            raise DatabaseError(f"no process for the database can be started: {error.strerror}") from None
        self._requests = cast(FileIO, self.process.stdin)
        self._answers = cast(FileIO, self.process.stdout)
        self._inbox: _Inbox = SimpleQueue()
        threading.Thread(target=_listen, args=(self._answers, self._inbox), daemon=True).start()
        self._finalizer = weakref.finalize(self, _stop, self.process, os.getpid())

    def send(self, request: Mapping[str, Any]) -> None:
        """Raises EOFError when the process has ended."""
        try:
            write_message(self._requests, request)
        except OSError:
            raise EOFError from None

    def answer(self, seconds: float) -> Iterator[dict[str, Any]]:
        """Give the messages of one answer. Raises Empty when they don't come in time, EOFError when never."""
        end = time.monotonic() + seconds
        while True:
            message = self._inbox.get(timeout=min(max(end - time.monotonic(), 0), threading.TIMEOUT_MAX))
            if message is None:
                raise EOFError
            if "error" in message:
                raise _error(message)
            yield message
            if "more" not in message:
                return

    def close(self) -> None:
        """Let the process close its database and end."""
        self._finalizer()

    def kill(self) -> None:
        """End the process now."""
        self.process.kill()
        self._finalizer()

    def leave(self) -> None:
        """Let go of a process that belongs to this one's parent."""
        self._finalizer.detach()
        self._requests.close()
        self._answers.close()
        self.process.returncode = 0  # for Popen, which would otherwise warn that it still runs


def _listen(answers: FileIO, inbox: _Inbox) -> None:
    with answers, suppress(OSError):
        while (message := read_message(answers)) is not None:
            inbox.put(message)
    inbox.put(None)


def _stop(process: subprocess.Popen[bytes], parent: int) -> None:
    """Close the pipe, which ends the process, and see that it does. In a fork of the parent, do nothing."""
    if os.getpid() != parent:
        return
    with suppress(OSError):
        cast(FileIO, process.stdin).close()
    try:
        process.wait(_CLOSING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _error(message: Mapping[str, Any]) -> Exception:
    text = message["message"]
    match message["error"]:
        case "QueryError":
            return QueryError(text, message["kind"])
        case "MissingDependency":
            return MissingDependency(text)
        case _:
            return DatabaseError(text)


def _paths() -> list[str]:
    import myna

    package = str(Path(myna.__file__).resolve().parent.parent)
    return [package, *(os.path.abspath(path) for path in sys.path if path)]
