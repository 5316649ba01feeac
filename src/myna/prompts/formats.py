"""How a conversation is written as one text: by the tokenizer's own chat template, or plainly where there is none.

Messages whose strings are marked as data (see `controls`) go in; marked text comes out, with the places where the
model is asked and where its answers end. Knows nothing of tokens, lengths or files.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from myna.data.example import Message
from myna.errors import PromptError
from myna.prompts.controls import any_of
from myna.prompts.refusals import advice
from myna.prompts.templates import TemplateError, TemplateLimitError, TemplateRenderer

_PROBE = "myna-probe"
_LONGEST_REASON = 500
"""Characters of a template's own words in an error."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one assistant turn teaches: characters `start … stop-1`. `ended`: its last ones are an end token."""

    start: int
    stop: int
    ended: bool


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation or text as marked text.

    begins: the tokenizer's beginning token goes before it; a template writes its own. prompts: where the model is
        asked, as numbers of characters, ascending; the tokens up to there are those that it sees at inference.
        answers: what is learnt; None learns everything but the `unlearnt` answers. notices: for a person.
    """

    text: str
    begins: bool
    prompts: tuple[int, ...] = ()
    answers: tuple[Answer, ...] | None = None
    notices: tuple[str, ...] = ()
    unlearnt: tuple[Answer, ...] = ()


class Format(Protocol):
    """A way to write messages as one marked text. `begins`: the beginning token is not in it, but goes before."""

    begins: bool

    def render(self, messages: Sequence[Message], tools: Sequence[Any] | None, *, ask: bool) -> str:
        """Return the marked text; with `ask` up to where the model's next answer begins."""


class ChatTemplate:
    """The tokenizer's own chat template, rendered as transformers' `apply_chat_template` does, but under limits."""

    begins = False

    def __init__(self, tokenizer: Any, day: date) -> None:
        """`day`: what the template is told when it asks for today's date."""
        self._renderer = TemplateRenderer(tokenizer, day)

    def render(self, messages: Sequence[Message], tools: Sequence[Any] | None, *, ask: bool) -> str:
        """Return the template's text. Raises `PromptError` with the template's own reason when it refuses."""
        try:
            return self._renderer.render(messages, list(tools) if tools else None, ask=ask)
        except TemplateError:
            raise
        except Exception as error:  # a template is a program: what it can't handle ends in any exception
            roles = ", ".join(str(message.get("role")) for message in messages)
            steps = advice(messages)
            raise PromptError(
                f"the model's chat template refuses this conversation: {_short(str(error))} (roles: {_short(roles)})"
                f"{f'; {steps}' if steps else ''}"
            ) from error

    def end_token(self, control_tokens: Iterable[str]) -> str | None:
        """Return the control token with which the template ends an answer, None when it has none."""
        question, answer = {"role": "user", "content": "a"}, {"role": "assistant", "content": _PROBE}
        try:
            text = self.render([question, answer], None, ask=False)
        except TemplateLimitError:  # it would do so with every conversation
            raise
        except PromptError:
            return None
        found = any_of(control_tokens).search(text, text.rfind(_PROBE) + len(_PROBE))
        return found[0] if found else None

    def takes_tools(self) -> bool:
        """Tell whether the template writes down the tools it is given."""
        function = {"name": _PROBE, "description": "a", "parameters": {"type": "object", "properties": {}}}
        tools = [{"type": "function", "function": function}]
        try:
            return _PROBE in self.render([{"role": "user", "content": "a"}], tools, ask=True)
        except PromptError:
            return False


class PlainFormat:
    """The format for a tokenizer without chat template: the messages' texts and nothing around them.

    An answer follows its question and ends with the end token; other messages are set apart by an empty line. So
    a lone question is asked as it stands. Spaces at the end of a question belong to the answer: a model that is
    asked `A:` goes on with ` SELECT`, its natural token, while after `A: ` there is no natural next token.
    """

    begins = True

    def __init__(self, end: str, *, space_before_answers: bool) -> None:
        """`space_before_answers`: an answer that would stick to its question gets a space (chats), or is taken
        as it is (prompt and completion)."""
        self._end = end
        self._space = space_before_answers

    def render(self, messages: Sequence[Message], tools: Sequence[Any] | None, *, ask: bool) -> str:
        """Return the plain text. Raises `PromptError` for what only a chat template can express."""
        if tools:
            raise PromptError("the model has no chat template, which tools need; leave them out or use a chat model")
        text, after_answer = "", True
        for message in messages:
            content = _plain_content(message)
            if message["role"] == "assistant":
                glued = self._space and not (text[-1:].isspace() or content[:1].isspace())
                text += f"{' ' if glued else ''}{content}{self._end}"
            else:
                text += content if after_answer else f"\n\n{content}"
            after_answer = message["role"] == "assistant"
        return text.rstrip(" ") if ask else text


def prompt_ends(format_: Format, text: str, messages: Sequence[Message], tools: Sequence[Any] | None) -> list[int]:
    """Return where in `text`, a rendering that begins with `messages`, each of its answers was asked for.

    Places where the template writes the past otherwise than it asked for it are left out.
    """
    asked = [
        format_.render(messages[:index], tools, ask=True)
        for index, message in enumerate(messages)
        if message["role"] == "assistant" and index > 0
    ]
    return [len(prompt) for prompt in asked if text.startswith(prompt)]


def render_conversation(
    format_: Format,
    messages: Sequence[Message],
    tools: Sequence[Any] | None,
    *,
    end: str,
    end_tokens: Iterable[str],
    masked: bool,
    unlearnt: Collection[int] = (),
) -> list[Rendered]:
    """Return the conversation as one marked text with its answers; its last answer ends with an end token.

    A template that writes past answers otherwise than it asked for them (Qwen3 leaves their thinking out) gives
    one text for each answer instead, which ends there; else the model would learn what it is never asked. Not so
    when nothing is masked: the whole is learnt then. `end` is added where the template ends the last answer with
    none of `end_tokens`. `unlearnt`: indices of messages that are answers and not to be learnt. Raises `PromptError`
    when the template asks for an answer in words that it doesn't write into the conversation itself.
    """
    turns = [i for i, message in enumerate(messages) if message["role"] == "assistant" and i not in unlearnt]
    ends = any_of(end_tokens)
    texts, answers = [], []
    for index in turns:
        text, answer = _answer(format_, messages[: index + 1], tools, ends)
        if index == len(messages) - 1 and not answer.ended:
            text += end
            answer = Answer(answer.start, len(text), ended=True)
        _check_answer(messages[index], text[answer.start : answer.stop], ends)
        texts.append(text)
        answers.append(answer)
    whole = texts[-1] if turns[-1] == len(messages) - 1 else format_.render(messages, tools, ask=False)
    notices = _changed(messages, whole)
    if not masked:
        prompts = prompt_ends(format_, whole, messages, tools)
        left_out = [_answer(format_, messages[: i + 1], tools, ends) for i in sorted(unlearnt)]
        if not all(whole.startswith(text[: answer.stop]) for text, answer in left_out):
            raise PromptError(
                "the model's chat template rewrites past answers, so a weight of 0 is heeded only where answers alone "
                "are learnt; leave out --no-mask-prompt, or the weight"
            )
        return [
            Rendered(whole, format_.begins, tuple(prompts), notices=notices, unlearnt=tuple(a for _, a in left_out))
        ]
    if all(whole.startswith(text[: answer.stop]) for text, answer in zip(texts, answers, strict=True)):
        prompts = [answer.start for answer in answers]
        return [Rendered(whole, format_.begins, tuple(prompts), tuple(answers), notices)]
    notices += ("the chat template rewrites past answers: each answer is learnt in a sample of its own",)
    return [
        Rendered(
            text,
            format_.begins,
            tuple(prompt_ends(format_, text, messages[: index + 1], tools)),
            (answer,),
            notices,
        )
        for text, index, answer in zip(texts, turns, answers, strict=True)
    ]


def _answer(
    format_: Format, messages: Sequence[Message], tools: Sequence[Any] | None, ends: re.Pattern[str]
) -> tuple[str, Answer]:
    """Return a conversation up to the answer that is its last message, and where that stands in it."""
    text = format_.render(messages, tools, ask=False)
    prompt = format_.render(messages[:-1], tools, ask=True)
    _check_prompt(prompt, text)
    found = ends.search(text, len(prompt))
    return text, Answer(len(prompt), found.end() if found else len(text), ended=bool(found))


def _check_prompt(prompt: str, text: str) -> None:
    if text.startswith(prompt):
        return
    same = next((place for place, pair in enumerate(zip(prompt, text, strict=False)) if pair[0] != pair[1]), len(text))
    raise PromptError(
        f"the model's chat template asks for an answer with {prompt[same : same + 40]!r} but writes "
        f"{text[same : same + 40]!r} into a conversation, so a trained model would be asked otherwise than it "
        "learnt; mend chat_template.jinja in the model's folder so that both are the same"
    )


def _check_answer(message: Message, answer: str, ends: Any) -> None:
    if not ends.sub("", answer).strip():
        raise PromptError(
            f"the model's chat template leaves out the assistant's answer {str(message.get('content'))[:40]!r}; "
            "nothing would be learnt from it"
        )


def _changed(messages: Sequence[Message], text: str) -> tuple[str, ...]:
    """Name roles whose words the template drops or rewrites; a template does that without a word."""
    roles = dict.fromkeys(
        str(message["role"])
        for message in messages
        if message["role"] != "assistant" and _is_missing(message.get("content"), text)
    )
    return tuple(f"the chat template leaves out or rewrites {role} messages" for role in roles)


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:199]}…"


def _is_missing(content: Any, text: str) -> bool:
    return isinstance(content, str) and content.strip() not in text


def _plain_content(message: Message) -> str:
    content = message.get("content")
    if message.get("tool_calls"):
        raise PromptError("the model has no chat template, which tool calls need; use a chat model")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise PromptError("the model has no chat template, which messages that are not text need; use a chat model")
    return "".join(map(str, texts))
