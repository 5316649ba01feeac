"""The command line: parses, calls the library, prints; one module per command family, no logic of its own.

`main` is the entry point. It imports nothing heavy: help and version are printed from the table in `commands`
before any parser, numerical or tensor library is loaded. Exit codes: 0 done, 1 an error that a person can
mend, 2 wrong usage, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from myna.cli.terminal import report_error, speak_utf8

_READER_GONE = 141
"""What a shell says of a program that wrote into a closed pipe (128 + SIGPIPE)."""
_TERMINATED = 128 + signal.SIGTERM
"""What a shell says of a program that SIGTERM ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (default: the program's own) and return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    speak_utf8()
    try:
        with _termination():
            code = _run(arguments)
            sys.stdout.flush()
    except BrokenPipeError:
        # the interpreter flushes once more when it ends, and would complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    except KeyboardInterrupt:
        report_error("Interrupted", "Interrupted.", as_json="--json" in arguments)
        return 130
    except SystemExit as ended:
        if ended.code != _TERMINATED:
            raise
        report_error("Interrupted", "Terminated.", as_json="--json" in arguments)
        return _TERMINATED
    return code


@contextmanager
def _termination() -> Iterator[None]:
    """Let SIGTERM end the block as an exception does, so that what is begun is cleaned up, and not the process at once.

    Training, which can do better, has a handler of its own.
    """
    if threading.current_thread() is not threading.main_thread():  # Python has signals in the main one alone
        yield
        return
    before = signal.signal(signal.SIGTERM, _on_termination)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _on_termination(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(_TERMINATED)


def _run(arguments: Sequence[str]) -> int:
    from myna.cli.commands import SUBJECTS, overview, subject_overview

    words = [word for word in arguments if word not in ("--help", "-h")]
    if not words or words == ["help"]:
        sys.stdout.write(overview(sys.stdout))
        return 0
    if len(words) == 1 and words[0] in SUBJECTS:
        sys.stdout.write(subject_overview(words[0], sys.stdout))
        return 0
    if words == ["--version"]:
        from myna import __version__

        print(f"myna {__version__}")
        return 0
    from myna.cli.application import run

    return run(arguments)
