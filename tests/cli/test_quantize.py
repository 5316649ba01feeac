"""`myna model quantize`, fusing from the command line, and what is said of an adapter on another base."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from myna.cli import main
from myna.models.files import find
from myna.models.quantization import Packing
from packed_models import WIDE, save_packed
from tiny_models import save_tiny


def test_flags_become_settings_and_json_tells_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = save_tiny(tmp_path / "base", "llama", **WIDE)
    flags = ["--q-bits", "4", "--q-group-size", "32", "--override", "down_proj=8", "up_proj=3x32", "--keep", "lm_head"]
    assert main(["model", "quantize", str(base), "-o", str(tmp_path / "q"), *flags, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["layers"] == 1 + 3 * 7
    assert value["kept"] == ["lm_head"]
    assert 4 < value["bits_per_weight"] < 32
    files = find(value["folder"])
    assert files.usual_packing == Packing(4, 32)
    assert files.packing("model.layers.0.mlp.down_proj") == Packing(8, 32)
    assert files.packing("model.layers.0.mlp.up_proj") == Packing(3, 32)

    assert main(["model", "info", value["folder"]]) == 0
    shown = capsys.readouterr().out
    few = "8 bits in groups of 32 (3 layers), 3 bits in groups of 32 (3 layers)"
    assert f"Quantised    mlx: 4 bits in groups of 32 (16 layers), {few}\n" in shown
    assert " kB in 1 file\n" in shown


@pytest.mark.parametrize(
    "override", ["down_proj", "down_proj=", "=4", "down_proj=4x", "down_proj=four", "down_proj=4x32x"]
)
def test_an_override_that_cannot_be_read_is_wrong_usage(override: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "quantize", "m", "--override", override]) == 2
    assert "expected LAYER=BITS or LAYER=BITSxGROUP_SIZE" in capsys.readouterr().err


def test_an_adapter_that_is_not_there_is_not_taken_for_one_without_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuse", "--adapter-path", "runs/nowhere"]) == 2
    assert "--adapter-path runs/nowhere: there is no such run or adapter" in capsys.readouterr().err


def test_full_fine_tuning_of_a_quantised_base_ends_before_anything_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = save_packed(tmp_path, "llama")
    arguments = ["train", "--model", str(base), "--data", str(tmp_path), "--fine-tune-type", "full"]
    assert main([*arguments, "--adapter-path", str(tmp_path / "run")]) == 1
    assert "packed weights can't be trained themselves" in capsys.readouterr().err
