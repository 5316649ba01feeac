"""Promises of `myna --help`: it starts at once, tells every command, and is plain where no person looks."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from rich.console import Console

import myna
from myna.cli import main
from myna.cli.application import build_app
from myna.cli.commands import GROUPS, overview

ROOT = Path(__file__).parents[2]
HEAVY = ("cyclopts", "rich", "numpy", "torch", "pydantic", "transformers")
COMMANDS = [command for group in GROUPS.values() for command in group]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["--version"], ["data"], ["model", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from myna.cli import main; code = main(sys.argv[1:]);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr == "[] 0\n"
    assert done.stdout


def test_importing_myna_imports_nothing_heavy() -> None:
    program = f"import sys, myna; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_public_name_is_found() -> None:
    assert {name: getattr(myna, name) for name in myna.__all__}.keys() == set(dir(myna))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        myna.trian  # noqa: B018


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert myna.__version__ == project["version"]


def test_every_command_stands_in_the_overview_with_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command.name} " in shown
        assert command.summary in shown
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_of_the_table_exists_and_has_help(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(command, tuple)
    module, function = command.target.split(":")
    assert callable(getattr(import_module(f"myna.cli.{module}"), function))
    assert main([*command.name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: myna {command.name}" in shown
    assert "--json" in shown
    assert "--debug" in shown


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_flag_of_every_command_says_what_it_does(command: object) -> None:
    assert isinstance(command, tuple)
    app = build_app()
    app.help_formatter = "plain"
    shown = io.StringIO()
    app.help_print(command.name.split(), console=Console(file=shown, width=500))
    flags = [line for line in shown.getvalue().splitlines() if line.startswith(("  --", "  * --"))]
    assert len(flags) >= 2
    assert [flag for flag in flags if not re.search(r": [A-Z0-9a]", flag)] == []


def test_colours_are_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1m" in overview(Terminal())
    assert "\x1b" not in overview(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in overview(Terminal())


def test_output_is_utf_8_in_any_locale(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
    }
    asked = [sys.executable, "-m", "myna", "report", str(tmp_path / "八哥")]
    done = subprocess.run(asked, capture_output=True, env=environment, check=False)
    assert done.returncode == 1
    assert "八哥: there is no such run folder" in done.stderr.decode("utf-8")


def test_a_reader_that_has_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "myna", "--help"], stdout=writing, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writing)
    assert done.returncode == 141
    assert done.stderr == b""
