"""Lays a page of plain strings out as one HTML file that needs nothing else: no script, no request, no font.

Everything that comes from data or a model is escaped by the template engine, and the page's own content
security policy forbids scripts and requests besides.
"""

from __future__ import annotations

from myna.foreign_text import visible


def render(template: str, page: object) -> str:
    """Return the HTML that a template of this package makes of a page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("myna.reports"),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(page=page)


def _printable(value: object) -> object:
    """Give text that any HTML file may hold and that no character in it reorders; template code passes through."""
    if type(value) is not str:
        return value
    whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return visible(whole, keep="\n\t")
