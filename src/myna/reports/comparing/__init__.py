"""Comparing runs: several run folders → one table and one HTML page, side by side. `compare` is the public function.

    runs.py         a run folder → what it tells by itself: losses, speed, memory, sizes
    questions.py    a file, or the runs' test data → the questions that all runs are asked, and their databases
    measuring.py    the process that measures one run: test loss, peak memory, generation speed, answers
    processes.py    one such process after the other, so that memory and speed are each run's own
    judging.py      answers → right or wrong, by execution where there is a database
    comparable.py   which losses can't be compared, and why
    comparison.py   all of it together; tables.py puts it into words and page.py into HTML

Each name is imported when it is first used: measuring processes start with less than the caller.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from myna.reports.comparing.comparison import Comparison
    from myna.reports.comparing.processes import Listener, Progress
    from myna.reports.comparing.running import compare

__all__ = ["Comparison", "Listener", "Progress", "compare"]

_HOMES = {
    "Comparison": "myna.reports.comparing.comparison",
    "Listener": "myna.reports.comparing.processes",
    "Progress": "myna.reports.comparing.processes",
    "compare": "myna.reports.comparing.running",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'myna.reports.comparing' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
