"""A run whose folder was damaged, changed or made by somebody else: what is intact is used, and the rest is named."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from myna import training
from myna.errors import Interrupted, RunError
from myna.recipe import from_yaml, to_yaml
from myna.runs import RunFolder, write_file
from myna.training.events import DataRead, Event, Notice, Step
from small_runs import contents, events, history, small_recipe, sums, write_data, write_lines


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A folder with data, a run that was interrupted after iteration 5 of 8, and one that was not."""
    place = tmp_path_factory.mktemp("trained")
    data = write_data(place / "data")

    def stop(event: Event) -> None:
        if isinstance(event, Step) and event.iteration == 5:
            signal.raise_signal(signal.SIGINT)

    training.train(small_recipe(model, data, place / "undisturbed"))
    with pytest.raises(Interrupted):
        training.train(small_recipe(model, data, place / "run"), listener=stop)
    return place


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> RunFolder:
    """A copy of the interrupted run."""
    shutil.copytree(trained / "run", tmp_path / "run")
    return RunFolder(tmp_path / "run")


def flip(path: Path) -> None:
    """Change one bit of the last number in a file of weights."""
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def change_a_number(checkpoint: Path) -> None:
    state = checkpoint / "state.json"
    state.write_text(state.read_text().replace('"trained_tokens": ', '"trained_tokens": 1', 1))


def replace_by_a_file(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint)
    checkpoint.write_text("not a folder")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: flip(path / "optimizer.safetensors"), r"optimizer\.safetensors: was changed or damaged"),
        (lambda path: flip(path / "adapter_model.safetensors"), r"adapter_model\.safetensors: was changed or damaged"),
        (lambda path: os.truncate(path / "adapter_model.safetensors", 40), r"adapter_model\.safetensors: was changed"),
        (lambda path: (path / "optimizer.safetensors").unlink(), r"optimizer\.safetensors: was changed or damaged"),
        (lambda path: (path / "state.json").write_text("{}"), r"state\.json: not the state of this checkpoint"),
        (lambda path: (path / "state.json").write_bytes(b"\xff[" * 9), r"state\.json: not the state"),
        (lambda path: (path / "state.json").unlink(), r"state\.json: not the state of this checkpoint"),
        (change_a_number, r"state\.json: not the state of this checkpoint \(it was changed\)"),
        (replace_by_a_file, r"state\.json: not the state of this checkpoint"),
    ],
)
def test_a_damaged_last_checkpoint_is_said_and_the_one_before_gone_on_from(
    trained: Path, run: RunFolder, damage: Callable[[Path], object], said: str
) -> None:
    damage(run.checkpoint(5))
    heard: list[Event] = []
    training.resume(run.path, listener=heard.append)
    first = next(event for event in heard if isinstance(event, Notice | DataRead))
    assert isinstance(first, Notice)
    assert re.search(said, first.text)
    assert first.text.endswith("; going on from the checkpoint of iteration 4 instead.")
    (notice,) = events(run.path, "notice")
    assert notice["text"] == first.text
    undisturbed, resumed = contents(trained / "undisturbed"), contents(run.path)
    assert {name: resumed.get(name) for name in undisturbed} == undisturbed
    assert [event for event in history(run.path) if event != notice] == history(trained / "undisturbed")


def test_with_all_checkpoints_damaged_the_run_is_left_as_it_is(run: RunFolder) -> None:
    for _, path in run.checkpoints():
        flip(path / "optimizer.safetensors")
    before = history(run.path)
    with pytest.raises(
        RunError, match=r"000005/optimizer\.safetensors: was changed .*No other checkpoint .* is intact"
    ):
        training.resume(run.path)
    assert history(run.path) == before


def test_a_kept_adapter_that_was_damaged_is_taken_from_its_checkpoint_again(trained: Path, run: RunFolder) -> None:
    flip(run.adapter_path / "adapter_model.safetensors")
    training.resume(run.path)
    kept, undisturbed = contents(run.path), contents(trained / "undisturbed")
    assert {name: kept[name] for name in undisturbed} == undisturbed


def test_a_kept_adapter_that_is_damaged_in_its_checkpoint_too_is_named(run: RunFolder) -> None:
    for path in (run.adapter_path, run.checkpoint(3)):
        flip(path / "adapter_model.safetensors")
    with pytest.raises(
        RunError, match=r"000003/adapter_model\.safetensors: was changed .*best adapter so far is in it"
    ):
        training.resume(run.path)


def edit(run: RunFolder, **settings: object) -> None:
    recipe = from_yaml(run.recipe_path.read_text()).model_copy(update=settings)
    write_file(run.recipe_path, to_yaml(recipe))


def test_a_recipe_that_was_changed_in_the_run_folder_is_refused_with_what_changed(run: RunFolder) -> None:
    recipe = from_yaml(run.recipe_path.read_text())
    lora = recipe.lora_parameters.model_copy(update={"dropout": 0.5})
    edit(run, batch_size=4, lora_parameters=lora)
    before = history(run.path)
    with pytest.raises(RunError) as caught:
        training.resume(run.path)
    assert "lora_parameters.dropout is 0.5, was 0.1" in str(caught.value)
    assert "batch_size is 4, was 3" in str(caught.value)
    assert f"myna train {run.recipe_path} --resume-adapter-file {run.checkpoint(5)}" in str(caught.value)
    assert history(run.path) == before


def test_a_run_may_be_longer_and_its_data_elsewhere(trained: Path, run: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(trained / "data", tmp_path / "moved")
    edit(run, data=str(tmp_path / "moved"), iters=9)
    assert training.resume(run.path).iterations == 9
    write_lines(tmp_path / "moved" / "train.jsonl", sums(30, 40))
    with pytest.raises(RunError, match="the training data changed"):
        training.resume(run.path, iters=10)


def test_a_damaged_log_is_named_before_anything_is_trained_and_gone_on_from_without_that_line(
    trained: Path, run: RunFolder
) -> None:
    lines = run.log_path.read_bytes().splitlines(keepends=True)
    run.log_path.write_bytes(b"".join([*lines[:3], b'{"event": "report", "iteration": 2}\n', *lines[3:]]))
    with pytest.raises(RunError, match=r'log\.jsonl:4: no "train_loss" in a report event; .*Remove that line'):
        training.resume(run.path)
    run.log_path.write_bytes(b"".join(lines[1:]))  # the first is gone
    training.resume(run.path)
    again = {"event": "checkpoint", "iteration": 5, "path": "checkpoints/000005"}
    resumed = [event for event in history(run.path) if event != again]
    assert resumed == history(trained / "undisturbed")[1:]


def replace_by_link(path: Path, elsewhere: Path) -> None:
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


@pytest.mark.skipif(os.name != "posix", reason="links as POSIX has them")
@pytest.mark.parametrize("name", [".lock", "log.jsonl", "adapter", "checkpoints", "checkpoints/000005"])
def test_a_link_in_a_run_folder_is_refused_where_it_would_be_written_through(
    run: RunFolder, tmp_path: Path, name: str
) -> None:
    replace_by_link(run.path / name, tmp_path / "elsewhere")
    before = snapshot(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=rf"{name}: a symbolic link, and Myna would write"):
        training.resume(run.path)
    assert snapshot(tmp_path / "elsewhere") == before


@pytest.mark.skipif(os.name != "posix", reason="links as POSIX has them")
@pytest.mark.parametrize("name", ["cache", "learning", "adapter"])
def test_a_link_that_leads_nowhere_is_refused_too(run: RunFolder, tmp_path: Path, name: str) -> None:
    shutil.rmtree(run.path / name, ignore_errors=True)
    (run.path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=rf"{name}: a symbolic link"):
        training.resume(run.path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.name != "posix", reason="links as POSIX has them")
def test_a_log_that_has_another_name_elsewhere_is_refused(run: RunFolder, tmp_path: Path) -> None:
    os.link(run.log_path, tmp_path / "mine.jsonl")
    before = (tmp_path / "mine.jsonl").read_bytes()
    with pytest.raises(RunError, match=r"log\.jsonl: has another name elsewhere \(a hard link\)"):
        training.resume(run.path)
    assert (tmp_path / "mine.jsonl").read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="links as POSIX has them")
def test_linked_files_that_are_only_read_or_replaced_are_taken(trained: Path, run: RunFolder, tmp_path: Path) -> None:
    for name in ("recipe.yaml", "checkpoints/000005/optimizer.safetensors"):
        replace_by_link(run.path / name, tmp_path / Path(name).name)
    before = (tmp_path / "recipe.yaml").read_bytes()
    training.resume(run.path)
    assert (tmp_path / "recipe.yaml").read_bytes() == before
    assert not run.recipe_path.is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
@pytest.mark.parametrize("name", ["log.jsonl", "environment.json", "recipe.yaml", ".lock"])
def test_a_named_pipe_in_a_run_folder_is_refused_and_not_waited_for(run: RunFolder, name: str) -> None:
    (run.path / name).unlink()
    os.mkfifo(run.path / name)
    with pytest.raises(RunError, match=rf"{name}: a named pipe|not a run folder|no event log"):
        training.resume(run.path)


def snapshot(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def test_the_recipe_of_a_checkpoint_is_the_one_it_was_trained_by(run: RunFolder) -> None:
    state = json.loads((run.checkpoint(5) / "state.json").read_text())
    assert state["recipe"]["batch_size"] == 3
    assert state["files"].keys() == {path.name for path in run.checkpoint(5).iterdir()} - {"state.json"}
