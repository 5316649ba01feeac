"""The tutorials are true: their commands run in their order, and print what stands below them.

A block marked `console` is typed in a shell: lines with `$` are commands, the others what they print. Numbers may
differ from machine to machine, and so may what a model answers; everything else has to come, in its order. `…` stands
for lines that are left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
NEEDS = {
    "wikisql": {
        f"WikiSQL/data/{to}.{kind}": SHARED / "wikisql" / f"{name}.{part}"
        for name, to in (("train", "train"), ("test_a", "test"))
        for kind, part in (("jsonl", "exec.jsonl"), ("tables.jsonl", "tables.jsonl"))
    },
    "documents": {"cloudnative_pg_docs": SHARED / "articles" / "cloudnative_pg_docs"},
}
"""What a reader has downloaded before the first command, and where it lies here."""
ANSWERS = re.compile(r"myna (ask|chat|generate|demo)\b")


def blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a tutorial, with the lines that it shows of what the command prints."""
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        command, shown = "", []
        for line in block.splitlines():
            if goes_on(command):
                command += f"\n{line}"
                continue
            if not line.startswith("$ "):
                shown.append(line)
                continue
            if command:
                yield command, shown
            command, shown = line[2:], []
        yield command, shown


def goes_on(command: str) -> bool:
    """Whether the next line belongs to a command: after a backslash, or inside a here-document."""
    here = re.search(r"<<'(\w+)'", command)
    return command.endswith("\\") or (here is not None and command.rpartition("\n")[2] != here[1])


def without_numbers(line: str) -> str:
    """Return what has to come on every machine: spaces and digits apart."""
    return re.sub(r"[\d.,]*\d(?:e[-+]\d+)?", "#", re.sub(r"\s+", " ", line)).strip()


@pytest.mark.slow
@pytest.mark.parametrize("tutorial", sorted((ROOT / "docs" / "tutorials").glob("*.md")), ids=lambda path: path.stem)
def test_every_command_of_a_tutorial_runs_and_prints_what_is_shown(tutorial: Path, tmp_path: Path) -> None:
    for name, place in NEEDS.get(tutorial.stem, {}).items():
        if not place.exists():
            pytest.skip(f"{place.name} is not here")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(place)
    environment = {**os.environ, "COLUMNS": "100", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command, shown in blocks(tutorial.read_text(encoding="utf-8")):
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        if ANSWERS.search(command):
            continue
        printed = iter([without_numbers(line) for line in (done.stdout + done.stderr).splitlines()])
        for line in filter(None, map(without_numbers, shown)):
            assert line == "…" or line in printed, (
                f"$ {command}\nshows {line!r}, but printed\n{done.stdout}{done.stderr}"
            )
