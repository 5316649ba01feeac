"""Text that others wrote (cells, file names, model files, answers) → text that is safe to show.

A terminal obeys escape sequences, and readers are misled by characters that reorder a line or can't be seen. `visible`
writes them out as Python escapes, such as `\\x1b` and `\\u202e`, for terminals, Markdown and HTML alike. What scripts
and emoji need stays as it is. `json_text` is for programs: the value they read is exact. Knows no layout.
"""

from __future__ import annotations

import re

_JOINERS = "\u200c\u200d"
_NUMBER_SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Format characters of Arabic, Syriac and Kaithi that are seen (Unicode's property Prepended_Concatenation_Mark)."""
_LINE_CONTROLS = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"


def visible(text: str, *, keep: str = "") -> str:
    """Return `text` with all that can't be seen written out as escapes, but for the characters in `keep`.

    keep: `"\\n\\t"` for text of several lines; without it the result is always one line.
    """
    if text.isprintable():
        return text
    text = _with_bytes_read(text)
    return "".join(
        character if character in keep or _is_harmless(character) else character.encode("unicode_escape").decode()
        for character in text
    )


def markdown(text: str) -> str:
    """Return `text` as one line of Markdown that is shown as it stands: no heading, link, image, code or HTML."""
    return re.sub(r"([\\`*_<\[#])", r"\\\1", visible(" ".join(text.split())))


def json_text(value: object) -> str:
    """Return a value as JSON on one line: the same value to any reader, and safe on a terminal that shows it.

    Raises `ValueError` for a float that is no number in JSON.
    """
    import json  # the command line's start does without it

    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if text.isprintable():
        return text
    text = _with_bytes_read(text)
    # json.dumps has escaped the controls below U+0020; what is left stands within a string
    return "".join(character if _is_harmless(character) else json.dumps(character)[1:-1] for character in text)


def make_logs_visible() -> None:
    """Make all that libraries log or warn of in this process `visible`: they repeat names of files and models."""
    import logging
    import warnings

    if logging.getLogRecordFactory().__name__ == "VisibleRecord":
        return

    class VisibleRecord(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802
            return visible(super().getMessage(), keep="\n\t")

    logging.setLogRecordFactory(VisibleRecord)
    given = warnings.formatwarning
    warnings.formatwarning = lambda *warning: visible(given(*warning), keep="\n\t")


def _with_bytes_read(text: str) -> str:
    """Return `text` with bytes of a file's name that the locale could not read as the UTF-8 that they are (PEP 383)."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # other halves of surrogate pairs
        return text


def _is_harmless(character: str) -> bool:
    # wide and other spaces have a width of their own; Python counts them as not printable
    return (
        character.isprintable()
        or character in _JOINERS
        or character in _NUMBER_SIGNS
        or (character.isspace() and character not in _LINE_CONTROLS)
    )
