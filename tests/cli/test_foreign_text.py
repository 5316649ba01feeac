"""Text that others wrote is shown and never obeyed: by no terminal, not as markup, and not in a Markdown file."""

from __future__ import annotations

import ast
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.numpy

import myna.cli
import myna.reports
from myna.cli import compare_display, main, train_display
from myna.cli.ask_display import progress
from myna.cli.line_editing import Completer
from myna.cli.terminal import report_error, say, show_text, write_json
from myna.foreign_text import markdown, visible
from myna.reports.comparing.processes import Progress
from myna.training.events import Notice, Saved

STORIES = Path(__file__).parents[2] / "examples" / "stories260K"

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202egnp\u2066\u200bx[red]y[/red][link=file:/etc]:warning:[/]"
STEERING = ("\x1b]0;", "\x1b[2J", "\x9b", "\x07", "\u202e", "\u2066", "\u200b", "\u26a0")
LEGITIMATE = "姓名　是 👩‍🔬🏳️‍🌈 سلام می‌خواهم שלום é ۝"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put standard output and standard error at one terminal."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def assert_harmless(text: str) -> None:
    assert not [each for each in STEERING if each in text]
    assert r"\x1b]0;title\x07\x1b[2J\x9b31m\u202egnp\u2066\u200bx[red]y[/red][link=file:/etc]:warning:[/]" in text


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A real model whose files say hostile things wherever they are free to."""
    folder = tmp_path / f"model {HOSTILE.replace('/', '')}"
    shutil.copytree(STORIES, folder)
    for name, changes in (
        ("config.json", {"model_type": HOSTILE, "eos_token_id": 9999}),
        ("tokenizer_config.json", {"eos_token": HOSTILE, "chat_template": [{"name": HOSTILE, "template": "x"}]}),
    ):
        file = folder / name
        content = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        file.write_text(json.dumps({**content, **changes}), "utf-8")
    return folder


def test_a_model_is_described_without_being_obeyed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    assert main(["model", "info", str(model)]) == 0
    assert_harmless(terminal.getvalue())


def test_a_hostile_architecture_is_an_error_that_shows_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    config = json.loads((model / "config.json").read_text("utf-8"))
    (model / "config.json").write_text(json.dumps({**config, "architectures": [HOSTILE]}), "utf-8")
    assert main(["generate", "--model", str(model), "--prompt", "x"]) == 1
    assert main(["model", "convert", str(model), "--to", "mlx", "-o", str(model) + "-new"]) in (0, 1)
    assert not [each for each in STEERING if each in terminal.getvalue()]
    assert r"\x1b]0;title" in terminal.getvalue()


def test_tensors_are_named_without_being_obeyed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    tensors = safetensors.numpy.load_file(model / "model.safetensors")
    name = next(iter(tensors))
    tensors[f"{name}{HOSTILE}"] = tensors.pop(name)
    safetensors.numpy.save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    for command in (["model", "info"], ["model", "quantize", "-o", str(model) + "-new"], ["generate", "-p", "x"]):
        given = ["--model", str(model)] if command[0] == "generate" else [str(model)]
        main([*command, *given])
    assert not [each for each in STEERING if each in terminal.getvalue()]


def test_an_error_is_shown_with_its_escapes_on_a_terminal_and_off_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    assert main(["report", HOSTILE]) == 1
    assert_harmless(terminal.getvalue())
    report_error("RunError", f"first line\n\t{HOSTILE}", as_json=False)
    assert "first line\n\t\\x1b]0;title" in terminal.getvalue()


def test_a_piped_error_and_a_traceback_are_shown_with_their_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", HOSTILE, "--debug"]) == 1
    written = capsys.readouterr().err
    assert "Traceback" in written
    assert_harmless(written)


def test_progress_takes_names_neither_for_markup_nor_for_emoji_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    with compare_display.progress(terminal) as listener:
        listener(Progress(HOSTILE, "answering", 1, 2))
    with train_display.display(terminal) as listener:
        listener(Saved(1, HOSTILE))
        listener(Notice(1, HOSTILE))
    with progress(terminal) as listener:
        listener("repairing", HOSTILE)
    assert_harmless(terminal.getvalue())


def test_lines_that_are_no_progress_are_shown_as_they_are_written() -> None:
    stream = io.StringIO()
    with train_display.display(stream) as listener:
        listener(Notice(1, HOSTILE))
    with compare_display.progress(stream) as listener:
        listener(Progress(HOSTILE, "testing"))
    assert stream.getvalue().count("\n") == 2
    assert_harmless(stream.getvalue())


def test_a_line_break_in_a_name_forges_no_line() -> None:
    stream = io.StringIO()
    say("Note: x\nerror: all is lost\r\u2028", stream=stream)
    assert stream.getvalue() == "Note: x\\nerror: all is lost\\r\\u2028\n"


def test_an_answer_is_exact_where_it_is_piped_and_obeyed_by_no_terminal() -> None:
    piped, terminal = io.StringIO(), Terminal()
    for piece in (HOSTILE, "\n", "\tSELECT"):
        show_text(piece, piped)
        show_text(piece, terminal)
    assert piped.getvalue() == f"{HOSTILE}\n\tSELECT"
    assert_harmless(terminal.getvalue())
    assert terminal.getvalue().endswith("\n\tSELECT")


def test_json_keeps_text_exactly_and_is_safe_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    write_json({"text": HOSTILE, "other": LEGITIMATE})
    assert json.loads(terminal.getvalue()) == {"text": HOSTILE, "other": LEGITIMATE}
    assert not [each for each in STEERING if each in terminal.getvalue()]
    assert LEGITIMATE in terminal.getvalue()


def test_text_of_every_script_and_emoji_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    for shown in (visible(LEGITIMATE), markdown(LEGITIMATE)):
        assert shown.split() == LEGITIMATE.split()
    say(LEGITIMATE)
    show_text(f"{LEGITIMATE}\n", terminal)
    assert terminal.getvalue() == f"{LEGITIMATE}\n" * 2


def test_markdown_shows_text_as_it_stands() -> None:
    assert markdown("# a\n[b](c) <img> `d` *e* _f_ \x1b") == r"\# a \[b](c) \<img> \`d\` \*e\* \_f\_ \\x1b"


def test_names_that_a_terminal_would_obey_are_not_offered_for_completion() -> None:
    complete = Completer(["students", f"stu{HOSTILE}", "stu\u202e"])
    assert [complete("stu", number) for number in range(2)] == ["students", None]


@pytest.mark.skipif(sys.platform == "win32", reason="names of files are text there")
def test_a_file_name_that_is_not_utf_8_is_exact_in_a_pipe_and_escaped_for_people(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff\x1b[2J"
    done = subprocess.run([sys.executable, "-m", "myna", "report", name], capture_output=True, check=False)
    assert done.returncode == 1
    assert rb"/\udcff\x1b[2J: there is no such run folder" in done.stderr
    done = subprocess.run([sys.executable, "-m", "myna", "report", name, "--json"], capture_output=True, check=False)
    message = json.loads(done.stdout.decode("utf-8"))["error"]["message"]
    assert os.fsencode(message).startswith(name)


def test_what_libraries_log_and_warn_of_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    program = (
        "import logging, warnings; from myna.foreign_text import make_logs_visible; make_logs_visible();"
        f"logging.getLogger('library').warning('%s', {HOSTILE!r}); warnings.warn({HOSTILE!r})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for line in done.stderr.splitlines()[:2]:
        assert_harmless(line)


# One way out


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(Path(myna.cli.__path__[0]).glob("*.py")):
        yield file.name, ast.parse(file.read_text("utf-8"))


def _calls(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_only_one_module_writes_to_the_terminal() -> None:
    """What is written elsewhere would have to be made safe there; `say`, `show_text` and `rich_console` do it."""
    own = {"__init__.py": {"print", "sys.stdout.write"}}  # help and version, our own words
    forbidden = {"print", "sys.stdout.write", "sys.stderr.write", "Console", "rich.console.Console"}
    for name, tree in _modules():
        if name != "terminal.py":
            assert not set(_calls(tree)) & forbidden - own.get(name, set()), name


def test_the_library_prints_nothing() -> None:
    for file in sorted(Path(myna.__path__[0]).rglob("*.py")):
        if file.parent.name != "cli":
            assert not {"print", "sys.stdout.write", "sys.stderr.write"} & set(
                _calls(ast.parse(file.read_text("utf-8")))
            )
