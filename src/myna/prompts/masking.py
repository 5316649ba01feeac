"""Marked text → sample: which tokens there are, and which of them are learnt.

Knows the tokenizer only through its control tokens; knows no templates and no examples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from myna.data.example import Source
from myna.prompts.controls import ControlTokens
from myna.prompts.formats import Answer, Rendered
from myna.prompts.sample import Sample


class Masking:
    """Makes samples of marked texts."""

    def __init__(self, controls: ControlTokens, *, begin: int | None, end_tokens: frozenset[int]) -> None:
        """`begin`: the id that goes before a text that begins without its own, None for no such token."""
        self._controls = controls
        self._begin = [] if begin is None else [begin]
        self._end_tokens = end_tokens

    def encode(self, marked: str, prompts: Sequence[int], *, begins: bool) -> tuple[list[int], list[int]]:
        """Return the tokens of a marked text, and how many of them stand before each of `prompts`."""
        begin = self._begin if begins else []
        tokens, lengths = self._controls.encode_at(marked, prompts)
        return begin + tokens, [len(begin) + length for length in lengths]

    def sample(self, rendered: Rendered, source: Source) -> Sample:
        """Return the sample; every answer is learnt with its end token, nothing after it."""
        tokens, lengths = self.encode(rendered.text, rendered.prompts, begins=rendered.begins)
        trained = np.full(len(tokens), rendered.answers is None)
        starts = dict(zip(rendered.prompts, lengths, strict=True))
        for answer in rendered.answers or ():
            start = starts[answer.start]
            trained[start : self._stop(rendered, answer, tokens, start)] = True
        for answer in rendered.unlearnt:
            start = starts[answer.start]
            trained[start : self._stop(rendered, answer, tokens, start)] = False
        trained[:1] = False
        return Sample(np.array(tokens, np.int32), trained, source)

    def _stop(self, rendered: Rendered, answer: Answer, tokens: list[int], start: int) -> int:
        """Return where the answer's tokens stop. Data holds no control tokens, so the first end token is its."""
        if answer.ended:
            return next(place for place in range(start, len(tokens)) if tokens[place] in self._end_tokens) + 1
        earlier = [prompt for prompt in rendered.prompts if prompt <= answer.start]
        alone, _ = self.encode(rendered.text[: answer.stop], earlier, begins=rendered.begins)
        return next(
            (place for place, pair in enumerate(zip(alone, tokens, strict=False)) if pair[0] != pair[1]), len(alone)
        )


def windows(sample: Sample, max_tokens: int) -> tuple[Sample, ...]:
    """Split a sample into windows of at most `max_tokens`; every trained token is trained in just one of them.

    Each window begins with the last token of the one before, which predicts its first new one.
    """
    starts = range(0, len(sample) - 1, max_tokens - 1)
    return tuple(_window(sample, start, start + max_tokens) for start in starts)


def _window(sample: Sample, start: int, stop: int) -> Sample:
    trained = sample.trained[start:stop].copy()
    trained[0] = False
    return Sample(sample.tokens[start:stop], trained, sample.source)
