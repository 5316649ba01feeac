"""The command line: parses, calls the library, prints; one module per command family, no logic of its own.

`main` is the entry point. It imports nothing heavy: help and version are printed from the table in `commands`
before any parser, numerical or tensor library is loaded. Exit codes: 0 done, 1 an error that a person can
mend, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from myna.cli.terminal import report_error, speak_utf8

_READER_GONE = 141
"""What a shell says of a program that wrote into a closed pipe (128 + SIGPIPE)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (default: the program's own) and return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    speak_utf8()
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # the interpreter flushes once more when it ends, and would complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    except KeyboardInterrupt:
        report_error("Interrupted", "Interrupted.", as_json="--json" in arguments)
        return 130
    return code


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
