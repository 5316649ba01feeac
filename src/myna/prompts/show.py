"""One sample, token by token, with what is learnt: the table that `myna data show` prints."""

from __future__ import annotations

from dataclasses import dataclass

from myna.prompts.builder import PromptBuilder
from myna.prompts.sample import Sample


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One token of a sample.

    text: its characters, or the tokenizer's own name for it when it is part of a character. trained: the model
    learns to predict it. control: it is a control token and not text that looks like one.
    """

    index: int
    id: int
    text: str
    trained: bool
    control: bool


def show_sample(sample: Sample, builder: PromptBuilder) -> list[TokenRow]:
    """Return one row for each token of `sample`, in order."""
    return [
        TokenRow(index, int(token), builder.token_text(int(token)), bool(trained), builder.is_control(int(token)))
        for index, (token, trained) in enumerate(zip(sample.tokens, sample.trained, strict=True))
    ]
