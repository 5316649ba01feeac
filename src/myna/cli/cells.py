"""A cell of a database → text on one line that a terminal shows and never obeys. Knows no layout."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from myna.foreign_text import visible

LONGEST = 1_000
"""Characters of a cell that are looked at: more does not fit a line of any terminal."""
_BYTES_SHOWN = 12


def cell_text(cell: Any) -> str:
    """Return a cell on one line: `NULL`, a number, a text, or `x'…'` for bytes."""
    if cell is None:
        return "NULL"
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, bytes | bytearray | memoryview):
        content = bytes(cell)
        return f"x'{content[:_BYTES_SHOWN].hex()}{'…' if len(content) > _BYTES_SHOWN else ''}' ({len(content):,} bytes)"
    text = str(cell)
    return visible(text[:LONGEST]) + ("…" if len(text) > LONGEST else "")


def is_number(cell: Any) -> bool:
    """Return whether a cell is a number."""
    return isinstance(cell, int | float | Decimal) and not isinstance(cell, bool)
