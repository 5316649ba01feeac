"""Every error that a user can meet, in one small tree.

    MynaError                a person can mend it; the command line prints its message and exits with `exit_code`
    ├── RecipeError          a setting is unknown, misspelt, out of range or contradicts another
    ├── DataError            a data folder, a file or a line in it
    ├── PromptError          a tokenizer or chat template can't express an example
    ├── ModelError           a base model's folder: missing, truncated, pickled, of an unsupported architecture
    │   └── AdapterError     an adapter's folder, or an adapter that does not fit the base model
    ├── DatabaseError        a database can't be opened: missing, locked, encrypted, no rights, wrong address
    │   └── QueryError       a statement was refused, is wrong, or met a limit; `kind` says which
    ├── RunError             a run folder: exists already, is not one, does not fit the recipe
    ├── TrainingError        the loss is not a number any more, or nothing is left to train on
    ├── ResourceError        memory or disk ran out
    ├── MissingDependency    an optional library is not installed
    └── Interrupted          Ctrl-C or SIGTERM; everything is saved (exit code 130 or 143)

A message says what is wrong, where (file and line, or name), what was expected and what to do next. Values of files and
databases stand in it as `excerpt` or `cut` gives them; of a message over `LONGEST_MESSAGE` the middle is left out.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable
from typing import Literal, TypeAlias

_PASSWORD_IN_URL = re.compile(r"([A-Za-z][\w+.-]*:/{1,3}[^\s/@:]*):\S+@")

LONGEST_MESSAGE = 4_000
"""Characters of an error's message."""
_LONGEST_VALUE = 120
"""Characters of a value in a message."""
_BEGINNING, _END = 2_900, 1_000
"""Characters of a long message that are kept: what is wrong, and what to do. A cut message is not cut again."""

QueryErrorKind: TypeAlias = Literal[
    "syntax",  # can't be parsed
    "refused",  # not one single query that only reads
    "unknown table",
    "unknown column",
    "time",  # lasted longer than the limit
    "memory",  # took more memory than the limit
    "database",  # anything else that the database said
]


class MynaError(Exception):
    """Base of all errors that a user can mend. A password in a URL that its message repeats is taken out of it."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(bounded(without_passwords(message)))


class RecipeError(MynaError):
    """A setting is unknown, misspelt, out of range or contradicts another."""


class DataError(MynaError):
    """A data folder, a file or a line in it can't be used."""


class PromptError(MynaError):
    """The tokenizer or its chat template can't express an example."""


class ModelError(MynaError):
    """A base model can't be found or read, or its architecture is not supported."""


class AdapterError(ModelError):
    """An adapter can't be read or does not fit the base model."""


class DatabaseError(MynaError):
    """A database can't be opened or read. Its text never holds a password."""


class QueryError(DatabaseError):
    """A statement was refused, is wrong, or met a limit; `kind` says which."""

    def __init__(self, message: str, kind: QueryErrorKind) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type[QueryError], tuple[str, QueryErrorKind]]:
        return type(self), (str(self), self.kind)


class RunError(MynaError):
    """A run folder exists already, is not one, or does not fit the recipe."""


class TrainingError(MynaError):
    """Training can't go on: the loss is not a number any more, or nothing carries loss."""


class ResourceError(MynaError):
    """Memory or disk ran out."""


class MissingDependency(MynaError):
    """An optional library is not installed; the message names the command that installs it."""


class Interrupted(MynaError):
    """The user pressed Ctrl-C, or something sent SIGTERM; the message says how to go on."""

    exit_code = 130

    def __init__(self, message: str, *, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def without_passwords(text: str) -> str:
    """Return `text` with `***` for the password of each URL in it: a user may have typed one where a path belongs."""
    return _PASSWORD_IN_URL.sub(r"\1:***@", text) if "@" in text else text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the known name nearest to `name`, or an empty string."""
    if len(name) > _LONGEST_VALUE:  # no name that anybody misspelt, and comparing takes time with the square of this
        return ""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def excerpt(value: object, longest: int = _LONGEST_VALUE) -> str:
    """Return what a message says of a value: its `repr`, of a long text or a large collection only the beginning."""
    if isinstance(value, str):
        more = len(value) - longest
        return repr(value) if more <= 0 else f"{value[:longest]!r}… ({more:,} more characters)"
    short = reprlib.Repr()
    short.maxlevel, short.maxlist, short.maxtuple, short.maxdict = 3, 8, 8, 8
    short.maxstring = short.maxlong = short.maxother = longest
    return cut(short.repr(value), 4 * longest)


def cut(text: str, longest: int = _LONGEST_VALUE) -> str:
    """Return `text`, or its beginning and how much is left out."""
    more = len(text) - longest
    return text if more <= 0 else f"{text[:longest]}… ({more:,} more characters)"


def listing(names: Iterable[object], most: int = 12) -> str:
    """Return the names in a row, at most so many of them and each cut; an empty text for none."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(cut(str(name)) for name in every[:most]) + more


def bounded(message: str) -> str:
    """Return a whole message, of one over `LONGEST_MESSAGE` characters the beginning and the end."""
    if len(message) <= LONGEST_MESSAGE:
        return message
    more = len(message) - _BEGINNING - _END
    return f"{message[:_BEGINNING]} … ({more:,} characters left out) … {message[-_END:]}"
