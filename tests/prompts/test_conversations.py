"""Promises about messages that are more than plain strings: the template gets what it is written for, or it is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from myna.data.example import Example, Source
from myna.errors import PromptError
from myna.prompts.builder import PromptBuilder
from myna.prompts.sample import Sample

Build = Callable[[str, str], PromptBuilder]
Load = Callable[[str], PromptBuilder]

HERE = Source("train.jsonl", 17)
QUESTION = {"role": "user", "content": "Weather?"}
ANSWER = {"role": "assistant", "content": "Sunny."}
OBJECT = {"city": "town 0"}


def one(builder: PromptBuilder, *messages: Any, mask_prompt: bool | None = None) -> Sample:
    example = Example("chat", HERE, messages=messages)
    (sample,) = builder.samples(example, max_tokens=999, mask_prompt=mask_prompt).samples
    return sample


def notices(builder: PromptBuilder, *messages: Any) -> tuple[str, ...]:
    return builder.samples(Example("chat", HERE, messages=messages), max_tokens=999).notices


def learnt(builder: PromptBuilder, sample: Sample) -> list[str]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], sample.trained, [False]])))
    return [builder.decode(sample.tokens[start:stop]) for start, stop in edges.reshape(-1, 2)]


def calling(arguments: Any) -> dict[str, Any]:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


@pytest.mark.parametrize("arguments", [OBJECT, json.dumps(OBJECT)])
def test_arguments_in_a_string_are_learnt_as_the_object_they_are(
    made_builder: Build, real_builder: Load, arguments: Any
) -> None:
    for builder in (made_builder("byte-level", "tools"), real_builder("qwen2.5")):
        assert '{"city": "town 0"}' in learnt(builder, one(builder, QUESTION, calling(arguments)))[0]


@pytest.mark.parametrize("arguments", [OBJECT, json.dumps(OBJECT)])
def test_a_template_that_joins_strings_gets_arguments_as_a_string(made_builder: Build, arguments: Any) -> None:
    builder = made_builder("byte-level", "arguments-as-text")
    assert learnt(builder, one(builder, QUESTION, calling(arguments))) == ['<call>weather {"city": "town 0"}']


def test_parts_of_text_are_asked_and_learnt_as_their_text(any_builder: PromptBuilder) -> None:
    parts = [
        {"role": each["role"], "content": [{"type": "text", "text": each["content"]}]} for each in (QUESTION, ANSWER)
    ]
    expected, sample = one(any_builder, QUESTION, ANSWER), one(any_builder, *parts)
    assert sample.tokens.tolist() == expected.tokens.tolist()
    assert sample.trained.tolist() == expected.trained.tolist()
    assert any_builder.prompt(parts[:1]).tolist() == any_builder.prompt([QUESTION]).tolist()


def test_what_is_no_text_is_refused_by_name_in_training_and_asking(any_builder: PromptBuilder) -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
    with pytest.raises(PromptError, match=r"train\.jsonl:17: message 1 .* part of type 'image_url'"):
        one(any_builder, image, ANSWER)
    with pytest.raises(PromptError, match=r"message 1 .* part of type 'image_url'"):
        any_builder.prompt([image])


def test_messages_that_contain_themselves_are_refused(made_builder: Build) -> None:
    loop: dict[str, Any] = {"role": "user", "content": "a"}
    loop["self"] = loop
    builder = made_builder("byte-level", "chatml")
    with pytest.raises(PromptError, match="nested too deeply"):
        builder.prompt([loop])
    with pytest.raises(PromptError, match="nested too deeply"):
        one(builder, loop, ANSWER)


def test_an_answer_of_weight_0_is_read_and_not_learnt(any_builder: PromptBuilder) -> None:
    messages = [QUESTION, {**ANSWER, "weight": 0}, QUESTION, {**ANSWER, "content": "Rain.", "weight": 1}]
    plain = [{key: value for key, value in each.items() if key != "weight"} for each in messages]
    sample, whole = one(any_builder, *messages), one(any_builder, *plain)
    assert [text.strip() for text in learnt(any_builder, sample)] == ["Rain."]
    if len(sample) == len(whole):  # without a template a token may straddle the place where the model is asked
        assert sample.tokens.tolist() == whole.tokens.tolist()
    assert notices(any_builder, *messages) == notices(any_builder, *plain)


def test_an_answer_of_weight_0_is_not_learnt_where_all_else_is(made_builder: Build) -> None:
    builder = made_builder("byte-level", "chatml")
    messages = [QUESTION, {**ANSWER, "weight": 0}, QUESTION, {**ANSWER, "content": "Rain."}]
    sample = one(builder, *messages, mask_prompt=False)
    before, after = learnt(builder, sample)
    assert "Sunny" not in before + after
    assert before.endswith("assistant\n")
    assert "Rain." in after
    last = one(builder, QUESTION, ANSWER, QUESTION, {**ANSWER, "content": "Rain.", "weight": 0}, mask_prompt=False)
    assert "Rain" not in "".join(learnt(builder, last))
    thinking = made_builder("byte-level", "thinking")
    with pytest.raises(PromptError, match="weight of 0 is heeded only where answers alone are learnt"):
        one(thinking, *messages, mask_prompt=False)
    assert learnt(thinking, one(thinking, *messages))[0].endswith("Rain.")


def test_fields_that_do_not_get_into_the_prompt_are_named_by_role(made_builder: Build, real_builder: Load) -> None:
    builder = made_builder("byte-level", "tools")
    call = calling(OBJECT)
    result = {"role": "tool", "content": "sunny", "tool_call_id": "c1", "name": "weather"}
    assert notices(builder, QUESTION, call, result, ANSWER) == (
        "the chat template leaves out the field 'tool_call_id' of tool messages",
        "the chat template leaves out the field 'name' of tool messages",
    )
    reasoned = {**ANSWER, "reasoning_content": "because"}
    assert notices(builder, QUESTION, reasoned) == ()
    left_out = "the chat template leaves out the field 'reasoning_content' of assistant messages"
    assert left_out in notices(made_builder("byte-level", "chatml"), QUESTION, reasoned)
    assert left_out in notices(real_builder("qwen2.5"), QUESTION, reasoned)
    named = {**QUESTION, "name": "Sunny"}  # a value that stands elsewhere in the conversation too
    assert notices(builder, named, ANSWER) == ("the chat template leaves out the field 'name' of user messages",)
    spoken = {**ANSWER, "tool_calls": call["tool_calls"]}
    assert notices(made_builder("byte-level", "chatml"), QUESTION, spoken) == (
        "the chat template leaves out the field 'tool_calls' of assistant messages",
    )


def test_values_that_a_template_writes_as_json_are_found_there(made_builder: Build) -> None:
    builder = made_builder("byte-level", "tools")
    odd = {'key "of" it': 'a\n"b" \\ 数 </s>', "n": 12345, "deep": [{"x": "y\tz"}]}
    assert notices(builder, QUESTION, calling(odd)) == ()
