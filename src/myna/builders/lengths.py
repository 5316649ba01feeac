"""How many tokens a question with its answer takes: exactly, with a model's tokenizer, or by a safe estimate.

Texts go in, a number comes out. Builders that cut long texts ask here; they know no tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from myna.data.example import Example, Source

if TYPE_CHECKING:
    from myna.prompts.builder import PromptBuilder

ConversationTokens: TypeAlias = Callable[[str, str], int]
"""(user's message, assistant's answer) → tokens of the whole conversation, chat template and end token included."""

_TEMPLATE = 64
_PER_ASCII, _PER_OTHER = 0.6, 2.0


def estimated_tokens(prompt: str, answer: str) -> int:
    """Return more tokens than a usual tokenizer makes of this conversation.

    64 for the chat template, 0.6 for an ASCII character, 2 for any other. Of the five tokenizers the project is
    tested with, none makes more of 3,000 characters of Markdown, Chinese or English (Llama 2's is the one that needs
    most for Chinese, 1.3 a character, and a vocabulary of 6,400 for code, 0.56).
    """
    text = prompt + answer
    others = len(text) - len(text.encode("ascii", "ignore"))
    return _TEMPLATE + int(_PER_ASCII * (len(text) - others) + _PER_OTHER * others + 1)


def exact_tokens(builder: PromptBuilder) -> ConversationTokens:
    """Return the count of the very tokens that training will see with this model."""
    source = Source("", 1)

    def count(prompt: str, answer: str) -> int:
        messages = ({"role": "user", "content": prompt}, {"role": "assistant", "content": answer})
        example = Example("chat", source, messages=messages)
        return sum(len(sample) for sample in builder.samples(example, max_tokens=2**31 - 1).samples)

    return count
