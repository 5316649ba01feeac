"""Promises of `myna compare` on the command line: a table that fits the room there is, a page, and one JSON object."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compared_runs import train
from myna.cli import main
from myna.cli.compare_display import show
from myna.reports.comparing import Comparison, compare
from myna.reports.comparing.judging import JudgedAnswer
from myna.reports.comparing.measured import Generating
from myna.reports.comparing.measured import TestLoss as MeasuredLoss  # pytest takes a class named Test… for tests
from myna.reports.comparing.questions import Listed

NAMES = ("a", "rank-16-all-layers", "八哥", "run-4", "run-5", "run-6")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six runs; the first two differ, the others are the second one again."""
    place = tmp_path_factory.mktemp("compared")
    train(place, NAMES[0])
    train(place, NAMES[1], batch_size=2, lora_parameters={"rank": 4, "scale": 2.0, "dropout": 0.0})
    for name in NAMES[2:]:
        shutil.copytree(place / NAMES[1], place / name)
    return place


def shown(comparison: Comparison, width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    show(comparison, stream)
    return stream.getvalue()


def lacks_nothing(comparison: Comparison) -> Comparison:
    """Return the comparison as if all had been measured."""
    answers = (
        JudgedAnswer("SELECT 1", right=True, by="execution"),
        JudgedAnswer("SELECT x\x1b[31m FROM t " * 30, right=False, by="execution", cause="unknown column"),
        JudgedAnswer("", "the prompt is too long"),
    )
    questions = (
        Listed("data/test.jsonl:1", "How many?", None, "SELECT 1", None),
        Listed("data/test.jsonl:2", "多少?", None, "SELECT y FROM t", None),
        Listed("data/test.jsonl:3", "Why?", None, "", None),
    )
    subjects = tuple(
        replace(
            subject,
            test=MeasuredLoss(2.5 - number / 10, 12.2, 900, 40, 0, "data", "prompt", "samples", 4 * 10**8 + number),
            generating=Generating(300, 60, 2000.0 + number, 91.0),
            answers=answers,
            missing=(),
        )
        for number, subject in enumerate(comparison.subjects)
    )
    return replace(comparison, subjects=subjects, questions=questions)


def compared(place: Path, names: Sequence[str]) -> Comparison:
    return compare([place / name for name in names], measure=False)


@pytest.mark.parametrize("count", [2, 6])
@pytest.mark.parametrize("width", [200, 100, 80, 60, 40])
def test_everything_fits_and_nothing_is_left_out(
    place: Path, monkeypatch: pytest.MonkeyPatch, width: int, count: int
) -> None:
    from rich.cells import cell_len

    comparison = lacks_nothing(compared(place, NAMES[:count]))
    text = shown(comparison, width, monkeypatch)
    assert all(cell_len(line) <= width for line in text.splitlines())
    squeezed = "".join(text.split())
    for words in ("LoRArank2", "LoRArank4", "2.500", f"{2.5 - (count - 1) / 10:.3f}*"):
        assert words in squeezed
    assert all(name in squeezed for name in NAMES[:count])
    assert text.count("unknown") == count
    assert "\x1b" not in text
    assert "\\x1b[31m" in text


def test_two_runs_stand_beside_each_other(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(lacks_nothing(compared(place, NAMES[:2])), 160, monkeypatch)  # names of processors are long
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "a rank-16-all-layers"
    assert "Test loss 2.500 2.400*" in lines
    assert "Method LoRA rank 2 LoRA rank 4" in lines
    assert "Peak in testing 400 MB 400 MB" in lines  # a byte more is no worse
    assert "batch_size 3 2" in lines
    assert "Right answers 1 of 2 1 of 2" in lines
    assert "expected SELECT 1" in lines
    assert "a right SELECT 1" in lines
    assert "a (no answer: the prompt is too long)" in lines
    assert "Note: an iteration does not learn equally many examples: 3 in a; 2 in rank-16-all-layers." in lines


def test_many_runs_stand_below_each_other(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(lacks_nothing(compared(place, NAMES)), 80, monkeypatch)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "Loss train valid at test test ppl" in lines
    assert "Base model: model" in lines
    assert sum(line.startswith("run-5 ") for line in lines) >= 4


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main([*arguments, "--json"])
    written = capsys.readouterr().out
    assert written.count("\n") == 1
    return code, json.loads(written)


def test_json_and_the_page(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [str(place / name) for name in NAMES[:2]]
    code, result = as_json(capsys, "compare", *runs, "--no-measure")
    assert code == 0
    assert [run["name"] for run in result["runs"]] == list(NAMES[:2])
    assert result["comparable"]["valid"] == {"comparable": True, "differences": []}
    assert result["comparable"]["test"]["comparable"] is None
    assert result["report"] == "comparisons/a-and-rank-16-all-layers.html"
    assert "a and rank-16-all-layers, side by side" in (tmp_path / result["report"]).read_text("utf-8")


def test_wrong_use_is_said(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(place / "a")]) == 2
    assert "two run folders or more" in capsys.readouterr().err
    code, result = as_json(capsys, "compare", str(place / "a"), str(place / "nothing"), "--no-measure")
    assert code == 1
    assert result["error"]["type"] == "RunError"
    assert "no such run folder" in result["error"]["message"]
