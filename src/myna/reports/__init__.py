"""Reports: one self-contained HTML file that shows a person what a run did, or several runs side by side.

`record` reads a run folder, `page` turns it into words and numbers, `charts` lays out curves, `rendering` makes the
file. All of these know no engine and compute nothing anew; `comparing` alone measures what no log has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from myna.reports.write import write_report

__all__ = ["write_report"]


def __getattr__(name: str) -> object:
    """Import what makes pages when it is asked for: `words` alone is wanted by commands that write none."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from myna.reports import write

    return write.write_report
