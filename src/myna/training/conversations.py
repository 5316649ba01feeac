"""What the model answers to a few fixed validation prompts, before and after training.

In: a prepared run. Out: `Generated` events. Knows nothing of the loop.
"""

from __future__ import annotations

from collections.abc import Iterator
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


def answers(prepared: Prepared, iteration: int) -> Iterator[Generated]:
    """Yield the model's greedy answers (at most 64 tokens) to the first validation examples, or training
    ones.

    An example without a prompt that fits is passed over. Raises `ResourceError` when memory runs out.
    """
    model = LanguageModel(prepared.model, prepared.builder)
    split = prepared.folder.valid if prepared.valid is not None else None
    split = prepared.folder.train if split is None else split
    asked = 0
    for example in islice(split, _LOOKED_AT):
        prompt, expected = _prompt(example)
        try:
            fits = (
                len(model.prompt_tokens(prompt, raw=example.kind == "text")) <= prepared.recipe.max_seq_length
            )
        except PromptError:
            continue
        if not fits:
            continue
        answer = model.generate(prompt, max_tokens=_MAX_TOKENS, raw=example.kind == "text")
        shown = prompt if isinstance(prompt, str) else str(prompt[-1].get("content") or "")
        yield Generated(iteration, shown, expected, answer.text)
        asked += 1
        if asked == _PROMPTS:
            return


def _prompt(example: Example) -> tuple[str | tuple[Message, ...], str]:
    """Split an example into what the model is given and what the data answers.

    A text is split before its last line, or in its middle when it has one line.
    """
    if example.kind == "text":
        split = example.text.rstrip().rfind("\n") + 1 or len(example.text) // 2
        return example.text[:split], example.text[split:]
    answers = [i for i, message in enumerate(example.messages) if message.get("role") == "assistant"]
    last = answers[-1] if answers else 0
    return example.messages[:last], str(example.messages[last].get("content") or "")
