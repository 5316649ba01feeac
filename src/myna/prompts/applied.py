"""Texts to which the model's own chat template has been applied already: `<|im_start|>user\\nHello<|im_end|>\\n…`.

How the template sets turns apart is learnt by rendering a small conversation. A text goes in; its turns come out when
the whole text consists of such turns, None when it does not: only then are its control tokens meant as such. Knows no
tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from myna.data.example import Message
from myna.errors import PromptError
from myna.prompts.controls import any_of
from myna.prompts.formats import Format

_SYSTEM, _QUESTIONS, _ANSWERS = "myna-s", ("myna-q1", "myna-q2"), ("myna-a1", "myna-a2")


@dataclass(frozen=True, slots=True)
class Span:
    """A message in a text: characters `start … stop-1` are its content."""

    role: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Turns:
    """A text that consists of turns. When `open`, the last one is an answer that is still to be given."""

    text: str
    spans: tuple[Span, ...]
    open: bool

    def messages(self) -> tuple[Message, ...]:
        """Return what was said; the answer that is still to be given is none."""
        said = self.spans[:-1] if self.open else self.spans
        return tuple({"role": span.role, "content": self.text[span.start : span.stop].strip()} for span in said)


@dataclass(frozen=True, slots=True)
class _Marker:
    """What stands between two messages. White space after it belongs to it where it is there."""

    core: str
    after: str

    @classmethod
    def of(cls, text: str) -> _Marker:
        stripped = text.rstrip()
        return cls(stripped.lstrip(), text[len(stripped) :])

    def begins(self, text: str, begin: str) -> int | None:
        """Return where what follows the marker begins when `text` begins with it, after the beginning token or not."""
        start = len(text) - len(text.lstrip())
        places = [(start, self.core)]
        if begin and text.startswith(begin, start):
            rest = text[start + len(begin) :]
            places.append((len(text) - len(rest.lstrip()), self.core))
        if begin and _is_mark(rest := self.core.removeprefix(begin).lstrip()):
            places.append((start, rest))
        found = next(((place, core) for place, core in places if text.startswith(core, place)), None)
        return None if found is None else self._end(text, found[0] + len(found[1]))

    def find(self, text: str, start: int) -> tuple[int, int] | None:
        """Return where the marker begins and ends from `start` on."""
        place = text.find(self.core, start)
        return None if place < 0 else (place, self._end(text, place + len(self.core)))

    def _end(self, text: str, end: int) -> int:
        return end + len(self.after) if text.startswith(self.after, end) else end


def _is_mark(core: str) -> bool:
    """Tell whether this is no mere word: `[INST]`, `<|user|>`."""
    return "INST]" in core or core.startswith("<")


class AppliedTemplate:
    """Finds the turns of one chat template in texts."""

    def __init__(
        self, format_: Format, *, begin: str | None, control_tokens: Iterable[str], end_tokens: Iterable[str]
    ) -> None:
        """`begin`: the beginning token. `end_tokens`: those of the control tokens that end an answer."""
        self._controls = any_of(control_tokens)
        self._ends = any_of(end_tokens)
        self._begin = begin or ""
        self._marks = _marks(format_)
        if self._marks is not None and not self._is_unmistakable(self._marks):
            self._marks = None

    def turns(self, text: str) -> Turns | None:
        """Return the turns of a text whose beginning token and last end token are taken off."""
        if self._marks is None or self._marks.answer.core not in text:
            return None
        spans: list[Span] = []
        place = self._marks.question.begins(text, self._begin)
        if place is None:
            if self._marks.systems is None or (place := self._marks.systems[0].begins(text, self._begin)) is None:
                return None
            found = self._marks.systems[1].find(text, place)
            if found is None:
                return None
            spans.append(Span("system", place, found[0]))
            place = found[1]
        while (found := self._marks.answer.find(text, place)) is not None:
            spans.append(Span("user", place, found[0]))
            after, place = self._marks.next_question.find(text, found[1]), found[1]
            spans.append(Span("assistant", place, len(text) if after is None else after[0]))
            if after is None:
                return self._checked(Turns(text, tuple(spans), open=not text[place:].strip()))
            place = after[1]
        return None

    def asked(self, prompt: str) -> tuple[Message, ...] | None:
        """Return the messages of a prompt that ends where the model is to answer."""
        turns = self.turns(prompt)
        if (
            turns is None
            and self._marks is not None
            and (end := self._ends.search(self._marks.answer.core)) is not None
        ):
            # without the words that ask for an answer
            asked = self._marks.answer.core[: end.end()]
            if prompt.rstrip().endswith(asked):
                whole = prompt.rstrip().removesuffix(asked) + self._marks.answer.core
                turns = self.turns(whole)
        return turns.messages() if turns is not None and turns.open else None

    def answered(self, prompt: str, completion: str) -> tuple[Message, ...] | None:
        """Return the messages of a prompt with its completion, of which only the last answer is learnt."""
        turns = self.turns(prompt + self.without_end(completion))
        if turns is None or turns.open or turns.spans[-1].start < len(prompt.rstrip()):
            return None
        *before, last = turns.messages()
        return *({**each, "weight": 0} if each["role"] == "assistant" else each for each in before), last

    def without_end(self, text: str) -> str:
        """Return a text without the end token at its end."""
        stripped = text.rstrip()
        end = next((found for found in self._ends.finditer(stripped) if found.end() == len(stripped)), None)
        return text if end is None else stripped[: end.start()]

    @property
    def end(self) -> str:
        """The end token that the template writes after an answer, empty where it has no turns of its own."""
        found = None if self._marks is None else self._ends.match(self._marks.next_question.core)
        return found[0] if found else ""

    def _is_unmistakable(self, marks: _Marks) -> bool:
        """Whether control tokens begin the turns and an end token ends the answers; words alone may be anybody's."""
        cores = (marks.question.core, marks.answer.core)
        return bool(self.end) and all(self._controls.search(core) or "INST]" in core for core in cores)

    def _checked(self, turns: Turns) -> Turns | None:
        """Return turns whose contents hold no control tokens, which would have been turns of another kind."""
        contents = (turns.text[span.start : span.stop] for span in turns.spans)
        return None if any(self._controls.search(content) for content in contents) else turns


@dataclass(frozen=True, slots=True)
class _Marks:
    """What stands before a first question, an answer and a further question; and before and after a system message."""

    question: _Marker
    answer: _Marker
    next_question: _Marker
    systems: tuple[_Marker, _Marker] | None


def _marks(format_: Format) -> _Marks | None:
    """Return how a template sets turns apart, None where it has no such marks."""
    said = [
        {"role": "user", "content": _QUESTIONS[0]},
        {"role": "assistant", "content": _ANSWERS[0]},
        {"role": "user", "content": _QUESTIONS[1]},
        {"role": "assistant", "content": _ANSWERS[1]},
    ]
    parts = _between(format_, said)
    if parts is None:
        return None
    _, answer, next_question, last_answer, tail = parts
    # The last answer may be asked for in more words, such as an empty thought.
    answer = _same_beginning(answer, last_answer)
    question = next_question[len(_same_beginning(next_question, tail)) :]
    if not question.strip() or not answer.strip():
        return None
    with_system = _between(format_, [{"role": "system", "content": _SYSTEM}, *said[:2]])
    system, after_system = ("", "") if with_system is None else with_system[:2]
    systems = (_Marker.of(system), _Marker.of(after_system)) if system.strip() and after_system.strip() else None
    return _Marks(_Marker.of(question), _Marker.of(answer), _Marker.of(next_question), systems)


def _same_beginning(first: str, second: str) -> str:
    length = next((place for place, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), None)
    return min(first, second, key=len) if length is None else first[:length]


def _between(format_: Format, messages: Sequence[Message]) -> list[str] | None:
    """Return what a template writes before, between and after the contents of messages, None where it doesn't."""
    try:
        text = format_.render(messages, None, ask=False)
    except PromptError:
        return None
    parts = []
    for message in messages:
        before, content, text = text.partition(message["content"])
        if not content:
            return None
        parts.append(before)
    return [*parts, text]
