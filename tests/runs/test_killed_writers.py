"""Writers that are killed at any step lose nothing old and leave nothing behind for long."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from killed_writers import killed_everywhere
from myna.builders.files import build_files
from myna.data.folder import open_folder
from myna.errors import RunError
from myna.models.adapters import read_note
from myna.runs import RunFolder, restore, write_file, write_folder

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, and kills with SIGKILL")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_file_whose_writer_was_killed_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    places = killed_everywhere("file", tmp_path)
    assert {(place / "note").read_text() for place in places} == {"old", "new"}
    assert any(len(names(place)) > 1 for place in places)
    for place in places:
        write_file(place / "other", "later")
        assert names(place) == ["note", "other"]


def test_a_folder_whose_writer_was_killed_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    old, new = {"old": "old"}, {"new": "new", "below/x": "new"}
    places = killed_everywhere("folder", tmp_path)
    missing = [place for place in places if not (place / "data").exists()]
    assert missing, "no kill came between the two renames"
    seen = []
    for place in places:
        restore(place / "data")
        seen.append(contents(place / "data"))
        assert seen[-1] in (old, new)
        with write_folder(place / "other") as folder:
            (folder / "x").touch()
        assert contents(place / "data") == seen[-1]
        assert names(place) == ["data", "other"]
    assert old in seen
    assert new in seen


def test_data_whose_builder_was_killed_is_found_by_readers_and_built_again(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"prompt": "{n}?", "completion": "{n}!"}}\n' for n in range(12)))
    places = killed_everywhere("data", tmp_path)
    missing = [place for place in places if not (place / "data").exists()]
    assert missing, "no kill came between the two renames"
    for place in places:
        opened = open_folder(place / "data")
        assert sum(split["count"] for split in opened.made["splits"].values()) in (6, 9)
        built = build_files([tmp_path / "rows.jsonl"], place / "data", size=9)
        assert sum(built.counts.values()) == 9
        assert names(place) == ["data"]


WRITER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from myna.runs import write_folder
    with write_folder(Path(sys.argv[1])) as folder:
        (folder / "half").write_text("half")
        print("writing", flush=True)
        sys.stdin.readline()
""")


@contextmanager
def a_writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun to write the folder `path` and goes on when it is given a line."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process


def a_leftover(path: Path) -> Path:
    """Return the folder that a killed writer of `path` has left."""
    with a_writer(path) as process:
        process.send_signal(signal.SIGKILL)
    (left,) = path.parent.glob(f".{path.name}.*")
    return left


def test_what_a_living_writer_writes_is_left_alone(tmp_path: Path) -> None:
    with a_writer(tmp_path / "model") as process:
        write_file(tmp_path / "note", "beside it")
        with write_folder(tmp_path / "model") as folder:
            (folder / "whole").write_text("mine")
        assert contents(tmp_path / "model") == {"whole": "mine"}
        process.communicate("\n")
        assert process.returncode == 0
    assert contents(tmp_path / "model") == {"half": "half"}  # the last one that was done
    assert names(tmp_path) == ["model", "note"]


def test_only_the_folder_of_a_killed_writer_is_removed_and_nothing_that_resembles_it(tmp_path: Path) -> None:
    left = a_leftover(tmp_path / "model")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("mine")
    (tmp_path / ".linked.12ab34cd.partial").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".mine.12ab34cd.partial").mkdir()
    (tmp_path / ".mine.12ab34cd.partial" / "mine").write_text("no lock beside it")
    (tmp_path / ".more.12ab34cd.partial").mkdir()
    (tmp_path / ".more.12ab34cd.partial" / "more.lock").write_text("")
    (tmp_path / ".more.12ab34cd.partial" / "notes").write_text("not ours")
    (tmp_path / ".file.12ab34cd.partial").write_text("mine")
    before = [name for name in names(tmp_path) if name != left.name]
    write_file(tmp_path / "note", "")
    assert names(tmp_path) == sorted([*before, "note"])
    assert (tmp_path / "elsewhere" / "precious").read_text() == "mine"


def test_a_link_in_the_folder_of_a_killed_writer_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("mine")
    left = a_leftover(tmp_path / "model")
    (left / "model" / "inside").symlink_to(tmp_path / "elsewhere")
    (left / "model.replaced").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "model").mkdir()
    write_file(tmp_path / "note", "")
    assert names(tmp_path) == ["elsewhere", "model", "note"]
    assert (tmp_path / "elsewhere" / "precious").read_text() == "mine"


def test_what_another_machine_began_on_a_shared_disk_is_left_alone(tmp_path: Path) -> None:
    left = a_leftover(tmp_path / "model")
    mine = (left / "model.lock").read_text()
    assert mine.partition("\n")[0] == platform.node()
    (left / "model.lock").write_text("another-machine\n0000")
    write_file(tmp_path / "note", "")
    assert left.is_dir()
    (left / "model.lock").write_text("another-container-here\n" + mine.partition("\n")[2])
    write_file(tmp_path / "note", "")
    assert left.is_dir() == (mine.partition("\n")[2] == "")  # Linux knows its containers


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="gives a folder to another user")
def test_what_another_user_began_is_left_alone(tmp_path: Path) -> None:
    left = a_leftover(tmp_path / "model")
    os.chown(left, 12345, 12345)
    write_file(tmp_path / "note", "")
    assert left.is_dir()


def test_folders_are_written_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "large-disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "large-disk" / "data")
    for text in ("one", "two"):
        with write_folder(tmp_path / "data") as folder:
            (folder / text).touch()
    assert (tmp_path / "data").is_symlink()
    assert names(tmp_path / "large-disk") == ["data"]
    assert names(tmp_path / "large-disk" / "data") == ["two"]


@pytest.mark.parametrize("mend", [RunFolder.open, read_note], ids=["by opening the run", "by reading the adapter"])
def test_the_adapter_that_a_killed_process_was_replacing_is_put_back(
    tmp_path: Path, mend: Callable[[Path], object]
) -> None:
    run = RunFolder.create(tmp_path / "run")
    write_file(run.recipe_path, "model: m\n")
    left = a_leftover(run.adapter_path)
    (left / "adapter.replaced").mkdir()
    (left / "adapter.replaced" / "old").touch()
    mend(run.path)
    assert names(run.adapter_path) == ["old"]
    with run.lock():
        assert names(run.path) == [".lock", "adapter", "recipe.yaml"]


def test_a_folder_that_is_a_mount_point_is_a_clear_error(tmp_path: Path) -> None:
    place = tmp_path / "mounted"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")

    def write() -> None:
        with write_folder(place) as folder:
            (folder / "x").touch()

    try:
        with pytest.raises(RunError, match=r"mounted: can't be replaced .*Name a folder inside it"):
            write()
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert names(tmp_path) == ["mounted"]
