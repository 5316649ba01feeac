"""Reports: one self-contained HTML file that shows a person what a run did.

`record` reads a run folder, `page` turns it into words and numbers, `charts` lays out curves, `write` makes
the file. Knows no engine and computes nothing anew.
"""

from myna.reports.write import write_report

__all__ = ["write_report"]
