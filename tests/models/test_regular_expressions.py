"""Regular expressions of published tokenizers may be run; those that backtrack without end may not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.models.regular_expressions import MAX_CHARACTERS, why_not

SHARED = Path(__file__).parents[3] / "shared" / "data" / "tokenizers"

PUBLISHED = [  # GPT-2, Llama 3, o200k, Qwen, DeepSeek, Hunyuan and others
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s++$",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}",
    r"[\p{Lu}&&[^\p{Han}]]+[\p{Ll}&&[^\p{Han}]]*| ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"[^\r\n\p{L}\p{N}]?(?:\p{L}|\p{M}|\u200C|\u200D)+|\p{N}{1,3}",
    r"\p{N}{1,3}(?=(?:\p{N}{3})*\b)",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*",
    r" ?[^(\s|[.,!?…。，、।۔،])]+",
    r"[一-龥぀-ゟ゠-ヿ]+",
    r"\s?\p{L}+",
    r"[0-9][0-9][0-9]",
    " {2,}",
]
ENDLESS = [
    r"(a+)+$",
    r"(\w+\s?)*$",
    r"(a|a)*$",
    r"(\w|\d)*$",
    r"(?:\p{L}|\p{Lu})+!",
    r"(a|ab|b)+$",
    r"(?:a?){30}a{30}",
    r"(?:(?:a*)*)*b",
    r"(?i:(x+x+)+y)",
    r"(?=(a+)+$)",
    r"(.*)*",
    r"([a-z]+)*[^a-z]",
    r"(a{1,20}){1,20}$",
    r".*.*.*.*x",
    r"\w*\w*\w*\w*\d",
    r"(a)\1",
    r"(?<n>a+)\k<n>",
    r"(?<n>a\g<n>?)",
    r"(?(1)a|b)",
    r"a\\" + "x" * MAX_CHARACTERS,
    "(a",
    "a)",
    "[a",
    "a\\",
]


@pytest.mark.parametrize("pattern", PUBLISHED)
def test_expressions_of_published_tokenizers_may_be_run(pattern: str) -> None:
    assert why_not(pattern) is None


@pytest.mark.parametrize("pattern", ENDLESS)
def test_expressions_that_may_take_forever_are_refused(pattern: str) -> None:
    assert why_not(pattern)


@pytest.mark.parametrize("name", ["qwen2.5", "minimind", "mistral_v1", "llama2", "mistral_v3"])
def test_expressions_of_the_tokenizers_at_hand_may_be_run(name: str) -> None:
    if not (SHARED / name).exists():
        pytest.skip("../shared/data is not here")
    content = json.loads((SHARED / name / "tokenizer.json").read_text("utf-8"))
    content["model"] = None

    def patterns(part: object) -> list[str]:
        if isinstance(part, dict):
            return [value for key, value in part.items() if key == "Regex"] + patterns(list(part.values()))
        return [each for item in part for each in patterns(item)] if isinstance(part, list) else []

    assert [why_not(pattern) for pattern in patterns(content)] == [None for _ in patterns(content)]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(alphabet="ab\\()[]{}|*+?.^$:!=<>,1209p-", max_size=30))
def test_any_text_is_judged(pattern: str) -> None:
    assert why_not(pattern) is None or isinstance(why_not(pattern), str)
