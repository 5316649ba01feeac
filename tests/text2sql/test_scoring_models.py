"""Promises of scoring a model: its own prompts, greedy answers, and a resume that asks nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from myna import training
from myna.errors import AdapterError, ModelError, RecipeError, RunError
from myna.generation import load
from myna.text2sql.facts import SqlFacts
from myna.text2sql.scoring import Progress, ScoreResult, score
from scored_data import GOLD, database, folder, line
from small_runs import one_layer, small_recipe, write_lines

FLOAT32 = {"dtype": "float32", "device": "cpu"}
QUESTIONS = ["How old is Ada?", "Who is 22?", "Once upon a time", "List all names.", "Count them.", "Why?"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_layer(tmp_path_factory.mktemp("scored") / "model")


def data(path: Path, kind: str) -> Path:
    """Write the same questions as messages or as texts."""
    database(path / "school.sqlite")
    facts = [SqlFacts("school", sql) for sql in GOLD]
    if kind == "messages":
        lines = [line(question, each) for question, each in zip(QUESTIONS, facts, strict=True)]
    else:
        lines = [
            {"text": f"Q: {question}\nA: {each.gold}", "sql": each.as_dict()}
            for question, each in zip(QUESTIONS, facts, strict=True)
        ]
    return folder(path, lines, {"school": "school.sqlite"})


def scored(model: Path, path: Path, **settings: Any) -> ScoreResult:
    return score(path, model=str(model), workers=1, max_tokens=12, **{**FLOAT32, "batch_size": 4, **settings})


@pytest.mark.parametrize("kind", ["messages", "texts"])
def test_a_model_is_asked_with_the_prompts_that_training_makes(model: Path, tmp_path: Path, kind: str) -> None:
    result = scored(model, data(tmp_path / "data", kind))
    alone = load(str(model), **FLOAT32)
    for question, answer in zip(QUESTIONS, result.answers, strict=True):
        prompt = question if kind == "messages" else f"Q: {question}\nA:"
        assert answer.text == alone.generate(prompt, raw=kind == "texts", max_tokens=12).text
        assert answer.question.asked == question
    assert result.name == str(model)
    assert result.examples == 6


def test_a_trained_adapter_answers(model: Path, tmp_path: Path) -> None:
    """A model that learnt one query by heart is right where that is the gold, and wrong elsewhere."""
    folder_ = data(tmp_path / "data", "messages")
    (folder_ / "train.jsonl").write_text("")
    write_lines(
        folder_ / "train.jsonl",
        [{"prompt": question, "completion": "SELECT 4"} for question in QUESTIONS for _ in range(2)],
    )
    write_lines(folder_ / "valid.jsonl", [{"prompt": "How?", "completion": "SELECT 4"}])
    recipe = small_recipe(
        model,
        folder_,
        tmp_path / "run",
        iters=60,
        fine_tune_type="full",
        num_layers=-1,  # the embeddings too: the end token is in them
        learning_rate=5e-3,
        steps_per_eval=60,
        save_every=60,
        lora_parameters={"rank": 2, "scale": 2.0, "dropout": 0.0},
    )
    training.train(recipe)
    result = scored(model, folder_, adapter_path=tmp_path / "run")
    assert [answer.verdict.sql for answer in result.answers] == ["SELECT 4"] * 6
    assert [answer.verdict.execution for answer in result.answers] == [sql == GOLD[1] for sql in GOLD]
    assert result.rates.valid.right == 6


def test_answers_of_a_killed_scoring_are_not_generated_again(model: Path, tmp_path: Path) -> None:
    folder_ = data(tmp_path / "data", "messages")
    whole = scored(model, folder_, output=tmp_path / "whole")
    lines = (tmp_path / "whole" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    assert [json.loads(line).get("answer") is not None for line in lines[1:7]] == [True] * 6
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "journal.jsonl").write_bytes(b"".join(lines[:6]))  # five of six
    heard: list[Progress] = []
    resumed = scored(model, folder_, output=tmp_path / "killed", listener=heard.append)
    assert [event for event in heard if event.stage == "answered"] == [Progress("answered", 6, 6)]
    assert resumed.answers == whole.answers
    assert (tmp_path / "killed" / "answers.jsonl").read_bytes() == (tmp_path / "whole" / "answers.jsonl").read_bytes()
    (tmp_path / "judging").mkdir()
    (tmp_path / "judging" / "journal.jsonl").write_bytes(b"".join(lines[:9]))  # all answered, two judged
    heard.clear()
    scored(model, folder_, output=tmp_path / "judging", listener=heard.append)
    assert heard == [Progress("judged", done, 6) for done in range(3, 7)]


def test_another_model_is_something_else(model: Path, tmp_path: Path) -> None:
    folder_ = data(tmp_path / "data", "messages")
    scored(model, folder_, output=tmp_path / "out")
    journal = tmp_path / "out" / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:5]))
    other = one_layer(tmp_path / "other")
    scored(other, folder_, output=tmp_path / "out")  # the same weights elsewhere are the same model
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:5]))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.1}))
    with pytest.raises(RunError, match=r"what differs: model\)"):
        scored(other, folder_, output=tmp_path / "out")
    with pytest.raises(RunError, match=r"what differs: max_tokens\)"):
        score(folder_, model=str(model), workers=1, max_tokens=13, batch_size=4, output=tmp_path / "out", **FLOAT32)


def test_another_chat_template_asks_otherwise_and_is_something_else(tmp_path: Path) -> None:
    model, folder_ = one_layer(tmp_path / "model"), data(tmp_path / "data", "messages")
    scored(model, folder_, output=tmp_path / "out")
    (model / "chat_template.jinja").write_text("{% for m in messages %}Say: {{ m.content }}\n{% endfor %}")
    with pytest.raises(RunError, match=r"what differs: prompt\)"):
        scored(model, folder_, output=tmp_path / "out")


def test_a_model_or_adapter_that_is_not_there_is_said_before_anything_is_written(model: Path, tmp_path: Path) -> None:
    folder_ = data(tmp_path / "data", "messages")
    with pytest.raises(ModelError):
        scored(tmp_path / "none", folder_, output=tmp_path / "out")
    with pytest.raises(AdapterError):
        scored(model, folder_, adapter_path=tmp_path / "none", output=tmp_path / "out")
    with pytest.raises(RecipeError, match="max_tokens is 0"):
        score(folder_, model=str(model), max_tokens=0, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
