"""Promises of `myna data check`: what it prints at every width, what `--json` holds, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from myna.cli import main
from small_data import chat, clean, write

STORIES = Path(__file__).parents[2] / "examples" / "stories260K"
SECRET = "glpat-" + "Ab3" * 8


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder with something serious, a warning and a note."""
    records = [*clean(0, 12), chat("哪些学生的年龄大于二十岁？" * 9, f"token {SECRET}"), chat("Ｗho?\x07", "Nobody")]
    return write(tmp_path / "data", train=records, test=clean(11, 20))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_table_fits_the_terminal(
    width: int, bad: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["data", "check", str(bad), "--model", str(STORIES)]) == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert not any(line.endswith(" ") for line in lines)
    assert lines[0].split() == ["Split", "Examples", "50", "%", "95", "%", "Max", "Learnt"]
    assert lines[1].split()[:2] == ["train", "14"]
    headings = [tuple(line.split()[:2]) for line in lines if line.startswith(("serious", "warning", "note"))]
    assert headings[:2] == [("serious", "secrets"), ("serious", "leaked")]
    assert ("warning", "control") in headings
    assert ("note", "full-width") in headings
    assert "    train.jsonl:13" in captured.out
    assert "    test.jsonl:1 = train.jsonl:12" in captured.out
    assert captured.err == (
        f"error: {bad}: serious findings (secrets, leaked examples); mend them before training on this data or "
        "scoring with it\n"
    )
    assert SECRET not in captured.out
    assert "\x07" not in captured.out


def test_json_holds_the_findings_and_the_error(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(bad), "--json"]) == 1
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["error"]["type"] == "DataError"
    assert (result["serious"], result["warning"], result["note"]) == (2, 1, 1)
    assert result["splits"]["train"] == {"examples": 14, "lengths": None}
    leaked = result["findings"][1]
    assert {key: leaked[key] for key in ("kind", "severity", "count")} == {
        "kind": "leaked examples",
        "severity": "serious",
        "count": 1,
    }
    assert leaked["examples"][0]["where"] == "test.jsonl:1 = train.jsonl:12"
    assert SECRET not in captured.out + captured.err


def test_a_clean_folder_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, train=clean(0, 20), test=clean(20, 30))
    assert main(["data", "check", str(folder)]) == 0
    assert capsys.readouterr().out.endswith("\n\nNothing is wrong with this data.\n")
    assert main(["data", "check", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []


def test_warnings_alone_end_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, train=[*clean(0, 20), *clean(0, 1)])
    assert main(["data", "check", str(folder)]) == 0
    assert "train.jsonl:21 = train.jsonl:1" in capsys.readouterr().out


def test_keys_of_other_peoples_files_are_named_by_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, train=[{"question": "Who?", "sql": "SELECT 1"}])
    assert main(["data", "check", str(folder)]) == 1
    assert "--prompt-key question --completion-key sql" in capsys.readouterr().out.replace("\n  ", " ")
    assert main(["data", "check", str(folder), "--prompt-key", "question", "--completion-key", "sql"]) == 0


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(tmp_path / "nowhere")]) == 1
    assert "no such data folder" in capsys.readouterr().err
