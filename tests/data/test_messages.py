"""Promises about the forms that people's conversations come in: each is read as what it means, in one form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from myna.data.example import Example
from myna.data.folder import Keys, open_split
from myna.data.messages import RecordError, normal_messages, without_nulls

QUESTION = {"role": "user", "content": "Weather in town 0?"}
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "town 0"}}}


def read(folder: Path, record: Any, **keys: str) -> Example:
    (folder / "train.jsonl").write_text(json.dumps(record) + "\n", "utf-8")
    return open_split(folder, "train", keys=Keys(**keys))[0]


@pytest.mark.parametrize(
    "answer",
    [
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "content": [], "tool_calls": [CALL]},
        {
            "role": "assistant",
            "tool_calls": [{"function": {"name": "weather", "arguments": json.dumps({"city": "town 0"})}}],
        },
        {"role": "assistant", "tool_calls": [{"name": "weather", "arguments": {"city": "town 0"}}]},
        {"role": "assistant", "function_call": {"name": "weather", "arguments": '{"city": "town 0"}'}},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "town 0"}}'},
    ],
)
def test_every_form_of_a_tool_call_becomes_one_with_an_object_of_arguments(answer: Any) -> None:
    normal = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    assert normal_messages([answer]) == (normal,)
    assert normal_messages([normal]) == (normal,)


def test_arguments_of_a_call_without_any_are_an_empty_object() -> None:
    for arguments in ("", " ", None, {}, "{}"):
        call = {"function": {"name": "now", "arguments": arguments}}
        (message,) = normal_messages([{"role": "assistant", "tool_calls": [call]}])
        assert message["tool_calls"][0]["function"]["arguments"] == {}


def test_parts_of_text_are_joined_and_nulls_that_arrow_filled_in_are_gone() -> None:
    parts = [{"type": "text", "text": "Q"}, {"type": "text", "text": "?"}]
    filled = {"role": "user", "content": parts, "tool_calls": None, "name": None}
    assert normal_messages([filled]) == ({"role": "user", "content": "Q?"},)
    assert without_nulls({"a": [{"city": "x", "zip": None}], "b": None}) == {"a": [{"city": "x"}]}


def test_the_result_of_a_function_is_that_of_a_tool() -> None:
    result = {"role": "function", "name": "weather", "content": "sunny"}
    assert normal_messages([result]) == ({"role": "tool", "name": "weather", "content": "sunny"},)


def test_a_message_that_is_wrong_is_named_by_its_number() -> None:
    with pytest.raises(RecordError, match=r"message 2 of the conversation .*found the number 5"):
        normal_messages([QUESTION, {"role": "assistant", "content": 5}])


def test_sharegpt_is_read_with_its_system_message_and_tools(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "weather"}}]
    example = read(
        tmp_path,
        {
            "conversations": [
                {"from": "human", "value": "q"},
                {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "town 0"}}'},
                {"from": "observation", "value": "sunny"},
                {"from": "gpt", "value": "a"},
            ],
            "system": "s",
            "tools": json.dumps(tools),
        },
    )
    assert example.kind == "chat"
    assert [message["role"] for message in example.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert [message["content"] for message in example.messages] == ["s", "q", "", "sunny", "a"]
    assert example.messages[2]["tool_calls"] == [CALL]
    assert example.tools == tuple(tools)
    under_messages = {"messages": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}
    assert [message["content"] for message in read(tmp_path, under_messages).messages] == ["q", "a"]


@pytest.mark.parametrize("keys", [{}, {"prompt": "instruction", "completion": "output"}])
def test_alpaca_keeps_its_input(tmp_path: Path, keys: dict[str, str]) -> None:
    record = {"instruction": "Add", "input": "1 and 2", "output": "3"}
    example = read(tmp_path, record, **keys)
    assert example.kind == "completion"
    assert [message["content"] for message in example.messages] == ["Add\n\n1 and 2", "3"]
    assert read(tmp_path, record | {"input": ""}, **keys).messages[0]["content"] == "Add"


def test_alpaca_keeps_its_system_message_and_history(tmp_path: Path) -> None:
    example = read(
        tmp_path, {"instruction": "q2", "output": "a2", "system": "s", "history": [["q1", "a1"]], "input": None}
    )
    assert example.kind == "chat"
    assert [message["content"] for message in example.messages] == ["s", "q1", "a1", "q2", "a2"]


@pytest.mark.parametrize("completion", ["a2", [{"role": "assistant", "content": "a2"}]])
def test_of_a_prompt_that_is_a_conversation_no_answer_is_learnt(tmp_path: Path, completion: Any) -> None:
    prompt = [QUESTION, {"role": "assistant", "content": "a1"}, QUESTION]
    example = read(tmp_path, {"prompt": prompt, "completion": completion})
    assert example.kind == "chat"
    assert [message.get("weight") for message in example.messages] == [None, 0, None, None]
    assert example.messages[-1] == {"role": "assistant", "content": "a2"}


def test_functions_of_openais_old_form_are_tools(tmp_path: Path) -> None:
    chat = [QUESTION, {"role": "assistant", "content": "a"}]
    example = read(tmp_path, {"messages": chat, "functions": [{"name": "weather"}]})
    assert example.tools == ({"type": "function", "function": {"name": "weather"}},)
