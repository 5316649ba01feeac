"""`myna report`: a run's HTML report, written again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from myna.cli.flags import COMMON, Common
from myna.cli.terminal import show_text


def report(
    run: Path,
    /,
    *,
    scores: Annotated[list[Path] | None, Parameter(name="--score", negative="")] = None,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Write a run's report.html again, from the files in its folder; an unfinished run has one too.

    Parameters
    ----------
    run
        Run folder.
    scores
        Folder that myna score wrote, to be shown in the report; may be given several times, that before training first.
    """
    from myna.reports import write_report

    path = write_report(run, scores=scores or ())
    show_text(f"{path}\n", sys.stdout)
    return {"report": str(path)}
