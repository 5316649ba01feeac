"""An example as question and answer, and the numbers by which equal ones are found without keeping their texts.

An `Example` goes in; its prompt, answer and 64-bit keys come out. "Equal" overlooks white space, letter case and
Unicode normalisation, because a copy that differs in these alone teaches nothing new. Knows no tokenizer.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myna.data.example import Example, Message
from myna.text2sql.facts import SqlFacts

_ANSWER_MARK = re.compile(r"\[/INST\]|\n(?:A|Answer|SQL|答|答案)[:：]")
"""What stands before the answer in ready-made texts: turns of Llama and Mistral, the `Q: … A: …` of mlx-examples."""
_END_MARKS = re.compile(
    r"(?:</s>|<\|(?:im_end|endoftext|end_of_text|eot_id|end|eos)\|>|<end_of_turn>|<eos>|<｜end▁of▁sentence｜>)\s*\Z"
)
_BEGIN_MARKS = re.compile(r"\s*(?:<s>|<\|begin_of_text\|>|<bos>|<｜begin▁of▁sentence｜>)\s*")


@dataclass(frozen=True, slots=True)
class Content:
    """What is asked and what is to be answered. `prompt` is empty where an example is one text without a question."""

    prompt: str
    answer: str


def content_of(example: Example, facts: SqlFacts | None = None) -> Content:
    """Return the last question of an example, with all that stands before it, and its answer.

    A ready-made text is parted where its gold SQL begins or where a usual mark of an answer stands.
    """
    if example.kind == "text":
        return _parted(example.text, facts)
    last = max(index for index, message in enumerate(example.messages) if message["role"] == "assistant")
    turns = [_turn(message) for message in example.messages[:last]]
    if example.tools:
        turns.insert(0, json.dumps(example.tools, ensure_ascii=False))
    return Content("\n".join(turns), text_of(example.messages[last]))


def texts_of(example: Example) -> Iterator[str]:
    """Yield every text of an example that a model would read or learn."""
    if example.kind == "text":
        yield example.text
    for message in example.messages:
        yield text_of(message)
    if example.tools:
        yield json.dumps(example.tools, ensure_ascii=False)


def text_of(message: Message) -> str:
    """Return a message's words: its content, the texts of its parts, its tool calls as JSON."""
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = "\n".join(str(part.get("text", "")) for part in content)
    calls = message.get("tool_calls")
    return f"{content}{json.dumps(calls, ensure_ascii=False)}" if calls else content


def ends_marked(text: str) -> bool:
    """Tell whether a ready-made text ends with one of the usual end tokens."""
    return _END_MARKS.search(text, max(0, len(text) - 64)) is not None


def inner_span(text: str) -> tuple[int, int]:
    """Return where a ready-made text begins and ends, without the control tokens around it."""
    begin = _BEGIN_MARKS.match(text)
    end = _END_MARKS.search(text, max(0, len(text) - 64))
    return begin.end() if begin else 0, end.start() if end else len(text)


def _turn(message: Message) -> str:
    words = text_of(message)
    return words if message["role"] == "user" else f"{message['role']}: {words}"


def _parted(text: str, facts: SqlFacts | None) -> Content:
    inner = text[slice(*inner_span(text))].rstrip()
    if facts is not None and inner.endswith(facts.gold):
        return Content(inner.removesuffix(facts.gold), facts.gold)
    marks = list(_ANSWER_MARK.finditer(inner))
    cut = marks[-1].end() if marks else 0
    if not inner[cut:].strip():
        cut = 0
    return Content(inner[:cut], inner[cut:])


def same(text: str) -> str:
    """Return what two texts have in common that differ only in white space, case and normalisation."""
    return " ".join(
        text.casefold().split() if text.isascii() else unicodedata.normalize("NFC", text).casefold().split()
    )


def key(*texts: str) -> int:
    """Return a 64-bit number for texts; never 0, which stands for none."""
    digest = hashlib.blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def _empty() -> array[int]:
    return array("Q")


@dataclass(slots=True)
class Keys:
    """The keys of one split's examples, 32 bytes each, in their order."""

    _examples: array[int] = field(default_factory=_empty)
    _prompts: array[int] = field(default_factory=_empty)
    _answers: array[int] = field(default_factory=_empty)
    _queries: array[int] = field(default_factory=_empty)

    def add(self, content: Content, facts: SqlFacts | None) -> None:
        """Add the next example's."""
        prompt, answer = same(content.prompt), same(content.answer).rstrip("; ")
        self._examples.append(key(prompt, answer))
        self._prompts.append(key(prompt) if prompt else 0)
        self._answers.append(key(answer))
        self._queries.append(key(facts.database, same(facts.gold)) if facts else 0)

    @property
    def examples(self) -> NDArray[np.uint64]:
        """Of prompt and answer, uint64 `[examples]`."""
        return _view(self._examples)

    @property
    def prompts(self) -> NDArray[np.uint64]:
        """Of the prompt, 0 where there is none, uint64 `[examples]`."""
        return _view(self._prompts)

    @property
    def answers(self) -> NDArray[np.uint64]:
        """Of the answer, uint64 `[examples]`."""
        return _view(self._answers)

    @property
    def queries(self) -> NDArray[np.uint64]:
        """Of database and gold SQL, 0 without SQL facts, uint64 `[examples]`."""
        return _view(self._queries)


def _view(values: array[Any]) -> NDArray[np.uint64]:
    return np.frombuffer(values, np.uint64) if values else np.zeros(0, np.uint64)
