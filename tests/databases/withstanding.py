"""Attack a database through its worker process; after each blow look at the clock, at memory and at the database."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from databases.attack_corpus import Attack
from myna.databases import Database, Limits
from myna.databases.address import Address
from myna.databases.process import WorkerProcess
from myna.errors import QueryError

LIMITS = Limits(seconds=0.2)
MEMORY = 200 * 2**20
QUIET_TRIES = 20
GRACE = 10.0
"""Seconds beyond the limit. A busy machine takes one now and then; an attack that nothing stops takes minutes."""


def withstand(
    url: str,
    corpus: Iterable[Attack],
    state: Callable[[], object],
    *,
    parsed: bool,
    quiet: Callable[[], bool] = lambda: True,
) -> None:
    """Run every attack and fail with a list of those that did something.

    state: gives what must be the same after each attack. parsed: through `Database.run`; else the worker is asked
    directly, and only what stands behind the parser is tested. quiet: says whether nothing runs on the server, and
    waits a tenth of a second if something does; asked after each attack that costs time.
    """
    if parsed:
        with Database.open(url, limits=LIMITS) as database:
            failures = list(_attack(corpus, state, quiet, database.run, database._worker))
    else:
        with closing(WorkerProcess(Address.parse(url), LIMITS)) as worker:
            failures = list(
                _attack(
                    corpus,
                    state,
                    quiet,
                    lambda sql: worker.ask({"do": "run", "sql": sql, "rows": LIMITS.rows}, LIMITS.seconds),
                    worker,
                )
            )
    assert not failures, "\n".join(failures)


def _attack(
    corpus: Iterable[Attack],
    state: Callable[[], object],
    quiet: Callable[[], bool],
    run: Callable[[str], object],
    worker: WorkerProcess,
) -> Iterator[str]:
    assert any(_answers(run) for _ in range(5))
    before = state()
    with peak_memory(worker) as peak:
        for attack in corpus:
            started = time.monotonic()
            with suppress(QueryError):
                run(attack.sql)
            seconds = time.monotonic() - started
            if seconds > LIMITS.seconds + GRACE:
                yield f"{attack}: {seconds:.2f} s"
            if attack.group == "time" and not any(quiet() for _ in range(QUIET_TRIES)):
                yield f"{attack}: still runs on the server"
            if (after := state()) != before:
                yield f"{attack}: {before} became {after}"
                before = after
            if not any(_answers(run) for _ in range(5)):  # a busy machine may miss the short limit once
                yield f"{attack}: no query after it"
    if not 0 < peak() <= MEMORY:
        yield f"it took {peak():,} bytes"


def _answers(run: Callable[[str], object]) -> bool:
    try:
        run("SELECT 1")
    except QueryError:
        return False
    return True


@contextmanager
def peak_memory(worker: WorkerProcess) -> Iterator[Callable[[], int]]:
    """Give the most memory that any of the worker's processes ever took, as the system counts it, in bytes."""
    peaks = [0]
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.01):
            running = worker._running
            if running is None:  # killed, and not yet asked again
                continue
            with suppress(OSError, IndexError, StopIteration):
                status = Path(f"/proc/{running.process.pid}/status").read_text("ascii", "replace")
                line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
                peaks.append(int(line.split()[1]) * 1024)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield lambda: max(peaks)
    finally:
        done.set()
        watcher.join()
