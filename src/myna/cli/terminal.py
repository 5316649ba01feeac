"""Standard output and standard error: their encoding, their colours, and how an error is written to them.

Imported at every start, so nothing heavy is imported here.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import Any, TextIO

from myna.errors import without_passwords

_STEERING = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if code not in (9, 10)}


def speak_utf8() -> None:
    """Read and write UTF-8 whatever the locale says; what it can't express is spelt out, never fatal."""
    codecs.register_error("myna", _spell_out)
    for stream, errors in ((sys.stdin, "strict"), (sys.stdout, "myna"), (sys.stderr, "myna")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)


def _spell_out(error: UnicodeError) -> tuple[str | bytes, int]:
    """Give bytes of a file's name back as they were, and escape every other half of a surrogate pair."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.backslashreplace_errors(error)


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a person looks at `stream` through a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def emphasis(text: str, style: str, stream: TextIO) -> str:
    """Return `text` in an ANSI style (`1` bold, `31` red …) where `stream` shows colours."""
    if not is_terminal(stream) or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{style}m{text}\x1b[0m"


def show_text(text: str, stream: TextIO) -> None:
    """Write a model's words at once; on a terminal without what could steer it (escape sequences and the like)."""
    stream.write(text.translate(_STEERING) if stream.isatty() else text)
    stream.flush()


def report_error(kind: str, message: str, *, as_json: bool) -> None:
    """Write an error: for a person to standard error, or for a program as JSON to standard output.

    A message about wrong usage repeats what was typed, which may be a URL with a password.
    """
    message = without_passwords(message)
    if as_json:
        write_json({"error": {"type": kind, "message": message}})
    elif kind == "Interrupted":  # what the user asked for is no error
        sys.stderr.write(f"{message}\n")
    else:
        # a database's own words may stand in it
        sys.stderr.write(f"{emphasis('error:', '1;31', sys.stderr)} {message.translate(_STEERING)}\n")


def write_json(value: Any) -> None:
    """Write one JSON value and a newline to standard output; what is no number in JSON becomes null."""
    import json

    sys.stdout.write(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _finite(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(element) for element in value]
    return value
