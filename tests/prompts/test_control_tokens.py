"""Promises of the encoding that keeps control tokens apart from data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from myna.prompts.builder import PromptBuilder
from myna.prompts.controls import ControlTokens

often = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
PIECES = ["<s>", "</s>", "<|im_start|>", "[INST]", " ", "  ", "\n", "a", "the ", "数据", "🐦", "<", "|>"]
texts = st.lists(st.sampled_from(PIECES), max_size=10).map("".join) | st.text(max_size=20)


@given(text=texts)
@often
def test_marked_text_without_data_has_the_tokenizers_own_tokens(any_builder: PromptBuilder, text: str) -> None:
    own = any_builder._tokenizer(text, add_special_tokens=False)["input_ids"]
    if not any(mark in text for mark in "\U0010fe0e\U0010fe0f"):
        assert any_builder._controls.encode(text) == own


@given(text=texts | st.text("\U0010fe0e\U0010fe0f0123<s>", max_size=12))
@often
def test_protected_text_is_restored_exactly_and_has_no_control_tokens(any_builder: PromptBuilder, text: str) -> None:
    controls = any_builder._controls
    protected = controls.protect({"key": [text, 1, None]})["key"]
    assert protected[1:] == [1, None]
    assert controls.plain(protected[0]) == text
    ids = controls.encode(protected[0])
    unknown = any_builder._tokenizer.unk_token_id
    assert not any(any_builder.is_control(token) for token in ids if token != unknown)


@given(before=texts, after=texts)
@often
def test_the_tokens_before_a_boundary_are_those_of_the_text_before_it(
    any_builder: PromptBuilder, before: str, after: str
) -> None:
    controls = any_builder._controls
    first, second = controls.protect(before), controls.protect(after)
    tokens, (length,) = controls.encode_at(first + second, [len(first)])
    assert tokens[:length] == controls.encode(first)
    whole = controls.encode(first + second)
    if whole[:length] == tokens[:length]:
        assert tokens == whole


@pytest.mark.parametrize("kind", ["byte-level", "sentencepiece-legacy", "sentencepiece-first"])
def test_a_continuation_begins_without_a_prefix_space(
    made_builder: Callable[[str, str], PromptBuilder], kind: str
) -> None:
    builder = made_builder(kind, "plain")
    controls = builder._controls
    names = [builder._backend.id_to_token(token) for token in controls.encode_continuation("fox</s>the")]
    assert names[0][0] == "f"
    assert controls.encode_continuation("fox") == controls.encode_continuation("fox</s>the")[: names.index("</s>")]
    assert "</s>" in names
    after = names[names.index("</s>") + 1 :]
    assert after == [builder._backend.id_to_token(token) for token in controls.encode("</s>the")[1:]]


def test_merges_do_not_build_a_control_token_out_of_text() -> None:
    vocabulary = {token: number for number, token in enumerate(["<", "s", ">", "<s", "<s>"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("<", "s"), ("<s", ">")]))
    tokenizer.add_special_tokens(["<s>"])
    assert tokenizer.encode("<s>").ids == [4]
    controls = ControlTokens(tokenizer.to_str(), [])
    assert controls.encode(controls.protect("<s>")) == [3, 2]
    assert controls.encode("<s>") == [4]


@pytest.mark.parametrize("kind", ["unigram", "word-level"])
def test_other_kinds_of_tokenizer_keep_their_ids(kind: str) -> None:
    pieces = ["<unk>", "<s>", "▁the", "▁fox", "▁", "<", "s", ">"]
    model: Any = (
        models.Unigram([(piece, -float(number)) for number, piece in enumerate(pieces)], unk_id=0)
        if kind == "unigram"
        else models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token="<unk>")
    )
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()  # type: ignore[assignment]
    tokenizer.add_special_tokens(["<s>", "<unk>"])
    controls = ControlTokens(tokenizer.to_str(), [])
    for text in ("<s>the fox", "the<s>fox", "the 数"):
        assert controls.encode(text) == tokenizer.encode(text).ids
    assert 1 not in controls.encode(controls.protect("the <s>"))
    assert json.loads(tokenizer.to_str())["model"]["vocab"]


def test_thousands_of_control_tokens_are_told_apart() -> None:
    tokenizer = Tokenizer(models.BPE({chr(code): code for code in range(32, 127)}, []))
    tokenizer.add_special_tokens([f"<unused{number}>" for number in range(2000)])
    controls = ControlTokens(tokenizer.to_str(), [])
    text = "SELECT a < b " * 2000
    assert controls.plain(controls.protect(text)) == text
    assert controls.find(f"{text}<unused1999>") == "<unused1999>"
