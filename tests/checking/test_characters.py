"""Promises about odd characters: text that was read in the wrong encoding is recognised, other text is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.checking.characters import odd_characters

CHINESE = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=1)
CYRILLIC = st.text(st.sampled_from("абвгдежзиклмнопрстуфхцчшщыэюя"), min_size=2)
FRENCH = st.sampled_from(["é", "où", "ça", "naïf", "Größe", "señor", "l’été", "“quoted”", "25 €", "a\u00a0b", "ÀÉ"])


def kinds(text: str) -> list[str]:
    return [kind for kind, _ in odd_characters(text)]


@pytest.mark.parametrize("table", ["latin-1", "cp1252"])
@given(text=st.one_of(CHINESE, CYRILLIC, FRENCH, st.sampled_from(["🐦", "한국어", "日本語の"])))
def test_utf8_that_was_read_as_western_is_recognised(text: str, table: str) -> None:
    try:
        wrong = text.encode().decode(table)
    except UnicodeDecodeError:  # five bytes stand for nothing in Windows-1252
        return
    found = dict(odd_characters(f"Well, {wrong}"))
    assert found["wrongly decoded text"] >= len("Well, ")


@given(st.one_of(CHINESE, CYRILLIC, FRENCH, st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3))))
def test_the_same_text_read_rightly_has_nothing_odd(text: str) -> None:
    assert kinds(text) == []


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_text_has_nothing_odd(text: str) -> None:
    assert kinds(text) == []


@given(st.text(), st.text())
def test_the_place_is_where_the_character_stands(before: str, after: str) -> None:
    for character, kind in {
        "\ufffd": "lost characters",
        "\x00": "control characters",
        "\u202e": "bidirectional controls",
    }.items():
        text = f"{before}{character}{after}"
        assert text[dict(odd_characters(text))[kind]] is not None
        assert dict(odd_characters(text))[kind] <= len(before)
