"""The process that holds a database open and runs queries for one `Database`: `main`.

It reads requests from standard input and answers on standard output (`wire.py`), and ends when its parent does.
It may write to no file, leaves no core file and, on Linux, can't take more memory than the limit: the system itself
sees to that, whatever a query or a damaged database makes the database library do. Imports only what its kind of
database needs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import FileIO
from queue import SimpleQueue
from typing import Any

from myna.databases.address import Address
from myna.databases.backend import Backend, RunsOnServer
from myna.databases.query import Limits, Result, took_too_much_memory
from myna.databases.rows import memory_of
from myna.databases.wire import read_message, schema_as_lists, write_message
from myna.errors import DatabaseError, MissingDependency, MynaError, QueryError

_LISTENER_STACK = 512 * 1024
_PART_BYTES = 2**20
_LEAST_ROOM = 32 * 2**20
_CODE_TO_COME = 16 * 2**20  # of libraries: it is resident once it has run, but no data


def main() -> None:
    """Serve requests until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    requests, answers = _take_over_pipes()
    inbox: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    busy = threading.Event()
    opened: list[Backend] = []
    threading.stack_size(_LISTENER_STACK)
    threading.Thread(target=_listen, args=(requests, inbox, busy, opened), daemon=True).start()
    opening = inbox.get()
    if opening is None:
        return
    backend = _answer_opening(opening, answers)
    if backend is not None:
        opened.append(backend)
    busy.clear()
    limits = Limits(**opening["limits"])
    while backend is not None and (request := inbox.get()) is not None:
        for message in _answers(backend, request, limits):
            write_message(answers, message)
        busy.clear()
    if backend is not None:
        backend.close()


def _take_over_pipes() -> tuple[FileIO, FileIO]:
    """Keep the pipes for messages alone: what a library reads or prints goes nowhere."""
    requests, answers = FileIO(os.dup(0), "rb"), FileIO(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return requests, answers


def _listen(
    requests: FileIO, inbox: SimpleQueue[dict[str, Any] | None], busy: threading.Event, opened: list[Backend]
) -> None:
    """Hand requests on. When the parent is gone, end the process, in the middle of a query if need be."""
    while (request := read_message(requests)) is not None:
        busy.set()
        inbox.put(request)
    if busy.is_set():
        try:
            for backend in opened:
                if isinstance(backend, RunsOnServer):
                    backend.abandon()
        finally:
            os._exit(1)
    inbox.put(None)


def _answer_opening(opening: Mapping[str, Any], answers: FileIO) -> Backend | None:
    address = Address(**opening["address"])
    limits = Limits(**opening["limits"])
    try:
        _forbid_writing()
        backend = _open(address, limits, opening["double_quoted_strings"])
        _limit_memory(limits.memory)
    except Exception as error:
        write_message(answers, _failure(error, address.shown))
        return None
    write_message(answers, {"dialect": backend.dialect})
    return backend


def _open(address: Address, limits: Limits, double_quoted_strings: bool) -> Backend:
    match address.kind:
        case "sqlite":
            from myna.databases.sqlite import open_sqlite

            return open_sqlite(address, memory=limits.memory, double_quoted_strings=double_quoted_strings)
        case "postgres":
            from myna.databases.postgres import open_postgres

            return open_postgres(address)
        case "mysql":
            from myna.databases.mysql import open_mysql

            return open_mysql(address)
        case "duckdb" | "files":
            from myna.databases.duckdb import open_duckdb

            return open_duckdb(address, memory=limits.memory)


def _answers(backend: Backend, request: Mapping[str, Any], limits: Limits) -> Iterator[Mapping[str, Any]]:
    try:
        match request["do"]:
            case "run":
                yield from _in_parts(backend.run(request["sql"], replace(limits, rows=request["rows"])))
            case "prepare":
                backend.prepare(request["sql"])
                yield {}
            case "schema":
                yield {"schema": schema_as_lists(backend.schema())}
    except Exception as error:
        yield _failure(error, "")


def _in_parts(result: Result) -> Iterator[Mapping[str, Any]]:
    """Give a result in messages of about a mebibyte, so that its text never lies in memory as a whole."""
    part: list[tuple[Any, ...]] = []
    size = 0
    for row in result.rows:
        part.append(row)
        size += memory_of(row)
        if size > _PART_BYTES:
            yield {"rows": part, "more": True}
            part, size = [], 0
    yield {
        "rows": part,
        "columns": result.columns,
        "truncated": result.truncated,
        "seconds": result.seconds,
    }


def _failure(error: Exception, shown: str) -> dict[str, Any]:
    """Put an error into a message. Of one that is not ours only its type and place are told: its text may hold a
    password."""
    if isinstance(error, MemoryError):
        error = took_too_much_memory()
    match error:
        case QueryError():
            return {"error": "QueryError", "message": str(error), "kind": error.kind}
        case MissingDependency() | DatabaseError():
            return {"error": type(error).__name__, "message": str(error)}
        case MynaError():
            return {"error": "DatabaseError", "message": str(error)}
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace is not None else "?"
    where = f"{shown}: " if shown else ""
    return {
        "error": "DatabaseError",
        "message": f"{where}the database worker failed with {type(error).__name__} at {place}; please report this",
    }


def _forbid_writing() -> None:
    """Let the system refuse every write to a file, and core files."""
    try:
        import resource
    except ImportError:  # Windows: the database's own walls remain
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _limit_memory(memory: int) -> None:
    """Let the system refuse what would take this process over `memory` bytes.

    What is there already counts; a driver that leaves hardly anything of the limit still gets 32 MiB. Linux only:
    macOS accepts these limits and does not keep them, so there the database's own limit stands alone.
    """
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        kibibytes = {name: rest.split()[0] for name, rest in (line.split(":", 1) for line in file) if rest.split()}
    resident, data = (int(kibibytes[name]) * 1024 for name in ("VmRSS", "VmData"))
    limit = data + max(memory - resident - _CODE_TO_COME, _LEAST_ROOM)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
