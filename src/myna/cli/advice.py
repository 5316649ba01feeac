"""Flags that an error names and the failed command does not have → a sentence that says whose they are.

The library's errors name flags of the command that they mostly concern; several commands can meet the same error, such
as a data folder with other keys. Knows flags only as the parser has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cyclopts import App

from myna.cli.commands import GROUPS

_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_COMMAND = re.compile(
    rf"\bmyna ({'|'.join(sorted((command.name for group in GROUPS.values() for command in group), key=len)[::-1])})\b"
)
_END_OF_COMMAND = re.compile(r"[;\n]|[.,)](?:\s|$)|\s(?:or|and)\s")
"""What ends a command within a sentence."""


def named_flags(message: str) -> Iterator[tuple[str | None, str]]:
    """Yield each flag in a text, with the command that it is shown with as in `myna train --resume RUN`, else None."""
    for place in _FLAG.finditer(message):
        commands = list(_COMMAND.finditer(message, 0, place.start()))
        given = commands[-1] if commands else None
        if given is not None and _END_OF_COMMAND.search(message, given.end(), place.start()):
            given = None
        yield (None if given is None else given[1]), place[0]


def flags_of(app: App, command: str) -> set[str]:
    """Return the flags of a command, such as `train` or `data check`."""
    for word in command.split():
        app = app[word]
    arguments = app.assemble_argument_collection(parse_docstring=False)
    return {name for argument in arguments for name in argument.names if name.startswith("--")}


def other_commands_flags(message: str, command: str, app: App) -> str:
    """Return a sentence on the flags in `message` that `command` lacks, to be put after it; empty without any."""
    mine = flags_of(app, command)
    lacking = dict.fromkeys(flag for of, flag in named_flags(message) if of is None and flag not in mine)
    if not lacking:
        return ""
    known = {other.name: flags_of(app, other.name) for group in GROUPS.values() for other in group}
    owners = {flag: [name for name, flags in known.items() if flag in flags] for flag in lacking}
    flags_by_owners: dict[str, list[str]] = {}
    for flag, names in owners.items():
        if names:
            flags_by_owners.setdefault(_listed(names), []).append(flag)
    said = [
        f"{_listed(flags)} {'is a flag' if len(flags) == 1 else 'are flags'} of myna {names}"
        for names, flags in flags_by_owners.items()
    ]
    return f"\n{'; '.join(said)}, not of myna {command}." if said else ""


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
