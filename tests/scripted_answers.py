"""Something that answers conversations with what it was told to say, where a test needs certain SQL."""

from __future__ import annotations

from collections.abc import Sequence

from myna.data.example import Message
from myna.text2sql.asking import Answerer
from myna.text2sql.prompt_settings import PromptSettings


class Scripted:
    """Gives its answers in order, whatever is asked, and remembers what it was asked."""

    def __init__(self, *answers: str, prompt_settings: PromptSettings | None = None) -> None:
        self.prompt_settings = prompt_settings or PromptSettings()
        self._answers = list(answers)
        self.conversations: list[list[Message]] = []
        self.grammars: list[str | None] = []

    def answers(self, conversation: Sequence[Message], *, count: int, grammar: str | None) -> list[str]:
        self.conversations.append(list(conversation))
        self.grammars.append(grammar)
        given, self._answers = self._answers[:count], self._answers[count:]
        assert len(given) == count, "asked more often than the test says"
        return given

    def prepare_constraint(self) -> None:
        pass


_: Answerer = Scripted()
