"""What answers a conversation: a protocol, and the loaded model that keeps it.

Asking needs texts for a conversation and how a model's prompts were made, nothing else of it. Knows no SQL and no
database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from myna.data.example import Message
from myna.errors import RecipeError
from myna.generation import LanguageModel, Sampling
from myna.generation.language_model import GREEDY
from myna.text2sql.constraint import Constrainer
from myna.text2sql.prompt_settings import PromptSettings

DIVERSE = Sampling(temperature=0.7, top_p=0.95)
"""How candidates beyond the first are drawn when nothing else is said."""


class Answerer(Protocol):
    """Answers conversations."""

    @property
    def prompt_settings(self) -> PromptSettings:
        """What the prompts show that it was trained with."""

    def answers(self, conversation: Sequence[Message], *, count: int, grammar: str | None) -> list[str]:
        """Return `count` answers, the likeliest first; each held to `grammar` where there is one."""

    def prepare_constraint(self) -> None:
        """Make ready for grammars. Raises `MissingDependency` or `PromptError` where that can't be."""


class ModelAnswerer:
    """Answers with a loaded model: the first greedily, all others drawn by `sampling`."""

    def __init__(self, model: LanguageModel, *, max_tokens: int = 256, sampling: Sampling | None = None) -> None:
        """max_tokens: of an answer. sampling: of the candidates beyond the first.

        Raises `RecipeError`, and `ModelError` when what the model's folder says of its prompts can't be kept to.
        """
        if max_tokens < 1:
            raise RecipeError(f"max_tokens is {max_tokens}; expected 1 or more")
        self._model = model
        self._prompt_settings = PromptSettings.of(model.note)
        self._max_tokens = max_tokens
        self._sampling = DIVERSE if sampling is None or sampling.temperature == 0 else sampling
        self._constrainer: Constrainer | None = None

    @property
    def prompt_settings(self) -> PromptSettings:
        """See `Answerer`."""
        return self._prompt_settings

    def answers(self, conversation: Sequence[Message], *, count: int, grammar: str | None) -> list[str]:
        """See `Answerer`. Raises `PromptError` (the chat template refuses) and `ResourceError`."""
        first = self._generate(conversation, 1, GREEDY, grammar)
        return first if count == 1 else first + self._generate(conversation, count - 1, self._sampling, grammar)

    def prepare_constraint(self) -> None:
        """See `Answerer`."""
        if self._constrainer is None:
            self._constrainer = Constrainer(self._model.builder)

    def _generate(
        self, conversation: Sequence[Message], count: int, sampling: Sampling, grammar: str | None
    ) -> list[str]:
        held = None
        if grammar is not None:
            self.prepare_constraint()
            assert self._constrainer is not None
            held = self._constrainer.hold([grammar] * count)
        generated = self._model.generate_many(
            [conversation] * count,
            max_tokens=self._max_tokens,
            sampling=sampling,
            constraint=held,
        )
        return [each.text for each in generated]
