"""What the model answers to a few fixed validation prompts, before and after training.

In: a prepared run. Out: `Generated` events. Knows nothing of the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from myna.data.example import Example, Message
from myna.errors import PromptError
from myna.generation import LanguageModel
from myna.training.events import Generated
from myna.training.preparation import Prepared

_PROMPTS = 3
_LOOKED_AT = 20
"""Examples among which those that fit into `max_seq_length` are looked for."""
_MAX_TOKENS = 64


def answers(prepared: Prepared, iteration: int) -> list[Generated]:
    """Return the model's greedy answers (at most 64 tokens) to the first validation examples, or training
    ones.

    An example without a prompt that fits is passed over. Raises `ResourceError` when memory runs out.
    """
    model = LanguageModel(prepared.model, prepared.builder)
    examples = prepared.folder.valid or prepared.folder.train
    raw = examples[0].kind == "text"
    chosen: list[tuple[str | Sequence[Message], str]] = []
    for example in islice(examples, _LOOKED_AT):
        prompt, expected = split_answer(example)
        try:
            tokens = len(model.prompt_tokens(prompt, raw=raw))
        except PromptError:
            continue
        if tokens <= prepared.recipe.max_seq_length and (example.kind == "text") == raw:
            chosen.append((prompt, expected))
        if len(chosen) == _PROMPTS:
            break
    generated = model.generate_many([prompt for prompt, _ in chosen], max_tokens=_MAX_TOKENS, raw=raw)
    return [
        Generated(iteration, _shown(prompt), expected, answer.text)
        for (prompt, expected), answer in zip(chosen, generated, strict=True)
    ]


def split_answer(example: Example) -> tuple[str | Sequence[Message], str]:
    """Split an example into what the model is given and what the data answers.

    A text is split before its last line, or in its middle when it has one line.
    """
    if example.kind == "text":
        split = example.text.rstrip().rfind("\n") + 1 or len(example.text) // 2
        return example.text[:split], example.text[split:]
    learnt = [i for i, message in enumerate(example.messages) if message.get("role") == "assistant"]
    last = learnt[-1] if learnt else 0
    return example.messages[:last], str(example.messages[last].get("content") or "")


def _shown(prompt: str | Sequence[Message]) -> str:
    return prompt if isinstance(prompt, str) else str(prompt[-1].get("content") or "")
