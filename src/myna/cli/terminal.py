"""Standard input, output and error: their encoding, their colours, and the only functions that write to them.

Text that others wrote comes through here and is never obeyed: `say` writes a line for a person, `show_text` what a
program may read as well, `write_json` what is for a program, and `rich_console` gives a console that takes no text for
markup. Imported at every start, so nothing heavy is imported here.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from myna.errors import DataError, bounded, without_passwords
from myna.foreign_text import json_text, visible

if TYPE_CHECKING:
    from rich.console import Console

_LAYOUT = "\n\t"
"""Control characters that texts of several lines need."""


class Styled(NamedTuple):
    """Text in an ANSI style (`1` bold, `31` red …)."""

    text: str
    style: str


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


def has_colours(stream: TextIO) -> bool:
    """Tell whether `stream` shows ANSI styles."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def emphasis(text: str, style: str, stream: TextIO) -> str:
    """Return `text` in an ANSI style where `stream` shows colours."""
    return f"\x1b[{style}m{text}\x1b[0m" if has_colours(stream) else text


def say(*parts: str | Styled, stream: TextIO | None = None) -> None:
    """Write a line for a person, standard output without `stream`; what others wrote in it is shown, never obeyed."""
    stream = sys.stdout if stream is None else stream
    written = [
        emphasis(visible(part.text), part.style, stream) if isinstance(part, Styled) else visible(part)
        for part in parts
    ]
    draw("".join(written), stream)


def draw(text: str, stream: TextIO) -> None:
    """Write lines that Myna itself composed, styles and all: nothing that others wrote stands in them as it is."""
    stream.write(f"{text}\n")
    stream.flush()


def show_text(text: str, stream: TextIO) -> None:
    """Write text at once, exactly; on a terminal what could steer it, such as escape sequences, is written out."""
    stream.write(visible(text, keep=_LAYOUT) if stream.isatty() else text)
    stream.flush()


def rich_console(stream: TextIO, **options: Any) -> Console:
    """Return a console that takes no text for markup or emoji codes; escapes it passes on, so use `visible` too."""
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False, **options)


def read_line() -> str | None:
    """Return the next line of standard input without its end, None when there is no more.

    Raises `DataError` when it is not UTF-8.
    """
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError as error:
        raise _not_utf8(error) from error
    return line.removesuffix("\n") if line else None


def read_typed_line(prompt: str) -> str:
    """Return what a person types after `prompt`. Raises `DataError` for what is not UTF-8, and what `input` raises."""
    try:
        return input(prompt)
    except UnicodeDecodeError as error:
        raise _not_utf8(error) from error


def read_all() -> str:
    """Return all of standard input. Raises `DataError` when it is not UTF-8."""
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise _not_utf8(error) from error


def _not_utf8(error: UnicodeDecodeError) -> DataError:
    return DataError(
        f"standard input: holds the byte 0x{error.object[error.start]:02x}, which is not UTF-8 there; "
        "convert it first: iconv -f OLD-ENCODING -t UTF-8"
    )


def report_error(kind: str, message: str, *, as_json: bool) -> None:
    """Write an error: for a person to standard error, or for a program as JSON to standard output.

    A message about wrong usage repeats what was typed, which may be a URL with a password.
    """
    message = bounded(without_passwords(message))
    if as_json:
        write_json({"error": {"type": kind, "message": message}})
        return
    shown = visible(message, keep=_LAYOUT)  # a database's own words may stand in it
    # what the user asked for by Ctrl-C is no error
    mark = "" if kind == "Interrupted" else f"{emphasis('error:', '1;31', sys.stderr)} "
    draw(f"{mark}{shown}", sys.stderr)


def show_traceback(error: BaseException) -> None:
    """Write where an error comes from to standard error."""
    import traceback

    trace = without_passwords("".join(traceback.format_exception(error)).rstrip("\n"))
    draw(visible(trace, keep=_LAYOUT), sys.stderr)


def write_json(value: Any) -> None:
    """Write one JSON value and a newline to standard output; a float that JSON has no number for becomes null."""
    draw(json_text(_finite(value)), sys.stdout)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _finite(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(element) for element in value]
    return value
