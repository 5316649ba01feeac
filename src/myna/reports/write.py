"""Lays a page out as one HTML file that needs nothing else: no script, no request, no font.

Everything that comes from data or a model is escaped by the template engine, and the page's own content
security policy forbids scripts and requests besides.
"""

from __future__ import annotations

from pathlib import Path

from myna.reports.page import compose
from myna.reports.record import read_run
from myna.runs import RunFolder, write_file

_VISIBLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {127: 0x2421}
"""Control characters, which HTML does not allow, and the pictures that stand for them."""


def write_report(run: Path) -> Path:
    """Write `report.html` into the run folder, from the files in it alone, and return its path.

    An unfinished run gives the report of what is there. Raises `RunError` when there is no run or a file in
    it was damaged, `RecipeError` for its recipe, `ResourceError` when the disk is full.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("myna.reports"),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("run.html").render(page=compose(read_run(run)))
    report = RunFolder(run).report_path
    write_file(report, page)
    return report


def _printable(value: object) -> object:
    """Give text that any HTML file may hold; template code passes through."""
    if type(value) is not str:
        return value
    whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.translate(_VISIBLE)
