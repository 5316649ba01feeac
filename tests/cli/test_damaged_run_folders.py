"""Whatever is damaged in a run folder, each command that reads it ends well or says what is wrong; none crashes."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from myna import errors
from myna.cli import main
from small_runs import one_layer, small_recipe, write_data

SCALARS = (
    None,
    True,
    -1,
    0,
    1.5,
    1e308,
    10**400,
    -(10**30),
    float("nan"),
    float("inf"),
    "",
    "../../x",
    "\ud83d",
    "0" * 50,
)
VALUES = (*SCALARS, [], {}, [[1]], {"a": {"b": 1}})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished runs."""
    from myna import training

    place = tmp_path_factory.mktemp("runs")
    model, data = one_layer(place / "model"), write_data(place / "data")
    for name in ("run", "other"):
        training.train(small_recipe(model, data, place / name, iters=2, steps_per_eval=1, test=True))
    return place


def changed(value: Any, choose: random.Random) -> Any:
    """Change, or remove, something somewhere in a JSON value."""
    if not isinstance(value, dict | list) or not value or choose.random() < 0.15:
        return choose.choice(VALUES)
    key = choose.choice(list(value)) if isinstance(value, dict) else choose.randrange(len(value))
    if choose.random() < 0.2:
        del value[key]
    else:
        value[key] = changed(value[key], choose)
    return value


def change_a_value(file: Path, choose: random.Random) -> None:
    content = file.read_bytes()
    if file.suffix == ".jsonl":
        lines = content.splitlines()
        number = choose.randrange(len(lines))
        lines[number] = json.dumps(changed(json.loads(lines[number]), choose)).encode()
        file.write_bytes(b"\n".join(lines) + b"\n")
    elif file.suffix == ".yaml":
        file.write_text(yaml.safe_dump(changed(yaml.safe_load(content), choose)), encoding="utf-8")
    elif file.suffix == ".safetensors":
        size = int.from_bytes(content[:8], "little")
        header = json.dumps(changed(json.loads(content[8 : 8 + size]), choose)).encode()
        file.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + size :])
    else:
        file.write_text(json.dumps(changed(json.loads(content), choose)), encoding="utf-8")


def flip_bits(file: Path, choose: random.Random) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(choose.choice((1, 1, 3, 20))):
        content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
    file.write_bytes(content)


def cut(file: Path, choose: random.Random) -> None:
    os.truncate(file, choose.randrange(file.stat().st_size))


def move_a_line(file: Path, choose: random.Random) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    line = lines[choose.randrange(len(lines))] if choose.random() < 0.5 else lines.pop(choose.randrange(len(lines)))
    lines.insert(choose.randrange(len(lines) + 1), line)
    file.write_bytes(b"".join(lines))


def empty(file: Path, choose: random.Random) -> None:
    file.write_bytes(choose.choice((b"", b"\0" * 100, b"\xff\xfe\x00", b"\n\n")))


def nest(file: Path, choose: random.Random) -> None:
    file.write_text("[" * (50 if file.suffix == ".yaml" else 5000) + "\n", encoding="utf-8")


def replace(file: Path, choose: random.Random) -> None:
    file.unlink()
    kind = choose.choice(("nothing", "folder", "pipe"))
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe" and hasattr(os, "mkfifo"):
        os.mkfifo(file)


DAMAGES: tuple[Callable[[Path, random.Random], None], ...] = (
    change_a_value,
    change_a_value,
    change_a_value,
    flip_bits,
    flip_bits,
    cut,
    move_a_line,
    empty,
    nest,
    replace,
)
COMMANDS: dict[str, tuple[int, Callable[[Path], list[str]]]] = {
    "report": (45, lambda run: ["report", str(run)]),
    "compare": (25, lambda run: ["compare", str(run), str(run.parent / "other"), "--no-measure"]),
    "test": (8, lambda run: ["test", str(run), "--checkpoints"]),
    "resume": (8, lambda run: ["train", "--resume", str(run), "--iters", "3"]),
}
"""How often each is tried, and what it is given."""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_run_folder_gives_a_result_or_an_error_that_names_what_is_wrong(
    runs: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a comparison is written into the working folder
    shutil.copytree(runs / "other", tmp_path / "other")
    count, arguments = COMMANDS[command]
    run, ended_well = tmp_path / "run", 0
    for seed in range(count):
        choose = random.Random(f"{command} {seed}")
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(runs / "run", run)
        files = sorted(path for path in run.rglob("*") if path.is_file() and path.stat().st_size)
        beside = [path for path in files if path.parent == run]
        file, damage = choose.choice(choose.choice((files, beside))), choose.choice(DAMAGES)
        damage(file, choose)
        told = f"{damage.__name__} of {file.relative_to(run)}, seed {seed}"
        code = main([*arguments(run), "--json"])
        answer = json.loads(capsys.readouterr().out)
        error = answer.get("error") if isinstance(answer, dict) else None
        if error is None:
            assert code == 0, told
            ended_well += 1
        else:
            assert hasattr(errors, error["type"]) or error["type"] == "UsageError", f"{told}: {error}"
            assert str(run) in error["message"] or error["type"] == "UsageError", f"{told}: {error}"
    assert 0 < ended_well < count
