"""The sums beside the starter model's files: what they notice, and that they hold for what ships."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from myna.models.files import STARTER_FOLDER
from myna.starter.integrity import SUMS, content_hash, damage, write_sums


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "README.md").write_text("card\n")
    write_sums(tmp_path)
    return tmp_path


def test_untouched_files_are_whole(model: Path) -> None:
    assert damage(model) == ()
    assert write_sums(model) == content_hash(model)


@pytest.mark.parametrize("name", ["model.safetensors", "README.md"])
def test_one_changed_byte_is_noticed(model: Path, name: str) -> None:
    (model / name).write_bytes((model / name).read_bytes()[:-1] + b"!")
    assert [problem.partition(":")[0] for problem in damage(model)] == [str(model / name)]


def test_a_missing_file_is_noticed(model: Path) -> None:
    (model / "README.md").unlink()
    assert damage(model) == (f"{model / 'README.md'}: missing",)


def test_missing_and_damaged_sums_are_noticed(model: Path) -> None:
    (model / SUMS).write_text("nonsense\n")
    assert "SHA256SUMS:1" in damage(model)[0]
    (model / SUMS).unlink()
    assert "can't be read" in damage(model)[0]
    assert content_hash(model) is None


def test_the_sums_are_what_sha256sum_reads(model: Path) -> None:
    done = subprocess.run(["sha256sum", "--check", SUMS], cwd=model, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["README.md: OK", "model.safetensors: OK"]


def test_the_starter_that_ships_is_whole_and_small() -> None:
    assert damage() == ()
    assert sum(path.stat().st_size for path in STARTER_FOLDER.iterdir()) <= 16e6
