"""Matched cells → hints for the prompt: `Name = 'Wang Junjian'`. One line each; nothing but the matched cells."""

from __future__ import annotations

from collections.abc import Iterable

from myna.text2sql.identifiers import identifier
from myna.text2sql.schema_text import value_text
from myna.text2sql.values.index import ValueMatch


def hints(matches: Iterable[ValueMatch], *, dialect: str = "sqlite") -> tuple[str, ...]:
    """Return a hint for each match, in their order; columns of one name with the same value give one.

    dialect: sqlglot's name of the SQL that names are quoted for. Control characters of a cell are written as escapes.
    """
    written = (f"{identifier(match.column, dialect)} = {value_text(match.value)}" for match in matches)
    return tuple(dict.fromkeys(written))
