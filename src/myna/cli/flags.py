"""Flags that every command takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from cyclopts import Group, Parameter

_EVERYWHERE = Group("Every command", sort_key=1000)


@dataclass(frozen=True, slots=True)
class CommonFlags:
    """How a command shows its result and its errors."""

    json: Annotated[bool, Parameter(negative="", show_default=False, group=_EVERYWHERE)] = False
    """Write one JSON object to standard output and nothing else there; progress goes to standard error."""
    debug: Annotated[bool, Parameter(negative="", show_default=False, group=_EVERYWHERE)] = False
    """Show the traceback of an error."""


Common: TypeAlias = Annotated[CommonFlags, Parameter(name="*")]
"""The last parameter of every command."""

COMMON = CommonFlags()


class UsageError(Exception):
    """Flags or arguments that do not go together; the command line exits with 2."""
