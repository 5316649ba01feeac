"""Parsing a command line, running its command, and turning every way it can end into an exit code.

A command returns what `--json` shows and prints the rest itself; with `--json` everything it prints goes to
standard error. Knows nothing of what commands do.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from itertools import takewhile
from typing import Any

from cyclopts import App, CycloptsError, Parameter

from myna import __version__
from myna.cli.advice import other_commands_flags
from myna.cli.commands import GROUPS, SUBJECTS
from myna.cli.flags import BadNews, UsageError
from myna.cli.terminal import report_error, show_traceback, write_json
from myna.errors import MynaError, ResourceError, did_you_mean
from myna.foreign_text import make_logs_visible


def build_app() -> App:
    """Return the parser of all commands; a command's module is imported only when it is called."""
    app = App(
        name="myna",
        default_parameter=Parameter(show_default=_shown_default),
        version=__version__,
        help_flags=["--help", "-h"],
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
        print_error=False,
        exit_on_error=False,
    )
    for name in SUBJECTS:
        app.command(App(name=name))
    for group in GROUPS.values():
        for command in group:
            *subject, word = command.name.split()
            place = app[subject[0]] if subject else app
            place.command(f"myna.cli.{command.target}", name=word)
    return app


def _shown_default(value: Any) -> str | None:
    """Say a default in the help text, but not that what nobody asked for is not done."""
    return None if value is None or value is False else str(value)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code. Ctrl-C and a closed pipe are the caller's."""
    as_json, debug = "--json" in arguments, "--debug" in arguments
    make_logs_visible()
    if (unknown := _unknown_command(arguments)) is not None:
        report_error("UsageError", unknown, as_json=as_json)
        return 2
    try:
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            command, bound, _ = build_app().parse_args(list(arguments))
            result = command(*bound.args, **bound.kwargs)
        return _end(result, arguments, as_json)
    except (CycloptsError, UsageError) as error:
        report_error("UsageError", f"{error}{_help_hint(arguments)}", as_json=as_json)
        return 2
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except MemoryError:
        full = ResourceError("memory ran out; end other programs, or give this one less to do at once")
        return _fail(full, arguments, as_json, debug)
    except MynaError as error:
        return _fail(error, arguments, as_json, debug)
    except Exception as error:
        if debug:
            show_traceback(error)
        message = f"Myna failed in a way that it should not: {type(error).__name__}: {error}\n"
        report_error(type(error).__name__, message + "With --debug it shows where.", as_json=as_json)
        return 1


def _end(result: Any, arguments: Sequence[str], as_json: bool) -> int:
    """Show a program what a command returned, with the error that it amounts to; return the exit code."""
    if not isinstance(result, BadNews):
        if as_json and result is not None:
            write_json(result)
        return 0
    kind, message = type(result.error).__name__, _advised(result.error, arguments)
    if as_json:
        write_json({**result.result, "error": {"type": kind, "message": message}})
    else:
        report_error(kind, message, as_json=False)
    return result.error.exit_code


def _fail(error: MynaError, arguments: Sequence[str], as_json: bool, debug: bool) -> int:
    if debug:
        show_traceback(error)
    report_error(type(error).__name__, _advised(error, arguments), as_json=as_json)
    return error.exit_code


def _advised(error: MynaError, arguments: Sequence[str]) -> str:
    """Return an error's message, and whose the flags are that it names and this command does not have."""
    message = str(error)
    if "--" not in message:
        return message
    return message + other_commands_flags(message, _command_words(arguments), build_app())


def _command_words(arguments: Sequence[str]) -> str:
    words = list(takewhile(lambda word: not word.startswith("-"), arguments))
    return " ".join(words[: 2 if words and words[0] in SUBJECTS else 1])


def _unknown_command(arguments: Sequence[str]) -> str | None:
    """Say what is wrong with the words that should name a command, or None when they do."""
    names = [command.name for group in GROUPS.values() for command in group]
    wanted = _command_words(arguments)
    if wanted in names or wanted in SUBJECTS:
        return None
    if not wanted:
        return f"the command comes first, before {arguments[0]!r}\nAll commands: myna --help"
    return f"unknown command {wanted!r}{did_you_mean(wanted, names)}\nAll commands: myna --help"


def _help_hint(arguments: Sequence[str]) -> str:
    return f"\nFlags and arguments: myna {_command_words(arguments)} --help"
