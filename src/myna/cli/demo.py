"""`myna demo`: the whole story on the model that ships with Myna, offline, in three minutes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from myna.cli.flags import COMMON, Common


def demo(
    out: Path = Path("myna-demo"),
    /,
    *,
    quick: Annotated[bool, Parameter(negative="")] = False,
    model: str = "starter",
    common: Common = COMMON,
) -> dict[str, Any]:
    """Show the whole story, offline: data from a database, training, scores before and after, questions, a fused model.

    Every step shows the command that does it, to be typed by hand as well.

    Parameters
    ----------
    out
        Folder for everything that is made; that of an earlier demo is made anew.
    quick
        Tell it in less than 45 seconds, with less data and training.
    model
        Folder or hub id of another base model than the one that ships with Myna.
    """
    from myna.cli.demo_display import DemoDisplay
    from myna.starter.demo import demo as tell

    with DemoDisplay(sys.stdout) as display:
        result = tell(out, quick=quick, model=model, listener=display)
    display.show_result(result)
    return result.as_dict()
