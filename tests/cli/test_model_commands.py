"""`myna model get`, `info` and `convert` on the command line: what they print, and what `--json` gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from myna.cli import main
from myna.models.files import find
from tiny_models import save_tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models") / "tiny", "llama")


def test_convert_writes_a_folder_and_says_so(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "mlx"
    assert main(["model", "convert", str(tiny), "--to", "mlx", "-o", str(target), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written == {
        "folder": str(target),
        "source": "huggingface",
        "to": "mlx",
        "tensors": 30,
        "bytes": sum(info.bytes for info in find(str(tiny)).tensors.values()),
        "notices": [],
    }
    assert main(["model", "convert", str(tiny), "--to", "mlx", "-o", str(target)]) == 1
    assert "exists already; give the name of a new folder" in capsys.readouterr().err


def test_convert_needs_to_know_where_and_whose(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "convert", str(tiny), "--to", "mlx"]) == 2
    assert "--output" in capsys.readouterr().err
    assert main(["model", "convert", str(tiny), "--to", "gguf", "-o", "x"]) == 2
    assert "gguf" in capsys.readouterr().err


def test_get_checks_a_folder(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "get", str(tiny), "--json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["folder"] == str(tiny)
    assert got["layout"] == "huggingface"
    assert got["bytes"] == sum(file.stat().st_size for file in tiny.iterdir())


def test_info_tells_memory_and_disagreement(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "info", str(tiny)]) == 0
    shown = capsys.readouterr().out
    assert "Memory       32 bits" in shown
    assert "Agreement    the folder has no tokenizer" in shown
