"""The folder of a demo: what may be written over, and what never."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from myna.errors import ResourceError, RunError
from myna.starter.place import MARK, fresh_place


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    with fresh_place(tmp_path / "some" / "where") as place:
        assert not place.again
        assert (place.folder / MARK).is_file()


def test_an_earlier_demo_is_made_anew_and_nothing_else_in_its_folder_is_touched(tmp_path: Path) -> None:
    with fresh_place(tmp_path / "demo") as place:
        place.run.mkdir()
        place.recipe.write_text("model: starter\n")
        (place.folder / "my-notes.txt").write_text("mine")
    with fresh_place(tmp_path / "demo") as place:
        assert place.again
        assert not place.run.exists()
        assert not place.recipe.exists()
        assert (place.folder / "my-notes.txt").read_text() == "mine"


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "students.sqlite").write_text("years of work")
    with pytest.raises(RunError, match="exists and holds no demo"), fresh_place(tmp_path / "thesis"):
        pass
    assert (tmp_path / "thesis" / "students.sqlite").read_text() == "years of work"


def test_a_file_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"), fresh_place(tmp_path / "file"):
        pass


def test_a_place_that_cannot_be_written_to_says_which_command_names_another(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="myna demo FOLDER"), fresh_place(Path("/proc/demo")):
        pass


def test_two_demos_cannot_be_at_one_place(tmp_path: Path) -> None:
    with (
        fresh_place(tmp_path / "demo"),
        pytest.raises(RunError, match="another process is at work on the demo"),
        fresh_place(tmp_path / "demo"),
    ):
        pass


def test_a_disk_without_room_is_said_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=5_000_000))
    with pytest.raises(ResourceError, match="5 MB are free"), fresh_place(tmp_path / "demo"):
        pass
