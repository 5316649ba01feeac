"""Reports: one self-contained HTML file that shows a person what a run did, or several runs side by side.

`record` reads a run folder, `page` turns it into words and numbers, `charts` lays out curves, `rendering` makes the
file. All of these know no engine and compute nothing anew; `comparing` alone measures what no log has.
"""

from myna.reports.write import write_report

__all__ = ["write_report"]
