"""Matched cells → hints for the prompt: `Name = 'Wang Junjian'`. One line each; nothing but the matched cells."""

from __future__ import annotations

from collections.abc import Iterable

from myna.text2sql.grammar import literal_text
from myna.text2sql.identifiers import identifier
from myna.text2sql.values.index import ValueMatch


def hints(matches: Iterable[ValueMatch], *, dialect: str = "sqlite") -> tuple[str, ...]:
    """Return a hint for each match, in their order; columns of one name with the same value give one.

    dialect: sqlglot's name of the SQL that they are written in. A value stands whole, because SQL needs it so; the
    index has none that is long or breaks a line.
    """
    written = (f"{identifier(match.column, dialect)} = {literal_text(match.value, dialect)}" for match in matches)
    return tuple(dict.fromkeys(written))
