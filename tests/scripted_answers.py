"""Something that answers conversations with what it was told to say, where a test needs certain SQL."""

from __future__ import annotations

from collections.abc import Sequence

from myna.data.example import Message
from myna.text2sql.asking import Answerer


class Scripted:
    """Gives its answers in order, whatever is asked, and remembers what it was asked."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.conversations: list[list[Message]] = []
        self.grammars: list[str | None] = []

    def answers(self, conversation: Sequence[Message], *, count: int, grammar: str | None) -> list[str]:
        self.conversations.append(list(conversation))
        self.grammars.append(grammar)
        given, self._answers = self._answers[:count], self._answers[count:]
        assert len(given) == count, "asked more often than the test says"
        return given

    def tokens(self, text: str) -> int:
        return len(text) // 4

    def prepare_constraint(self) -> None:
        pass


_: Answerer = Scripted()
