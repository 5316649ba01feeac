"""`myna report`: a run's HTML report, written again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from myna.cli.flags import COMMON, Common


def report(run: Path, /, *, common: Common = COMMON) -> dict[str, Any]:
    """Write a run's report.html again, from the files in its folder; an unfinished run has one too.

    Parameters
    ----------
    run
        Run folder.
    """
    from myna.reports import write_report

    path = write_report(run)
    print(path)
    return {"report": str(path)}
