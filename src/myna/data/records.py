"""One line of a data file → one example, with every way a line can be wrong named.

mlx_lm's three formats, and three that many files have:

    {"text"}  {"prompt", "completion"}  {"messages"}
    {"prompt": [messages], "completion": [messages]}: the messages of the prompt are not learnt
    {"conversations": [{"from", "value"}], "system", "tools"}: ShareGPT
    {"instruction", "input", "output", "system", "history"}: Alpaca

Bytes of one line go in; an `Example` or a `DataError` with file, line, cause and next step comes out. When a
line has several formats, mlx_lm's order decides: completion, chat, text, then the others. Knows no files and no
tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

from myna.data.example import Example, Message, Source
from myna.data.messages import RecordError, kind_of, read_json, read_messages
from myna.errors import DataError, did_you_mean, listing

__all__ = ["OTHER_FORMS", "USUAL_NAMES", "Keys", "RecordError", "read_line", "read_record"]

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


_ADDITION = "input"
"""Beside an instruction this key holds what the instruction is about."""
_SHAREGPT = "conversations"
_ALPACA = Keys(prompt="instruction", completion="output")
OTHER_FORMS = (
    ((_SHAREGPT,), ("system",)),
    ((_ALPACA.prompt, _ALPACA.completion), (_ADDITION, "system", "history")),
)
"""The keys that ShareGPT's and Alpaca's records must have, and those that they may."""


def read_line(content: bytes, keys: Keys, source: Source) -> Example:
    """Return the example in one line of a JSONL file; raise `DataError` when there is none."""
    try:
        return _example(read_record(content), keys, source)
    except RecordError as error:
        raise DataError(f"{source}: {error}") from error


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
        record = read_json(text)
        if "\\u" in text:
            json.dumps(record, ensure_ascii=False).encode("utf-8")
    except RecordError as error:
        if not isinstance(cause := error.__cause__, json.JSONDecodeError):
            raise
        hint = "; JSONL has each object on one line" if text in ("{", "[") else ""
        raise RecordError(f"not JSON: {cause.msg} at column {cause.colno}{hint}") from cause
    except UnicodeEncodeError as error:
        raise RecordError(
            "holds half of a surrogate pair (a \\ud8xx escape without its partner), which is no character"
        ) from error
    if not isinstance(record, dict):
        raise RecordError(f"expected a JSON object, found {kind_of(record)}")
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
        if isinstance(record[keys.prompt], list) or isinstance(record[keys.completion], list):
            return Example("chat", source, messages=_prompt_and_completion(record, keys), tools=tools, sql=sql)
        return Example("completion", source, messages=_question_and_answer(record, keys), tools=tools, sql=sql)
    if keys.messages in record:
        messages = read_messages(_with_system(record, keys.messages), keys.messages)
        return Example("chat", source, messages=messages, tools=tools, sql=sql)
    if keys.text in record:
        return Example("text", source, text=_text(record, keys.text), sql=sql)
    if _SHAREGPT in record and isinstance(record[_SHAREGPT], list):
        messages = read_messages(_with_system(record, _SHAREGPT), _SHAREGPT)
        return Example("chat", source, messages=messages, tools=tools, sql=sql)
    if _ALPACA.prompt in record and _ALPACA.completion in record and keys.prompt == Keys().prompt:
        messages = _alpaca(record)
        return Example("completion" if len(messages) == 2 else "chat", source, messages=messages, tools=tools, sql=sql)
    raise RecordError(_missing(record, keys))


def _question_and_answer(record: Mapping[str, Any], keys: Keys) -> tuple[Message, ...]:
    prompt, completion = _text(record, keys.prompt, empty=True), _text(record, keys.completion)
    if keys.prompt == _ALPACA.prompt and (addition := _optional(record, _ADDITION)):
        prompt = f"{prompt}\n\n{addition}"
    return {"role": "user", "content": prompt}, {"role": "assistant", "content": completion}


def _prompt_and_completion(record: Mapping[str, Any], keys: Keys) -> tuple[Message, ...]:
    """Return a conversation that is parted into what is asked and what is learnt, as TRL's data sets have it."""
    parts: list[Any] = []
    for key, role in ((keys.prompt, "user"), (keys.completion, "assistant")):
        value = record[key]
        if not isinstance(value, list):
            value = [{"role": role, "content": _text(record, key)}]
        if not value:
            raise RecordError(f'"{key}" is an empty list: expected messages, or a string')
        learnt = key == keys.completion
        parts += value if learnt else map(_unlearnt, value)
    return read_messages(parts, f"{keys.prompt} with {keys.completion}")


def _unlearnt(message: Any) -> Any:
    answers = ("assistant", "gpt")
    is_answer = isinstance(message, Mapping) and (message.get("role") in answers or message.get("from") in answers)
    return {**message, "weight": 0} if is_answer else message


def _with_system(record: Mapping[str, Any], key: str) -> Any:
    """Return the messages under `key`, after the system message that ShareGPT's files have beside them."""
    messages = record[key]
    is_sharegpt = isinstance(messages, list) and messages and isinstance(messages[0], Mapping) and "from" in messages[0]
    if is_sharegpt and (system := _optional(record, "system")):
        return [{"role": "system", "content": system}, *messages]
    return messages


def _alpaca(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Return the messages of an Alpaca record: earlier turns, the instruction with its input, the output."""
    history = record.get("history") or []
    if not isinstance(history, list) or not all(isinstance(turn, list) and len(turn) == 2 for turn in history):
        raise RecordError(f'"history" must be a list of pairs [question, answer], found {kind_of(history)}')
    system = _optional(record, "system")
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    for question, answer in history:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    messages += _question_and_answer(record, _ALPACA)
    return read_messages(messages, f"{_ALPACA.prompt} with {_ALPACA.completion}")


def _optional(record: Mapping[str, Any], key: str) -> str:
    """Return a text that may be missing. Raises `RecordError` for what is there and no text."""
    value = record.get(key)
    if value is None:
        return ""
    text = _text(record, key, empty=True)
    return text if text.strip() else ""


def _names(keys: Keys) -> set[str]:
    return {getattr(keys, field.name) for field in fields(keys)}


def _text(record: Mapping[str, Any], key: str, *, empty: bool = False) -> str:
    value = record[key]
    if not isinstance(value, str):
        hint = '; conversations go under "messages"' if isinstance(value, list) else ""
        raise RecordError(f'"{key}" must be a string, found {kind_of(value)}{hint}')
    if not empty and not value.strip():
        raise RecordError(f'"{key}" is empty: there is nothing to learn')
    return value


def _tools(record: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...] | None:
    tools = record.get("tools")
    if not tools and isinstance(functions := record.get("functions"), list):  # OpenAI's form of 2023
        tools = [{"type": "function", "function": function} for function in functions]
    if isinstance(tools, str) and tools.strip():  # JSON, as ShareGPT's and many Parquet files have it
        try:
            tools = read_json(tools)
        except RecordError as error:
            raise RecordError(f'"tools" must be a list of objects, found a string that is {error}') from error
    if not tools or (isinstance(tools, str) and not tools.strip()):
        return None
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise RecordError(f'"tools" must be a list of objects, found {kind_of(tools)}')
    return tuple(tools)


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
