"""A cell of a database → text that a terminal shows and never obeys.

What could steer a terminal or reorder a line (escape sequences, control and bidirectional characters, invisible ones)
is written out as an escape; the only exception are the joiners that scripts and emoji need. Knows no layout.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

LONGEST = 1_000
"""Characters of a cell that are looked at: more does not fit a line of any terminal."""
_BYTES_SHOWN = 12
_JOINERS = "\u200c\u200d"


def visible(text: str, *, keep: str = "") -> str:
    """Return `text` with all that can't be seen written out as escapes, but for the characters in `keep`."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in keep or _is_harmless(character) else _escape(character)
        for character in text
    )


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


def _is_harmless(character: str) -> bool:
    # wide and other spaces have a width of their own; Python counts them as not printable
    return character in _JOINERS or (
        character.isspace() and character not in "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
