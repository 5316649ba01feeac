"""Promises of every way a command can end: exit code, one clear message, JSON where it was asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import myna.reports
from myna.cli import main
from myna.errors import Interrupted

JSON = dict[str, Any]


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main([*arguments, "--json"])
    written = capsys.readouterr().out
    assert written.count("\n") == 1
    return code, json.loads(written)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "unknown command 'trian'; did you mean 'train'?"),
        (["data", "shw"], "unknown command 'data shw'; did you mean 'data show'?"),
        (["--jsn"], "the command comes first, before '--jsn'"),
        (["train", "--bach-size", "3"], "Unknown option: --bach-size. Did you mean --batch-size?"),
        (["train", "--batch-size", "many"], 'Invalid value for --batch-size: unable to convert "many" into int'),
        (["train", "--optimizer", "lion"], '"lion" for --optimizer'),
        (["train", "a.yaml", "--config", "b.yaml"], "two recipes: a.yaml and --config b.yaml"),
        (["train", "--resume", "r", "--rank", "3"], "so --rank can't be given with --resume"),
        (["train", "a.yaml", "--resume", "r"], "so a.yaml can't be given with --resume"),
        (["generate", "--model", "m"], "give either --prompt"),
        (["generate", "--prompt", "p"], "no model: give --model"),
        (["generate", "--prompt", "p", "--prompts-file", "f"], "give either --prompt"),
        (["generate", "--prompt", "p", "--raw", "--system-prompt", "s"], "--raw takes the prompt as it stands"),
        (["generate", "--prompt", "p", "--adapter-path", "."], "give its base model with --model"),
        (["fuse", "--model", "m"], "no adapter: give --adapter-path"),
        (["test", "--data", "d"], "no model: give --model"),
        (["test", "--model", "m"], "no data: give --data"),
        (["data", "show", "d"], "no model: give --model"),
        (["report"], "report"),
    ],
)
def test_wrong_usage_ends_with_2_and_the_next_step(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert "--help" in captured.err
    code, value = as_json(capsys, *arguments)
    assert code == 2
    assert value["error"]["type"] == "UsageError"
    assert said in value["error"]["message"]


def test_an_error_of_ours_ends_with_1_and_no_traceback(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = str(tmp_path / "none.yaml")
    assert main(["train", missing]) == 1
    captured = capsys.readouterr()
    assert captured.err == f"error: {missing}: can't read this recipe: No such file or directory\n"
    code, value = as_json(capsys, "train", missing)
    assert (code, value["error"]["type"]) == (1, "RecipeError")


def test_a_traceback_is_shown_with_debug_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["report", str(tmp_path / "none"), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code", "kind"),
    [
        (Interrupted("Saved; go on with --resume."), 130, "Interrupted"),
        (KeyboardInterrupt(), 130, "Interrupted"),
        (MemoryError(), 1, "ResourceError"),
        (ValueError("surprise"), 1, "ValueError"),
    ],
)
def test_every_exception_has_its_exit_code(
    raised: BaseException,
    code: int,
    kind: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(run: Path, scores: object) -> Path:
        raise raised

    monkeypatch.setattr(myna.reports, "write_report", fail)
    assert main(["report", "r"]) == code
    assert "Traceback" not in capsys.readouterr().err
    assert as_json(capsys, "report", "r") == (code, {"error": {"type": kind, "message": ANY}})


class _Any:
    def __eq__(self, other: object) -> bool:
        return bool(other)

    def __hash__(self) -> int:
        return 0


ANY = _Any()


def test_what_libraries_print_does_not_reach_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def chatter(run: Path, scores: object) -> Path:
        print("a library says hello")
        return run / "report.html"

    monkeypatch.setattr(myna.reports, "write_report", chatter)
    assert main(["report", "r", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"report": "r/report.html"}
    assert "a library says hello" in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "{url}"],
        ["score", "--data", "{url}", "--predictions", "p"],
        ["score", "--data", ".", "--predictions", "p", "--databases", "{url}"],
        ["data", "check", "{url}"],
        ["data", "show", "{url}", "--model", "m"],
        ["data", "database", "{url}"],
        ["data", "files", "{url}", "--out", "o"],
        ["train", "{url}"],
        ["train", "--data", "{url}", "--model", "m", "--batch-size", "{url}"],
        ["ask", "{url}", "How many?", "--model", "m"],
        ["ask", "{url}", "How many?", "--model", "m", "{url}"],
        ["compare", "{url}", "{url}"],
        ["learn", "{url}", "{url}"],
        ["learning-curve", "--data", "{url}", "--model", "m"],
        ["{url}"],
    ],
)
@pytest.mark.parametrize("scheme", ["postgresql", "postgre", "mysql"])
def test_a_password_in_a_url_is_not_repeated_wherever_it_was_typed(
    arguments: list[str], scheme: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    typed = [part.format(url=f"{scheme}://alice:Geheim-81@127.0.0.1:1/shop") for part in arguments]
    code = main([*typed, "--debug"])
    captured = capsys.readouterr()
    assert "error: " in captured.err
    code_of_json, value = as_json(capsys, *typed)
    assert code == code_of_json > 0
    assert "error" in value
    assert "Geheim" not in captured.out + captured.err + json.dumps(value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"Geheim" in path.read_bytes()]
