from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from myna.errors import ResourceError, RunError
from myna.runs import EventLog, RunFolder, read_events, write_file, write_folder, writing


def a_run(path: Path) -> RunFolder:
    run = RunFolder.create(path)
    write_file(run.recipe_path, "model: m\n")
    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the kernel refuse to write files beyond `size` bytes, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_file(tmp_path / "a", "one")
    write_file(tmp_path / "a", "zwei 二".encode())
    assert (tmp_path / "a").read_text(encoding="utf-8") == "zwei 二"
    assert names(tmp_path) == ["a"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with write_folder(tmp_path / "deep" / "adapter") as folder:
            (folder / text).write_text(text)
    assert names(tmp_path / "deep") == ["adapter"]
    assert names(tmp_path / "deep" / "adapter") == ["two"]


def test_the_working_folder_is_not_replaced_under_its_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")

    def write(path: Path) -> None:
        with write_folder(path) as folder:
            (folder / "new").touch()

    for path in (Path(), Path(".."), tmp_path / "data"):
        with pytest.raises(RunError, match="the folder that you are in can't be replaced"):
            write(path)
    assert names(tmp_path) == ["data"]


def test_a_failure_inside_leaves_the_old_folder(tmp_path: Path) -> None:
    with write_folder(tmp_path / "adapter") as folder:
        (folder / "old").write_text("old")

    def fail() -> None:
        with write_folder(tmp_path / "adapter") as folder:
            (folder / "new").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names(tmp_path) == ["adapter"]
    assert names(tmp_path / "adapter") == ["old"]


def test_a_file_the_kernel_refuses_is_a_clear_error_and_the_old_one_stays(tmp_path: Path) -> None:
    write_file(tmp_path / "a", "old")
    with largest_file(1000), pytest.raises(ResourceError, match=r"a: the disk is full .*intact"):
        write_file(tmp_path / "a", b"x" * 2000)
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, where this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=256k", "myna-test", str(disk)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_a_clear_error_and_the_old_folder_stays(small_disk: Path) -> None:
    with write_folder(small_disk / "000100") as folder:
        safetensors.numpy.save_file({"a": np.ones(10_000, np.float32)}, folder / "optimizer.safetensors")
    before = (small_disk / "000100" / "optimizer.safetensors").read_bytes()

    def fill(step: str) -> None:
        with write_folder(small_disk / step) as folder:
            safetensors.numpy.save_file({"a": np.ones(100_000, np.float32)}, folder / "optimizer.safetensors")

    for step in ("000100", "000200"):
        with pytest.raises(ResourceError, match="the disk is full"):
            fill(step)
    assert names(small_disk) == ["000100"]
    assert (small_disk / "000100" / "optimizer.safetensors").read_bytes() == before


def test_a_full_disk_tears_no_line_of_the_log(small_disk: Path) -> None:
    def fill(log: EventLog) -> None:
        for number in range(100_000):
            log.append({"number": number, "text": "x" * 300})

    with EventLog(small_disk / "log.jsonl") as log, pytest.raises(ResourceError):
        fill(log)
    events = read_events(small_disk / "log.jsonl")
    assert [event["number"] for event in events] == list(range(len(events)))
    assert (small_disk / "log.jsonl").read_bytes().endswith(b"\n")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_read_only_place_is_a_run_error_that_names_it(tmp_path: Path, number: int) -> None:
    said = f"{re.escape(str(tmp_path))}: can't be written .*; choose a folder that you may write to"
    with pytest.raises(RunError, match=said), writing(tmp_path):
        raise OSError(number, os.strerror(number))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_run_in_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(RunError, match="can't be written"):
        RunFolder.create(tmp_path / "run")


def test_a_run_in_a_read_only_file_system_is_refused(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for place in (small_disk / "run", small_disk):
        with pytest.raises(RunError, match=r"can't be written .*; choose a folder"):
            RunFolder.create(place)


def test_a_run_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    with pytest.raises(RunError, match=r"nothing saved yet.*--resume .*run or .*--adapter-path .*run-2"):
        RunFolder.create(tmp_path / "run")
    run.checkpoint(200).mkdir(parents=True)
    with pytest.raises(RunError, match="saved up to iteration 200"):
        RunFolder.create(tmp_path / "run")


def test_a_folder_of_something_else_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / ".git").mkdir()
    for place in (tmp_path, tmp_path / "hidden", tmp_path / "notes.txt"):
        with pytest.raises(RunError, match="exists already and is not a run"):
            RunFolder.create(place)


def killed_while_writing(path: Path) -> Path:
    """Return the folder that a killed writer of the folder `path` has left."""
    program = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from myna.runs import write_folder
        with write_folder(Path(sys.argv[1])) as folder:
            (folder / "half").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == -signal.SIGKILL
    (left,) = path.parent.glob(f".{path.name}.*.partial")
    return left


def test_an_empty_folder_and_one_that_never_began_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with RunFolder.create(tmp_path / "run").lock():
        pass
    killed_while_writing(tmp_path / "run" / "recipe.yaml")
    run = RunFolder.create(tmp_path / "run")
    with run.lock():
        assert names(run.path) == [".lock"]


def test_unused_names_count_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RunFolder.unused(tmp_path / "run") == tmp_path / "run"
    (tmp_path / "run").mkdir()
    (tmp_path / "run-2").mkdir()
    assert RunFolder.unused(tmp_path / "run") == tmp_path / "run-3"
    monkeypatch.chdir(tmp_path / "run")
    assert RunFolder.unused(Path()) == tmp_path / "run-3"


@pytest.mark.parametrize("place", ["missing", "."])
def test_what_is_not_a_run_is_not_opened(tmp_path: Path, place: str) -> None:
    with pytest.raises(RunError, match=r"no such run folder|not a run folder"):
        RunFolder.open(tmp_path / place)


def test_checkpoints_are_listed_by_step(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    assert run.checkpoints() == []
    for step in (1_000_000, 200, 100):
        run.checkpoint(step).mkdir(parents=True)
    (run.path / "checkpoints" / ".000300.12ab34cd.partial").mkdir()
    assert [step for step, _ in run.checkpoints()] == [100, 200, 1_000_000]


def test_who_writes_into_a_run_cleans_up_after_a_killed_process(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    killed_while_writing(run.checkpoint(300))
    killed_while_writing(run.environment_path)
    with run.lock():
        assert names(run.path) == [".lock", "checkpoints", "recipe.yaml"]
    assert names(run.path / "checkpoints") == []


def test_opening_a_run_leaves_alone_what_is_being_written_into_it(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    with write_folder(run.checkpoint(300)) as checkpoint, write_folder(run.adapter_path) as adapter:
        before = sorted(run.path.rglob("*"))
        RunFolder.open(run.path)
        with run.lock():  # even who writes into the run may meet somebody who writes its report
            pass
        assert sorted(path for path in run.path.rglob("*") if path.name != ".lock") == before
        assert checkpoint.is_dir()
        assert adapter.is_dir()


def test_two_processes_never_write_into_one_run(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    holder = textwrap.dedent("""
        import sys
        from pathlib import Path
        from myna.runs import RunFolder
        with RunFolder.open(Path(sys.argv[1])).lock():
            print("held", flush=True)
            sys.stdin.read()
    """)
    command = [sys.executable, "-c", holder, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "held\n"
        partial = killed_while_writing(run.adapter_path)
        with pytest.raises(RunError, match="another process is training into this run"), run.lock():
            pass
        RunFolder.open(run.path)  # reading is allowed, and leaves alone what the other is writing
        assert partial.is_dir()
        process.send_signal(signal.SIGKILL)
    with run.lock():  # a killed process holds nothing
        assert not partial.exists()


def test_discarding_leaves_nothing(tmp_path: Path) -> None:
    a_run(tmp_path / "run").discard()
    assert names(tmp_path) == []


@given(
    st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)))
)
def test_the_log_gives_back_what_was_appended(events: list[dict[str, object]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.jsonl")
        half = len(events) // 2
        for part in (events[:half], events[half:]):
            with EventLog(path) as log:
                for event in part:
                    log.append(event)
        assert read_events(path) == events


@given(st.integers(0, 200_000), st.integers(0, 3))
def test_a_torn_last_line_is_dropped(torn: int, whole: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.jsonl")
        path.write_bytes(b'{"a": 1}\n' * whole + b"x" * torn)
        assert read_events(path) == [{"a": 1}] * whole
        with EventLog(path) as log:
            log.append({"b": 2})
        assert read_events(path) == [*[{"a": 1}] * whole, {"b": 2}]


def test_the_log_goes_back_to_a_checkpoint(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log.jsonl") as log:
        log.append({"iteration": 1})
        size = log.size
        log.append({"iteration": 2})
        log.truncate(size)
        log.append({"iteration": 3})
        log.truncate(10_000)  # never makes it longer
    assert [event["iteration"] for event in read_events(tmp_path / "log.jsonl")] == [1, 3]


def test_a_line_that_was_changed_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"a": 1}\n[]\n')
    with pytest.raises(RunError, match=r"log\.jsonl:2: not a JSON object"):
        read_events(tmp_path / "log.jsonl")
    with pytest.raises(RunError, match="no event log"):
        read_events(tmp_path / "nothing.jsonl")
