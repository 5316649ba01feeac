"""A model and its prompt builder together: text or messages in, text with timings out.

Prompts become tokens through the same builder that made the training tokens. Knows nothing of files,
adapters or tensor libraries.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from myna.data.example import Message
from myna.engines.base import Constraint, Model, Sampling, TokenEvent
from myna.errors import PromptError, RecipeError
from myna.prompts.builder import PromptBuilder

Prompt: TypeAlias = str | Sequence[Message]
"""A text, or a conversation that the model is to go on with."""

ConstraintFactory: TypeAlias = Callable[[Sequence[int], int], Constraint]
"""Makes the constraint of prompts from their places in the list of prompts and the most tokens that each may get."""

GREEDY = Sampling()
"""The most likely token each time."""


@dataclass(frozen=True, slots=True)
class Generation:
    """An answer.

    text: without the end token. generated_tokens: with it. prompt_tokens_per_second is measured to the
    first token, generated_tokens_per_second from there on (0 when no second one came), the reading of prompts that
    waited included; both over all prompts of the call. stopped: `end` at an end token, `limit` at the last allowed
    token.
    """

    text: str
    prompt_tokens: int
    generated_tokens: int
    prompt_tokens_per_second: float
    generated_tokens_per_second: float
    stopped: Literal["end", "limit"]


class LanguageModel:
    """A loaded model that answers prompts.

    model = LanguageModel(engine.load(files), PromptBuilder.load(files.folder))
    model.generate("How many singers are there?").text
    """

    def __init__(self, model: Model, builder: PromptBuilder, note: Mapping[str, Any] | None = None) -> None:
        """note: what was noted with the model and its adapter (`myna.json`), for who writes its prompts."""
        self.model = model
        self.builder = builder
        self.note: Mapping[str, Any] = note or {}

    def generate(
        self,
        prompt: Prompt,
        *,
        max_tokens: int = 256,
        sampling: Sampling = GREEDY,
        raw: bool = False,
        constraint: ConstraintFactory | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Generation:
        """Answer one prompt; `on_text` is given each piece of text as soon as it is certain.

        A text prompt is taken as one user message, or with `raw` as it stands. `constraint` makes what decides
        which tokens may come. An exception out of `on_text`, and Ctrl-C, end the generation. Raises `PromptError`
        for an empty prompt, `RecipeError` for sampling settings out of range.
        """
        told = None if on_text is None else lambda _index, piece: on_text(piece)
        return self._generate([prompt], 1, max_tokens, sampling, raw, constraint, on_text=told)[0]

    def generate_many(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int = 256,
        sampling: Sampling = GREEDY,
        raw: bool = False,
        batch_size: int = 16,
        constraint: ConstraintFactory | None = None,
        on_answer: Callable[[int, Generation], None] | None = None,
    ) -> list[Generation]:
        """Answer prompts, `batch_size` at a time; where one ends, the next that waits takes its place.

        on_answer: is given each answer and its index, in order, as soon as it and all before it are there. Greedy
        answers are those of `generate`. Sampled ones depend on the seed and the place in the list.
        """
        return self._generate(prompts, batch_size, max_tokens, sampling, raw, constraint, on_answer=on_answer)

    def prompt_tokens(self, prompt: Prompt, *, raw: bool = False) -> NDArray[np.int32]:
        """Return the tokens the model sees, `[tokens]`. Raises `PromptError` for an empty prompt."""
        if not prompt:
            raise PromptError("the prompt is empty; give it some text")
        if not isinstance(prompt, str):
            return self.builder.prompt(prompt)
        if raw:
            return self.builder.text_prompt(prompt)
        return self.builder.prompt([{"role": "user", "content": prompt}])

    def _generate(
        self,
        prompts: Sequence[Prompt],
        together: int,
        max_tokens: int,
        sampling: Sampling,
        raw: bool,
        constraint: ConstraintFactory | None,
        *,
        on_text: Callable[[int, str], None] | None = None,
        on_answer: Callable[[int, Generation], None] | None = None,
    ) -> list[Generation]:
        _check(sampling, max_tokens)
        tokens = [self.prompt_tokens(prompt, raw=raw) for prompt in prompts]
        streams = [self.builder.stream() for _ in prompts]
        answers = [_Answer(len(prompt)) for prompt in tokens]
        read_first = sum(len(prompt) for prompt in tokens[:together])
        finished: list[Generation] = []
        clock = _Clock()
        events = self.model.generate(
            tokens,
            max_tokens=max_tokens,
            end_tokens=self.builder.end_tokens,
            sampling=sampling,
            constraint=None if constraint is None else constraint(range(len(prompts)), max_tokens),
            together=together,
        )
        for event in clock.timed(events):
            answer, stream = answers[event.sequence], streams[event.sequence]
            answer.generated_tokens += 1
            piece = "" if event.stopped == "end" else stream.push(event.token)
            if event.stopped is not None:
                answer.stopped = event.stopped
                piece += stream.finish()
            answer.text += piece
            if piece and on_text is not None:
                on_text(event.sequence, piece)
            while len(finished) < len(answers) and answers[len(finished)].stopped is not None:
                finished.append(answers[len(finished)].finished(clock, read_first))
                if on_answer is not None:
                    on_answer(len(finished) - 1, finished[-1])
        return finished


@dataclass(slots=True)
class _Answer:
    """An answer while it grows."""

    prompt_tokens: int
    generated_tokens: int = 0
    text: str = ""
    stopped: Literal["end", "limit"] | None = None

    def finished(self, clock: _Clock, prompt_tokens_together: int) -> Generation:
        assert self.stopped is not None
        return Generation(
            text=self.text,
            prompt_tokens=self.prompt_tokens,
            generated_tokens=self.generated_tokens,
            prompt_tokens_per_second=_rate(prompt_tokens_together, clock.prompt_seconds),
            generated_tokens_per_second=_rate(clock.later_tokens, clock.later_seconds),
            stopped=self.stopped,
        )


@dataclass(slots=True)
class _Clock:
    """Measures the time to the first step of a batch, and the tokens and time of the steps after it."""

    prompt_seconds: float = 0.0
    later_seconds: float = 0.0
    later_tokens: int = 0

    def timed(self, events: Iterator[TokenEvent]) -> Iterator[TokenEvent]:
        begun = time.perf_counter()
        first_step: set[int] = set()
        for event in events:
            now = time.perf_counter() - begun
            if not first_step:
                self.prompt_seconds = now
            if event.sequence in first_step:
                self.later_tokens += 1
            first_step.add(event.sequence)
            self.later_seconds = now - self.prompt_seconds
            yield event


def _rate(tokens: int, seconds: float) -> float:
    return tokens / seconds if tokens and seconds > 0 else 0.0


def _check(sampling: Sampling, max_tokens: int) -> None:
    for name, value, good, expected in (
        ("max_tokens", max_tokens, max_tokens >= 1, "1 or more"),
        ("temperature", sampling.temperature, 0 <= sampling.temperature < math.inf, "0 (greedy) or more"),
        ("top_p", sampling.top_p, 0 < sampling.top_p <= 1, "above 0, at most 1"),
        ("top_k", sampling.top_k, sampling.top_k >= 0, "0 (all tokens) or more"),
        ("min_p", sampling.min_p, 0 <= sampling.min_p <= 1, "between 0 and 1"),
        (
            "repetition_penalty",
            sampling.repetition_penalty,
            0 < sampling.repetition_penalty < math.inf,
            "above 0",
        ),
        ("seed", sampling.seed, sampling.seed >= 0, "0 or more"),
    ):
        if not good:
            raise RecipeError(f"{name} is {value}; expected {expected}")
