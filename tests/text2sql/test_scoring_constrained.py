"""Answers held to the schema are valid, and the score says what they were held to."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna.errors import DataError, RecipeError
from myna.text2sql.facts import SqlFacts
from myna.text2sql.scoring import score
from scored_data import GOLD, folder, line, school

MODEL = Path(__file__).parents[2] / "examples" / "stories260K"
"""It knows children's stories and no SQL: whatever is valid is so because it was held to it."""


@pytest.mark.parametrize("constrain", ["schema", "content"])
def test_answers_of_a_model_that_knows_no_sql_are_valid_when_they_are_held_to_the_schema(
    tmp_path: Path, constrain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = school(tmp_path / "school")
    free = score(data, model=str(MODEL), max_tokens=200)
    held = score(data, model=str(MODEL), max_tokens=200, constrain=constrain)  # type: ignore[arg-type]
    assert free.as_dict()["valid"] == 0
    assert held.as_dict()["valid"] >= 0.8  # an answer that found no end in its last tokens is cut
    assert any("held to" in note for note in held.notes)
    assert not any("held to" in note for note in free.notes)


def test_what_cannot_be_held_is_said(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", [line("q", SqlFacts("", GOLD[0]))], {})
    with pytest.raises(DataError, match=r"test.jsonl:1: no database"):
        score(data, model=str(MODEL), constrain="schema")
    predictions = tmp_path / "predictions.sql"
    predictions.write_text("SELECT 1\n", "utf-8")
    with pytest.raises(RecipeError, match="leave it out"):
        score(data, predictions=predictions, constrain="schema")
