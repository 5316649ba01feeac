"""Promises of `myna score`: what it prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from myna.cli import main
from myna.cli.score_display import table
from scored_data import GOLD, predictions, school
from small_runs import one_layer, small_recipe

ANSWERS = [GOLD[0], "SELECT 17", "SELECT nam FROM students", "", *GOLD[4:]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder the user is in, with data and predictions."""
    school(tmp_path / "school")
    predictions(tmp_path / "answers.sql", ANSWERS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main([*arguments, "--json"])
    written = capsys.readouterr().out
    assert written.count("\n") == 1
    return code, json.loads(written)


SHOWN = """\
Score                  %  95 % interval  answers
Execution accuracy  50.0      18.8–81.2   3 of 6
Exact match         50.0      18.8–81.2   3 of 6
Valid SQL           66.7      30.0–90.3   4 of 6

Difficulty  questions  execution  95 % interval  exact
easy                3       66.7      20.8–93.9   66.7
medium              3       33.3       6.1–79.2   33.3

Construct  questions  execution  95 % interval  exact
where              3       66.7      20.8–93.9   66.7
aggregate          3       66.7      20.8–93.9   66.7
count              2       50.0       9.5–90.5   50.0
maximum            1      100.0     20.7–100.0  100.0
join               1        0.0       0.0–79.3    0.0
group by           1      100.0     20.7–100.0  100.0
order by           1        0.0       0.0–79.3    0.0
limit              1        0.0       0.0–79.3    0.0

Cause of 3 wrong answers  answers     %
no SQL                          1  33.3
unknown column                  1  33.3
wrong table                     1  33.3

Results: scores/answers-school-test (score.json, answers.jsonl, wrong.md)
"""


def test_a_person_sees_rates_groups_and_causes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--data", "school", "--predictions", "answers.sql", "--workers", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out == SHOWN
    assert captured.err.splitlines()[-1] == "Executing: 6 of 6"
    assert (place / "scores" / "answers-school-test" / "wrong.md").is_file()


def test_a_program_reads_the_agreed_keys(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, value = as_json(
        capsys, "score", "--data", "school", "--predictions", "answers.sql", "--out", "here", "--workers", "1"
    )
    assert code == 0
    assert {key: value[key] for key in ("execution_accuracy", "exact_match", "valid", "examples")} == {
        "execution_accuracy": 0.5,
        "exact_match": 0.5,
        "valid": pytest.approx(2 / 3),
        "examples": 6,
    }
    assert value["interval"] == pytest.approx([0.1876, 0.8124], abs=1e-4)
    assert value["causes"] == {"no SQL": 1, "unknown column": 1, "wrong table": 1}
    assert value["groups"]["database"]["school"]["execution"]["right"] == 3
    assert value["output"] == "here"
    assert json.loads((place / "here" / "score.json").read_text()) == value


def test_an_adapter_s_run_says_model_and_data(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from myna import training

    (place / "school" / "train.jsonl").write_bytes((place / "school" / "test.jsonl").read_bytes())
    model = one_layer(place / "model")
    training.train(small_recipe(model, place / "school", place / "runs" / "first", iters=2))
    code, value = as_json(capsys, "score", "--adapter-path", "runs/first", "--max-tokens", "4", "--size", "2")
    assert (code, value["examples"], value["name"]) == (0, 2, "runs/first")
    assert value["output"] == "scores/first-school-test-2-max-tokens-4"
    checkpoint = "runs/first/checkpoints/000002"
    code, value = as_json(capsys, "score", "--adapter-path", checkpoint, "--max-tokens", "4", "--size", "2")
    assert value["output"] == "scores/first-000002-school-test-2-max-tokens-4"


def test_scores_with_other_settings_stand_beside_each_other(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ready = ["score", "--data", "school", "--predictions", "answers.sql", "--workers", "1"]
    outputs = [
        as_json(capsys, *ready, *settings)[1]["output"]
        for settings in ([], ["--size", "3"], ["--time-limit", "5"], ["--databases", "school/databases"])
    ]
    name = "scores/answers-school-test"
    assert outputs == [name, f"{name}-3", f"{name}-time-limit-5", f"{name}-databases-databases"]
    assert [json.loads((place / output / "score.json").read_text())["examples"] for output in outputs] == [6, 3, 6, 6]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "school"], "no model: give --model"),
        (["--predictions", "answers.sql"], "no data: give --data"),
        (["--data", "school", "--predictions", "answers.sql", "--model", "m"], "two things to score: answers.sql"),
        (["--data", "school", "--predictions", "answers.sql", "--split", "dev"], '"dev" for --split'),
    ],
)
def test_wrong_usage_ends_with_2(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["score", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (place / "scores").exists()


def test_what_can_not_be_scored_ends_with_1_and_the_next_step(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "school" / "databases" / "school.sqlite").unlink()
    code, value = as_json(capsys, "score", "--data", "school", "--predictions", "answers.sql")
    assert code == 1
    assert value["error"]["type"] == "DataError"
    assert "--databases FOLDER" in value["error"]["message"]
    assert not (place / "scores").exists()


@pytest.mark.parametrize(("width", "columns"), [(None, 5), (80, 5), (52, 4), (40, 3), (10, 2)])
def test_a_table_leaves_out_the_columns_that_a_narrow_terminal_has_no_room_for(width: int | None, columns: int) -> None:
    heading = ("Construct", "questions", "execution", "95 % interval", "exact")
    lines = table(heading, [("where", "3", "66.7", "20.8–93.9", "66.7")], width=width)
    assert " ".join(lines[0].split()) == " ".join(heading[:columns])
    assert lines[1].split() == ["where", "3", "66.7", "20.8–93.9", "66.7"][:columns]
