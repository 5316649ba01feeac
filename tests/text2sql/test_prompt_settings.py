"""What a model folder says of its prompts is kept to exactly, or refused in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.errors import ModelError, RecipeError
from myna.text2sql.prompt_settings import PromptSettings

VALUES = st.one_of(st.text(), st.integers(), st.floats(allow_nan=False))
VALUE_NAMES = st.dictionaries(st.text(), st.dictionaries(st.text(), st.dictionaries(st.text(), VALUES)))


@given(
    st.builds(
        PromptSettings, samples=st.integers(0), hints=st.booleans(), budget=st.integers(1), value_names=VALUE_NAMES
    )
)
def test_settings_come_back_from_json_as_they_were(settings: PromptSettings) -> None:
    note = json.loads(json.dumps({"kind": "lora", "prompt": settings.as_dict()}))
    assert PromptSettings.of(note) == settings


def test_where_nothing_is_said_the_usual_holds() -> None:
    assert PromptSettings.of({}) == PromptSettings.of({"prompt": {}}) == PromptSettings()
    assert PromptSettings.of({"prompt": {"samples": 0}}) == PromptSettings(samples=0)


def test_without_values_no_name_of_a_value_is_kept() -> None:
    settings = PromptSettings(value_names={"orders": {"status": {"shipped": 3}}})
    assert settings.as_dict()["value_names"] == {"orders": {"status": {"shipped": 3}}}
    assert "value_names" not in settings.without_values().as_dict()


@pytest.mark.parametrize(
    "said",
    [
        "short",
        None,
        {"samples": "3"},
        {"samples": True},
        {"hints": 1},
        {"colour": "red"},
        {"budget": 0},
        {"samples": -1},
        {"value_names": ["shipped"]},
        {"value_names": {"orders": "shipped"}},
        {"value_names": {"orders": {"status": "shipped"}}},
        {"value_names": {"orders": {"status": {"shipped": [3]}}}},
    ],
)
def test_what_can_not_be_kept_to_is_named(said: Any) -> None:
    with pytest.raises(ModelError, match=r'^"prompt": '):
        PromptSettings.of({"prompt": said})


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(RecipeError, match="samples -1, budget 6000: expected at least 0 sample values"):
        PromptSettings(samples=-1)
