"""One line of a data file → one example: mlx_lm's three formats, with every way a line can be wrong named.

Bytes of one line go in; an `Example` or a `DataError` with file, line, cause and next step comes out. When a
line has several formats, mlx_lm's order decides: completion, chat, text. Knows no files and no tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

from myna.data.example import Example, Message, Source
from myna.errors import DataError, did_you_mean, listing

USUAL_NAMES = {
    "prompt": ("question", "instruction", "query", "input", "problem", "user"),
    "completion": ("sql", "answer", "response", "output", "target", "solution", "assistant"),
    "messages": ("conversations", "conversation", "dialog", "dialogue", "chat"),
    "text": ("content", "body", "document"),
}
"""What other people's files call these keys: for the suggestion in an error, and for builders that find columns."""

_LOOKED_AT = 50
"""Keys of a record that are looked at for a misspelling."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Which keys of a line hold what. The defaults are mlx_lm's."""

    text: str = "text"
    prompt: str = "prompt"
    completion: str = "completion"
    messages: str = "messages"


def read_line(content: bytes, keys: Keys, source: Source) -> Example:
    """Return the example in one line of a JSONL file; raise `DataError` when there is none."""
    try:
        return _example(read_record(content), keys, source)
    except RecordError as error:
        raise DataError(f"{source}: {error}") from error


class RecordError(Exception):
    """What is wrong with a record, before it is known where it stands."""


def read_record(content: bytes) -> dict[str, Any]:
    """Return the JSON object in one line of a file. Raises `RecordError` when there is none."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(
            f"not UTF-8 (byte 0x{content[error.start]:02x} at position {error.start + 1} of the line)"
            f"{_other_encoding(content)}"
        ) from error
    try:
        record = json.loads(text)
        if "\\u" in text:
            json.dumps(record, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        hint = "; JSONL has each object on one line" if text in ("{", "[") else ""
        raise RecordError(f"not JSON: {error.msg} at column {error.colno}{hint}") from error
    except UnicodeEncodeError as error:
        raise RecordError(
            "holds half of a surrogate pair (a \\ud8xx escape without its partner), which is no character"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON that can be read: {error}") from error
    if not isinstance(record, dict):
        raise RecordError(f"expected a JSON object, found {_kind(record)}")
    return record


def _other_encoding(content: bytes) -> str:
    """Name the encoding when it is the one that Chinese editors leave behind."""
    try:
        content.decode("gb18030")
    except UnicodeDecodeError:
        return "; save the file as UTF-8"
    return "; it may be GBK/GB18030: iconv -f GB18030 -t UTF-8 old > new"


def _example(record: Mapping[str, Any], keys: Keys, source: Source) -> Example:
    # A string under "sql" is somebody's own column; only the mapping that scoring knows is kept.
    sql = record["sql"] if isinstance(record.get("sql"), Mapping) else None
    tools = _tools(record)
    if keys.prompt in record and keys.completion in record:
        prompt, completion = _text(record, keys.prompt, empty=True), _text(record, keys.completion)
        messages: tuple[Message, ...] = (
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": completion},
        )
        return Example("completion", source, messages=messages, tools=tools, sql=sql)
    if keys.messages in record:
        return Example("chat", source, messages=_messages(record[keys.messages], keys.messages), tools=tools, sql=sql)
    if keys.text in record:
        return Example("text", source, text=_text(record, keys.text), sql=sql)
    raise RecordError(_missing(record, keys))


def _names(keys: Keys) -> set[str]:
    return {getattr(keys, field.name) for field in fields(keys)}


def _text(record: Mapping[str, Any], key: str, *, empty: bool = False) -> str:
    value = record[key]
    if not isinstance(value, str):
        hint = '; conversations go under "messages"' if isinstance(value, list) else ""
        raise RecordError(f'"{key}" must be a string, found {_kind(value)}{hint}')
    if not empty and not value.strip():
        raise RecordError(f'"{key}" is empty: there is nothing to learn')
    return value


def _tools(record: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...] | None:
    tools = record.get("tools")
    if not tools:
        return None
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise RecordError(f'"tools" must be a list of objects, found {_kind(tools)}')
    return tuple(tools)


def _messages(value: Any, key: str) -> tuple[Message, ...]:
    if not isinstance(value, list):
        raise RecordError(f'"{key}" must be a list of messages, found {_kind(value)}')
    if not value:
        raise RecordError(f'"{key}" is empty: expected at least a user and an assistant message')
    for number, message in enumerate(value, start=1):
        if problem := _message_problem(message):
            raise RecordError(f'message {number} of "{key}" {problem}')
    roles = [message["role"] for message in value]
    if "assistant" not in roles:
        raise RecordError(
            f'"{key}" has no assistant message to learn (roles found: {listing(dict.fromkeys(roles))}); '
            "roles are system, user, assistant, tool"
        )
    if roles[0] == "assistant":
        raise RecordError(f'"{key}" begins with the assistant, who has nothing to answer yet; put a user message first')
    return tuple(value)


def _message_problem(message: Any) -> str | None:
    if not isinstance(message, Mapping):
        return f'must be an object {{"role": …, "content": …}}, found {_kind(message)}'
    role, calls = message.get("role"), message.get("tool_calls")
    if not isinstance(role, str):
        rename = "; rename them to role and content" if {"from", "value"} <= message.keys() else ""
        return f'needs a "role" that is a string (keys found: {listing(message)}{rename})'
    if calls and not (isinstance(calls, list) and all(isinstance(call, Mapping) for call in calls)):
        return f'has "tool_calls" that must be a list of objects, found {_kind(calls)}'
    if role == "assistant" and calls:
        return None
    return _content_problem(message, role)


def _content_problem(message: Mapping[str, Any], role: str) -> str | None:
    content = message.get("content")
    if content is None:
        return f'has no "content" (keys found: {listing(message)})'
    if isinstance(content, list):
        if not all(isinstance(part, Mapping) for part in content):
            return 'has a "content" list whose parts must be objects such as {"type": "text", "text": …}'
    elif not isinstance(content, str):
        return f'has a "content" that must be a string, found {_kind(content)}'
    if role == "assistant" and not (content.strip() if isinstance(content, str) else content):
        return "is an empty answer of the assistant: there is nothing to learn"
    return None


def _missing(record: Mapping[str, Any], keys: Keys) -> str:
    expected = f'no "{keys.messages}", "{keys.prompt}" with "{keys.completion}", or "{keys.text}" key'
    found = listing(record) or "none"
    flags = [f"--{name}-key {key}" for name, key in _suggestions(record, keys).items()]
    if flags:
        return f"{expected} (found: {found}); map them with {' '.join(flags)}"
    misspelt = next((hint for key in islice(record, _LOOKED_AT) if (hint := did_you_mean(key, _names(keys)))), "")
    return f"{expected} (found: {found}){misspelt}; map yours with --prompt-key and --completion-key"


def _suggestions(record: Mapping[str, Any], keys: Keys) -> dict[str, str]:
    """Return which of the record's keys look like which of ours, as `--…-key` flags would say it."""
    found: dict[str, str] = {}
    for name, usual in USUAL_NAMES.items():
        own = getattr(keys, name)
        if own in record:
            found[name] = own
        elif match := next((key for key in usual if key in record), None):
            found[name] = match
    if {"prompt", "completion"} <= found.keys():
        return {name: found[name] for name in ("prompt", "completion") if found[name] != getattr(keys, name)}
    return next(({name: found[name]} for name in ("messages", "text") if name in found), {})


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), f"the number {value}"[:60])
