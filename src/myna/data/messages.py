"""Messages as people's files and APIs have them → messages as chat templates take them. The one place for it.

    content: [{"type": "text", "text": "a"}]      → content: "a"
    tool_calls: [{"name": …, "arguments": "{…}"}] → tool_calls: [{"type": "function", "function": {…: {…}}}]
    function_call, role "function" (OpenAI, 2023) → tool_calls, role "tool"
    {"from": "human", "value": "a"} (ShareGPT)    → {"role": "user", "content": "a"}
    weight: 1 → nothing; weight: 0 stays, and says that an answer is not learnt (OpenAI's fine-tuning files)

What is normal already comes out as it is, so that this may be done to messages twice. Knows no files and no template.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from myna.data.example import Message
from myna.errors import did_you_mean

MAX_DEPTH = 64
"""Levels of lists and objects within each other; what goes through an example is recursive."""

_SHAREGPT_ROLES = {
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bot", "model", "function_call"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function_response", "function"), "tool"),
    "system": "system",
}
"""The roles of FastChat's and LLaMA-Factory's files (llamafactory.readthedocs.io, data preparation)."""
_TEXT_PARTS = ("text", "input_text", "output_text")


class RecordError(Exception):
    """What is wrong with a record, before it is known where it stands."""


def read_messages(value: Any, key: str) -> tuple[Message, ...]:
    """Return the conversation under `key` of a record. Raises `RecordError` for what can't be learnt from."""
    if not isinstance(value, list | tuple):
        raise RecordError(f'"{key}" must be a list of messages, found {kind_of(value)}')
    if not value:
        raise RecordError(f'"{key}" is empty: expected at least a user and an assistant message')
    messages = normal_messages(value, f'"{key}"')
    roles = [message["role"] for message in messages]
    if "assistant" not in roles:
        raise RecordError(
            f'"{key}" has no assistant message to learn (roles found: {", ".join(dict.fromkeys(roles))[:200]}); '
            "roles are system, user, assistant, tool"
        )
    if roles[0] == "assistant":
        raise RecordError(f'"{key}" begins with the assistant, who has nothing to answer yet; put a user message first')
    if not any(is_learnt(message) for message in messages):
        raise RecordError(f'"{key}" has "weight": 0 in every assistant message: there is nothing to learn')
    return messages


def normal_messages(messages: Sequence[Any], name: str = "the conversation") -> tuple[Message, ...]:
    """Return messages in the form that chat templates are written for; `name` is what messages call them.

    Raises `RecordError`, which names the message by its number, for what is no text and no call of a tool.
    """
    normal = []
    for number, message in enumerate(messages, start=1):
        try:
            normal.append(_normal(message))
        except RecordError as error:
            raise RecordError(f"message {number} of {name} {error}") from error
    return tuple(normal)


def is_learnt(message: Message) -> bool:
    """Tell whether a message is an answer that is to be learnt."""
    return message["role"] == "assistant" and message.get("weight") != 0


def without_nulls(value: Any) -> Any:
    """Take out the nulls with which Arrow fills the keys that a message or a tool does not have."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value]
    return value


def read_json(text: str) -> Any:
    """Return the value of a JSON text. Raises `RecordError` when it is none or nested too deeply."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise RecordError(_too_deep()) from error
    except ValueError as error:
        raise RecordError(f"no JSON: {error}") from error
    # A text of few brackets can't be deep, and nearly all have few.
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise RecordError(_too_deep())
    return value


def kind_of(value: Any) -> str:
    """Return what a JSON value is, for messages: `a list`, `the number 3`."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), f"the number {value}"[:60])


def _too_deep() -> str:
    return f"lists and objects are nested deeper than {MAX_DEPTH} levels"


def _depth(value: Any) -> int:
    """Return how deep a value is nested, without recursion: 0 for a single value."""
    deepest, waiting = 0, [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        deepest = max(deepest, depth)
        inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting.extend((each, depth + 1) for each in inner)
    return deepest


def _normal(message: Any) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise RecordError(f'must be an object {{"role": …, "content": …}}, found {kind_of(message)}')
    normal = {key: value for key, value in message.items() if value is not None}
    if "role" not in normal and {"from", "value"} <= normal.keys():
        normal = _from_sharegpt(normal)
    if not isinstance(normal.get("role"), str):
        raise RecordError(f'needs a "role" that is a string (keys found: {_listed(message)})')
    if normal["role"] == "function":
        normal["role"] = "tool"
    if normal["role"] == "assistant":
        _make_tool_calls(normal)
    elif (calls := normal.get("tool_calls")) and not _is_list_of_objects(calls):
        raise RecordError(f'has "tool_calls" that must be a list of objects, found {kind_of(calls)}')
    _check_weight(normal)
    normal["content"] = _content(message, normal)
    return normal


def _from_sharegpt(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message of a ShareGPT file; a `function_call` has its call as JSON."""
    said, value = message["from"], message["value"]
    role = _SHAREGPT_ROLES.get(str(said).strip().casefold())
    if role is None:
        raise RecordError(
            f'is "from" {str(said)[:60]!r}{did_you_mean(str(said)[:60], _SHAREGPT_ROLES)}; expected one of '
            f"{', '.join(_SHAREGPT_ROLES)}"
        )
    rest = {key: item for key, item in message.items() if key not in ("from", "value")}
    if said != "function_call":
        return {"role": role, "content": value, **rest}
    try:
        calls = read_json(value) if isinstance(value, str) else value
    except RecordError as error:
        raise RecordError(f"has a function call that is {error}") from error
    return {"role": role, "tool_calls": calls if isinstance(calls, list) else [calls], **rest}


def _make_tool_calls(message: dict[str, Any]) -> None:
    """Give an answer's calls the form `{"type": "function", "function": {"name": …, "arguments": {…}}}`."""
    if (call := message.pop("function_call", None)) and not message.get("tool_calls"):
        message["tool_calls"] = [call]
    calls = message.get("tool_calls")
    if not calls:
        message.pop("tool_calls", None)
        return
    if not _is_list_of_objects(calls):
        raise RecordError(f'has "tool_calls" that must be a list of objects, found {kind_of(calls)}')
    message["tool_calls"] = [_tool_call(call) for call in calls]


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function", call)
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str) or not function["name"]:
        raise RecordError(f'has a tool call without the "name" of its function (keys found: {_listed(call)})')
    if "function" in call:
        outer = {key: value for key, value in call.items() if value is not None}
    else:  # as flat as Hermes and LLaMA-Factory write it
        outer = {key: call[key] for key in ("id", "type") if call.get(key) is not None}
        function = {key: value for key, value in call.items() if key not in ("id", "type")}
    arguments = _arguments(function.get("arguments"), function["name"])
    return {"type": "function", **outer, "function": {**function, "arguments": arguments}}


def _arguments(arguments: Any, name: str) -> dict[str, Any]:
    """Return a call's arguments as an object; OpenAI's form has them as JSON in a string."""
    if isinstance(arguments, str) and arguments.strip():
        try:
            arguments = read_json(arguments)
        except RecordError as error:
            raise RecordError(f'has a call of {name[:60]!r} whose "arguments" are {error}') from error
    if arguments in (None, "") or (isinstance(arguments, str) and not arguments.strip()):
        return {}
    if not isinstance(arguments, Mapping):
        raise RecordError(
            f'has a call of {name[:60]!r} whose "arguments" must be an object, or JSON of one, found '
            f"{kind_of(arguments)}"
        )
    return dict(arguments)


def _check_weight(message: dict[str, Any]) -> None:
    if "weight" not in message:
        return
    weight = message["weight"]
    if isinstance(weight, bool) or weight not in (0, 1):
        raise RecordError(f'has a "weight" of {str(weight)[:40]}, expected 0 (not learnt) or 1')
    if weight == 0 and message["role"] == "assistant":
        message["weight"] = 0
    else:
        del message["weight"]


def _content(message: Mapping[str, Any], normal: Mapping[str, Any]) -> str:
    content, role = normal.get("content"), normal["role"]
    if content is None:
        if normal.get("tool_calls"):
            return ""
        raise RecordError(f'has no "content" (keys found: {_listed(message)})')
    if isinstance(content, list | tuple):
        content = "".join(map(_part, content))
    elif not isinstance(content, str):
        raise RecordError(f'has a "content" that must be a string, found {kind_of(content)}')
    if role == "assistant" and not content.strip() and not normal.get("tool_calls") and is_learnt(normal):
        raise RecordError("is an empty answer of the assistant: there is nothing to learn")
    return content


def _part(part: Any) -> str:
    if not isinstance(part, Mapping):
        raise RecordError('has a "content" list whose parts must be objects such as {"type": "text", "text": …}')
    kind, text = part.get("type", "text"), part.get("text")
    if kind not in _TEXT_PARTS:
        raise RecordError(f'has a part of type {str(kind)[:40]!r} in its "content"; only text can be learnt and asked')
    if not isinstance(text, str):
        raise RecordError(f'has a part of type {kind!r} whose "text" must be a string, found {kind_of(text)}')
    return text


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, Mapping) for each in value)


def _listed(keys: Mapping[str, Any]) -> str:
    return ", ".join(map(str, keys))[:200]
