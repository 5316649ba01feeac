"""Lines that a person types: editing, history and completion where the system has `readline`, plain input elsewhere.

Words to complete go in, lines come out. Knows nothing of what the lines mean.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from myna.cli.terminal import read_line, read_typed_line, say
from myna.databases.allowed import state_folder
from myna.foreign_text import visible

_MOST_LINES = 1_000
_DELIMITERS = " \t\n,.()=<>;"


@contextmanager
def editing(words: Sequence[str], history: str) -> Iterator[None]:
    """Let `input` complete `words` and recall earlier lines until the block ends.

    history: the name of the file that keeps lines, which no one else may read; where it can't be written, nothing is
    kept.
    """
    try:
        readline: Any = import_module("readline")
    except ImportError:  # Windows has none
        yield
        return
    file = state_folder() / history
    readline.clear_history()
    with suppress(OSError):
        readline.read_history_file(file)
    before = readline.get_completer(), readline.get_completer_delims()
    readline.set_completer(Completer(words))
    readline.set_completer_delims(_DELIMITERS)
    # macOS has libedit under the name of readline, which binds keys in its own language
    readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")
    try:
        yield
    finally:
        readline.set_completer(before[0])
        readline.set_completer_delims(before[1])
        readline.set_history_length(_MOST_LINES)
        with suppress(OSError):
            _keep(readline, file)


class Completer:
    """Gives the words that begin with what was typed, as `readline` asks for them; letter case does not matter."""

    def __init__(self, words: Sequence[str]) -> None:
        # a name that a terminal would obey is not offered: readline writes names as they are
        self._words = sorted({word for word in words if visible(word) == word}, key=str.casefold)
        self._found: list[str] = []

    def __call__(self, typed: str, number: int) -> str | None:
        """Return the word at this place among those that begin with `typed`, None when there are no more."""
        if number == 0:
            beginning = typed.casefold()
            self._found = [word for word in self._words if word.casefold().startswith(beginning)]
        return self._found[number] if number < len(self._found) else None


def next_line(prompt: str) -> str | None:
    """Return the next line from standard input, None when there is no more. Ctrl-C begins the line anew.

    Raises `DataError` for what is not UTF-8.
    """
    if not sys.stdin.isatty():
        return read_line()
    while True:
        try:
            return read_typed_line(prompt)
        except EOFError:
            say()
            return None
        except KeyboardInterrupt:
            say()


def _keep(readline: Any, file: Path) -> None:
    """Write the history so that it is never readable for others, not even for a moment."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    before = os.umask(0o077)
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
        file.chmod(0o600)
        readline.write_history_file(file)
        file.chmod(0o600)
    finally:
        os.umask(before)
