"""An example: one conversation or one text, as read from a data file, before any tokenizer.

The one currency of all data formats. Knows nothing of tokens, templates or models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Message: TypeAlias = Mapping[str, Any]
"""`{"role", "content", …}` exactly as the chat template will see it (`tool_calls` and the like included)."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where an example was read: file name and 1-based line."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a data folder.

    `kind` says which of the three formats it came in: `text` has `text` and no messages; `completion`
    (prompt and completion) and `chat` have messages, of which the assistant's are learnt.
    """

    kind: Literal["text", "completion", "chat"]
    source: Source
    text: str = ""
    messages: tuple[Message, ...] = ()
    tools: tuple[Mapping[str, Any], ...] | None = None
    sql: Mapping[str, Any] | None = field(default=None, hash=False)
