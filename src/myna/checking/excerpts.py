"""Short pieces of data for a person's eyes: secrets masked, one line, nothing that could steer a terminal.

All that the checks show of anybody's data goes through here. Knows no examples and no findings.
"""

from __future__ import annotations

import re

from myna.checking.sensitive import to_mask

MAX_CHARACTERS = 100
_BEFORE = 20
"""Characters shown before the one that matters."""

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Characters that a reader can't see or that change how others are shown."""


def excerpt(text: str, start: int = 0) -> str:
    """Return a piece of `text`, from a little before character `start`, on one line and with secrets masked."""
    first = max(0, start - _BEFORE)
    last = first + MAX_CHARACTERS
    spans = [(begin, end) for begin, end in to_mask(text) if end > first]
    for begin, end in spans:
        if begin < last:
            # a secret is masked from its own beginning on, or its end would stand there unmasked
            first, last = min(first, begin), last + end - begin
    shown = _one_line(_masked(text, first, last, spans))
    before, after = "…" if first else "", "…" if last < len(text) or len(shown) > MAX_CHARACTERS else ""
    return f"{before}{shown[:MAX_CHARACTERS]}{after}"


def redacted(text: str) -> str:
    """Return the whole of a message that may hold pieces of data, with secrets masked."""
    return _masked(text, 0, len(text), to_mask(text))


def _masked(text: str, first: int, last: int, spans: list[tuple[int, int]]) -> str:
    pieces, place = [], first
    for start, stop in spans:
        if start >= last:
            break
        kept = min(4, (stop - start) // 4)
        pieces += [text[place:start], text[start : start + kept], "…"]
        place = stop
    return "".join([*pieces, text[place : max(place, last)]])


def _one_line(text: str) -> str:
    spaced = " ".join(text.split(" ")).replace("\r\n", "\n").replace("\n", " ⏎ ").replace("\t", " ")
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", spaced).strip()
