"""Promises of streaming: never half a character, never a lost space, whatever the tokens are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myna.prompts.builder import PromptBuilder

often = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
PIECES = ["SELECT name", " FROM", "的学生有多少", "🐦‍⬛", "👩‍💻", " ", "   ", "\n", "\t", "é", "Ω≈ç", "ब्राह्मी", "x" * 5]
texts = st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join)


def encode(builder: PromptBuilder, text: str) -> list[int]:
    return list(builder._backend.encode(text, add_special_tokens=False).ids)


def pushed(builder: PromptBuilder, tokens: list[int]) -> tuple[list[str], str]:
    stream = builder.stream()
    return [stream.push(token) for token in tokens], stream.finish()


@given(text=texts)
@often
def test_a_streamed_text_is_the_text_and_no_piece_of_it_is_half_a_character(
    any_builder: PromptBuilder, text: str
) -> None:
    tokens = encode(any_builder, text)
    pieces, rest = pushed(any_builder, tokens)
    assert "".join(pieces) == any_builder._tokenizer.decode(tokens, clean_up_tokenization_spaces=False)
    assert rest == ""
    assert "\ufffd" not in "".join(pieces)
    assert "".join(pieces).lstrip(" ") == text.lstrip(" ")


@given(data=st.data())
@often
def test_any_tokens_give_the_same_text_at_once_and_one_by_one(any_builder: PromptBuilder, data: Any) -> None:
    ids = st.integers(0, min(any_builder._backend.get_vocab_size(), 3000) - 1)
    tokens = data.draw(st.lists(ids, max_size=30))
    pieces, rest = pushed(any_builder, tokens)
    assert "".join(pieces) + rest == any_builder.decode(tokens)


def test_an_unfinished_character_waits_and_comes_out_as_a_replacement_at_the_end(
    any_builder: PromptBuilder,
) -> None:
    tokens = encode(any_builder, "a𒀀")
    assert any_builder.decode(tokens) == "a𒀀"
    pieces, rest = pushed(any_builder, tokens[:-1])
    assert "".join(pieces) == "a"
    assert set(rest) == {"\ufffd"}


def test_broken_bytes_leave_the_characters_beside_them_whole(any_builder: PromptBuilder) -> None:
    whole, half = encode(any_builder, "a𒀀"), encode(any_builder, "a𒀀")[1:-1]
    text = any_builder.decode([*whole, *half, *encode(any_builder, "ab")[-1:]])
    assert text.startswith("a𒀀\ufffd")
    assert text.endswith("b")


def test_control_tokens_have_no_text(any_builder: PromptBuilder) -> None:
    end = next(iter(any_builder.end_tokens))
    words = encode(any_builder, "two words")
    assert any_builder.decode([end, *words, end]) == "two words"


@pytest.mark.parametrize("text", ["▁", "a b", "数", "\n", "🐦"])
def test_a_token_is_shown_by_its_text_or_its_name(any_builder: PromptBuilder, text: str) -> None:
    shown = [any_builder.token_text(token) for token in encode(any_builder, text)]
    assert all(shown)
    assert not any("\ufffd" in piece for piece in shown)
    end = next(iter(any_builder.end_tokens))
    assert any_builder.token_text(end) == any_builder._backend.id_to_token(end)
