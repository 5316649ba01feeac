"""Flags that every command takes, and the ways a command can end that are no error of the library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from cyclopts import Group, Parameter

from myna.errors import MynaError

_EVERYWHERE = Group("Every command", sort_key=1000)


@dataclass(frozen=True, slots=True)
class CommonFlags:
    """How a command shows its result and its errors."""

    json: Annotated[bool, Parameter(negative="", group=_EVERYWHERE)] = False
    """Write one JSON object to standard output and nothing else there; progress goes to standard error."""
    debug: Annotated[bool, Parameter(negative="", group=_EVERYWHERE)] = False
    """Show the traceback of an error."""


Common: TypeAlias = Annotated[CommonFlags, Parameter(name="*")]
"""The last parameter of every command."""

COMMON = CommonFlags()


@dataclass(frozen=True, slots=True)
class BadNews:
    """What a command returns whose work is done and whose result is bad: it is shown, then `error` ends the program."""

    result: dict[str, Any]
    error: MynaError


class UsageError(Exception):
    """Flags or arguments that do not go together; the command line exits with 2."""
