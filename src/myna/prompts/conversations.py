"""What a chat template makes of messages beyond their words: calls of tools, and fields it does not know.

Messages go in; those that suit the template come out, or what a person should know. Templates are programs that
nobody declares, so each question is put to the template itself, once, with a small conversation. Knows no tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from myna.data.example import Message
from myna.errors import PromptError
from myna.prompts.formats import Format

_PROBE = "myna-probe"
_SHORTEST = 3
"""Characters; shorter texts stand by chance in nearly every conversation."""


class TemplateHabits:
    """What one template does with the fields of messages."""

    def __init__(self, format_: Format) -> None:
        self._format = format_
        self._writes = cache(self._probe_field)
        self._takes_text = cache(self._probe_arguments)

    def suited(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """Return messages without what is not for the template, and with arguments as it takes them.

        Nearly all templates take the arguments of a call as an object; DeepSeek's take them as JSON in a string.
        """
        return tuple(self._suited(message) for message in messages)

    def left_out(self, messages: Sequence[Message], texts: Sequence[str]) -> Iterator[str]:
        """Yield a sentence for each kind of field that doesn't get into the rendered `texts`."""
        for message in messages:
            for field, value in message.items():
                if field in ("role", "content", "weight") or value in (None, "", [], {}):
                    continue
                if not self._reaches(str(message["role"]), field, value, texts):
                    yield f"the chat template leaves out the field {str(field)[:40]!r} of {message['role']} messages"

    def _suited(self, message: Message) -> Message:
        if "weight" in message:
            message = {field: value for field, value in message.items() if field != "weight"}
        calls = message.get("tool_calls")
        if not calls or not self._takes_text():
            return message
        return {**message, "tool_calls": [_with_arguments_as_text(call) for call in calls]}

    def _reaches(self, role: str, field: str, value: Any, texts: Sequence[str]) -> bool:
        if isinstance(value, str) and self._writes(role, field) is False:
            return False
        return all(_is_in(text, texts) for text in _texts_of(field, value))

    def _probe_field(self, role: str, field: str) -> bool | None:
        """Tell whether the template ever writes a text in this field, None when it refuses to say."""
        conversation: list[Message] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        if role in ("user", "assistant"):
            conversation = [{**each, field: _PROBE} if each["role"] == role else each for each in conversation]
        elif role == "tool":
            call = {"type": "function", "function": {"name": "f", "arguments": {}}}
            conversation = [
                conversation[0],
                *self.suited([{"role": "assistant", "content": "", "tool_calls": [call]}]),
                {"role": "tool", "content": "c", field: _PROBE},
                conversation[1],
            ]
        else:
            conversation.insert(0, {"role": role, "content": "c", field: _PROBE})
        try:
            return _PROBE in self._format.render(conversation, None, ask=False)
        except PromptError:
            return None

    def _probe_arguments(self) -> bool:
        """Tell whether the template refuses arguments that are an object and takes JSON."""

        def renders(arguments: Any) -> bool:
            call = {"type": "function", "id": "123456789", "function": {"name": "f", "arguments": arguments}}
            asked: Message = {"role": "user", "content": "a"}
            conversation = [asked, {"role": "assistant", "content": "", "tool_calls": [call]}]
            try:
                return _PROBE in self._format.render(conversation, None, ask=False)
            except PromptError:
                return False

        return not renders({_PROBE: "x"}) and renders(json.dumps({_PROBE: "x"}))


def _with_arguments_as_text(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        return dict(call)
    return {**call, "function": {**function, "arguments": json.dumps(arguments, ensure_ascii=False)}}


def _texts_of(field: str, value: Any) -> Iterator[str]:
    """Yield the texts and whole numbers in a field that should be found again in what a template wrote."""
    if field == "tool_calls":  # ids and types are for programs
        for call in value:
            function = call.get("function", {})
            yield from _leaves([function.get("name"), function.get("arguments")])
    else:
        yield from _leaves(value)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _leaves(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield str(value)


def _is_in(text: str, texts: Sequence[str]) -> bool:
    text = text.strip()
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    return len(text) < _SHORTEST or any(text in each or written in each for each in texts)
