"""Promises of `myna learn`: what a person sees, what a program reads, and exit codes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from learning_school import AGES, NAMES, correct, train, write_data, write_school
from myna.cli import main

WORSE = "SELECT years FROM students"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that answers nothing rightly yet, and corrections: one that runs no more, one whose text steers."""
    place = tmp_path_factory.mktemp("learn")
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")
    both = "CREATE TABLE students (name TEXT, age INTEGER, years INTEGER); INSERT INTO students VALUES ('Ada', 20, 20);"
    database = write_school(place / "school.sqlite", both)
    train(place, write_data(place / "data", database), iters=1)
    pairs = ("What are the ages?", AGES), ("Years?", WORSE), ("Who\x1b[2J is here?", NAMES)
    correct(place / "corrections.jsonl", database, *pairs)
    write_school(database)
    return place


@pytest.fixture
def place(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder the user is in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(made / "cache"))
    monkeypatch.chdir(made)
    return made


LEARN = ["learn", "run", "corrections.jsonl", "--workers", "1", "-m", "4", "--iters", "1", "--size", "1"]


def test_a_person_sees_what_is_left_out_what_changed_and_what_is_kept(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*LEARN, "--out", "shown"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[:4] == [
        "1 correction left out",
        "  corrections.jsonl:2  Years?",
        f"    {WORSE}",
        lines[3],
    ]
    assert "years" in lines[3]
    wrong = lines.index("Still wrong (3)")
    assert lines[wrong + 1] == "  corrections.jsonl:1 (trained)  What are the ages?"
    assert lines[wrong + 2] == f"    gold    {AGES}"
    assert lines[wrong + 3].startswith("    before  ")
    assert r"  corrections.jsonl:3 (trained)  Who\x1b[2J is here?" in lines
    assert "\x1b" not in captured.out
    table = lines.index("Right                before  after  of")
    assert [line.split() for line in lines[table + 1 : table + 3]] == [
        ["Test", "0", "0", "1"],
        ["Trained", "corrections", "0", "0", "2"],
    ]
    kept = "both are right on 0 of 1 questions (the test), and the new one is not right on more corrections"
    assert f"Kept the old adapter: {kept}." in lines
    assert lines[-1] == f"Report   {place / 'shown' / 'report.html'}"
    assert (place / "shown" / "report.html").is_file()
    stages = [line for line in captured.err.splitlines() if line.endswith(" …")]
    assert stages[0] == "Checking the corrections in corrections.jsonl …"
    assert stages[1:] == [
        f"Scoring the adapter of {place / 'run'} …",
        f"Learning 2 corrections in {place / 'shown'} …",
        "Scoring what was learnt …",
    ]


def test_a_program_reads_the_same_as_data(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*LEARN, "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    result = json.loads(out)
    run = place / "run-learnt"
    assert result["run"] == str(run)
    assert result["adapter"] == str(run / "adapter")
    assert result["kept"] == "old"
    trained = result["scores"]["trained"]
    assert (trained["before"]["right"], trained["after"]["right"], trained["after"]["of"]) == (0, 0, 2)
    assert [each["group"] for each in result["still_wrong"]] == ["test", "trained", "trained"]
    assert set(result["still_wrong"][0]) == {"kind", "group", "where", "question", "gold", "before", "after"}
    (left_out,) = result["left_out"]
    assert left_out["where"] == "corrections.jsonl:2"
    assert (result["fixed"], result["newly_wrong"], result["still_right"]) == ([], [], 0)
    assert json.loads((run / "learning" / "result.json").read_text("utf-8")) == {
        name: value for name, value in result.items() if name != "report"
    }


def test_what_can_not_be_learnt_is_one_message(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", "run", "none.jsonl"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: none.jsonl: no such file of corrections")
    shutil.copyfile(place / "data" / "train.jsonl", place / "train.jsonl")
    assert main(["learn", "run", "train.jsonl", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "DataError"
    assert error["message"].startswith('train.jsonl:1: no "correction" key (found: messages, sql)')
    assert main(["learn", "run"]) == 2
    assert not (place / "run-learnt-2").exists()
