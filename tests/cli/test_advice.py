"""What an error advises can be done: its flags exist, its commands can be typed, and it says whose flags they are."""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import myna
from myna.cli import chat, line_editing, main
from myna.cli.advice import flags_of, named_flags, other_commands_flags
from myna.cli.application import build_app
from myna.cli.commands import GROUPS
from myna.errors import DataError

SOURCES = Path(myna.__path__[0])
OTHER_PROGRAMS = {
    "--force-reinstall",  # pip
    "--db",  # Spider's evaluator
    "--table",
    "--keep_distinct",
}
HAVE_FLAGS = {
    command.name: flags_of(build_app(), command.name) | {"--help"} for group in GROUPS.values() for command in group
}
ALL_FLAGS = set().union(*HAVE_FLAGS.values(), {"--version"})


def nodes() -> Iterator[tuple[str, list[ast.AST]]]:
    for file in sorted(SOURCES.rglob("*.py")):
        yield str(file.relative_to(SOURCES)), list(ast.walk(ast.parse(file.read_text("utf-8"))))


def joined_texts() -> Iterator[tuple[str, ast.JoinedStr]]:
    for file, every in nodes():
        yield from ((f"{file}:{node.lineno}", node) for node in every if isinstance(node, ast.JoinedStr))


def texts() -> Iterator[tuple[str, str]]:
    """Every text in the sources that is no docstring; what is filled into it stands as `{}`."""
    for file, every in nodes():
        passed_over = {id(node.value) for node in every if isinstance(node, ast.Expr)}
        passed_over |= {id(part) for node in every if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in every:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed_over:
                yield f"{file}:{node.lineno}", node.value
            elif isinstance(node, ast.JoinedStr):
                yield f"{file}:{node.lineno}", _written(node)


def _written(node: ast.JoinedStr) -> str:
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def test_every_flag_in_a_text_of_ours_exists_and_belongs_to_the_command_it_is_shown_with() -> None:
    seen = set()
    for where, text in texts():
        for command, flag in named_flags(text):
            if flag.replace("-", "_") in {name.replace("-", "_") for name in OTHER_PROGRAMS}:
                continue
            if text.startswith(("--", "-")) and " " not in text and flag not in ALL_FLAGS:
                continue  # an argument of another program, or of Python
            known = ALL_FLAGS if command is None else HAVE_FLAGS[command]
            assert flag in known, f"{where}: {flag} of myna {command or ''} in {text!r}"
            seen.add(flag)
    assert len(seen) > 40


QUOTED_BEFORE = {
    *("quoted", "run", "fused", "this", "another", "settings", "adapter"),  # results of shlex.quote, in the lines above
    *("turns", "wanted", "names", "2 * step"),  # words and numbers of our own
    *("older['builder']", "of"),  # words about a command, not to be typed
}


def test_what_is_filled_into_a_command_to_type_is_quoted_for_the_shell() -> None:
    """`myna train --resume {path}` with a space in the path would be another command."""
    command = re.compile(r"\bmyna (?:train|model|data|generate|score|test|fuse|chat|ask)\b(?:(?![;\n]|\. ).)*$")
    unquoted = []
    for where, node in joined_texts():
        before = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                before += str(part.value)
                continue
            filled = ast.unparse(part.value) if isinstance(part, ast.FormattedValue) else ""
            if command.search(before) and "shlex." not in filled and filled not in QUOTED_BEFORE:
                unquoted.append(f"{where}: {filled} in {_written(node)}")
            before += "x"
    assert not unquoted, "\n".join(unquoted)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("set --size 3, or --seed 1", [(None, "--size"), (None, "--seed")]),
        ("go on with: myna train --resume 'a b.c' --iters 3", [("train", "--resume"), ("train", "--iters")]),
        ("myna train --resume r or choose --adapter-path s", [("train", "--resume"), (None, "--adapter-path")]),
        ("myna data files F --out N; then --size", [("data files", "--out"), (None, "--size")]),
        ("x --- y --_z a--b", []),
    ],
)
def test_flags_are_found_with_the_command_they_belong_to(text: str, found: list[tuple[str | None, str]]) -> None:
    assert list(named_flags(text)) == found


def test_a_flag_that_the_command_lacks_is_said_to_be_anothers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test.jsonl").write_text('{"question": "q", "sql": "s"}\n', "utf-8")
    (tmp_path / "p.sql").write_text("SELECT 1\n", "utf-8")
    command = ["score", "--data", str(tmp_path), "--predictions", str(tmp_path / "p.sql")]
    said = "--prompt-key and --completion-key are flags of myna data check, data show, train and learning-curve, not of"
    assert main(command) == 1
    assert f"\n{said} myna score.\n" in capsys.readouterr().err
    assert main([*command, "--json"]) == 1
    assert f"\n{said} myna score." in json.loads(capsys.readouterr().out)["error"]["message"]
    (tmp_path / "train.jsonl").write_text('{"question": "q", "sql": "s"}\n', "utf-8")
    assert main(["data", "show", str(tmp_path), "--model", "starter"]) == 1
    assert "not of" not in capsys.readouterr().err


def test_words_that_only_look_like_flags_say_nothing() -> None:
    assert other_commands_flags("no such column: --nothing; use --size", "score", build_app()) == ""


def test_standard_input_that_is_not_utf_8_is_one_clear_error() -> None:
    command = [sys.executable, "-m", "myna", "generate", "--model", "starter", "--prompt", "-"]
    done = subprocess.run(command, input=b"caf\xe9\n", capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.decode() == (
        "error: standard input: holds the byte 0xe9, which is not UTF-8 there; "
        "convert it first: iconv -f OLD-ENCODING -t UTF-8\n"
    )


@pytest.mark.parametrize("next_line", [lambda: line_editing.next_line("> "), chat._next_line])
def test_a_conversation_ends_at_input_that_is_not_utf_8(
    next_line: Callable[[], str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stream)
    with pytest.raises(DataError, match="holds the byte 0xe9"):
        next_line()
