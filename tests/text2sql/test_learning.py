"""Promises of learning from corrections with real training: what is kept, what changed, and that nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from databases.servers import PASSWORD, PASSWORD_IN_URL, Server, postgres_admin
from learning_school import (
    AGES,
    COUNT,
    LEARNT,
    NAMES,
    SCHOOL,
    answers,
    contents,
    correct,
    records,
    train,
    write_data,
    write_school,
)
from myna import learn, training
from myna.databases.allowed import allow
from myna.errors import AdapterError, DataError, Interrupted, MynaError, RunError
from myna.recipe import from_yaml
from myna.runs import RunFolder
from myna.text2sql.learning import LearnResult, Stage
from myna.text2sql.scoring import Progress, score
from myna.training.events import Step
from small_runs import write_lines

CORRECTED = (("What are the ages?", AGES), ("How old?", AGES))
YOUNGEST = "SELECT MIN(age) FROM students"
FAST: dict[str, Any] = {"workers": 1, "max_tokens": 40}
"""Scoring in one process."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database, a run that answers two kinds of questions about it, and corrections of a third."""
    place = tmp_path_factory.mktemp("learning")
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")  # what every test here gets from `place`
    database = write_school(place / "school.sqlite")
    train(place, write_data(place / "data", database))
    correct(place / "corrections.jsonl", database, *CORRECTED)
    return place


@pytest.fixture
def place(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, for tests that only read."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(made / "cache"))
    return made


@pytest.fixture
def own(place: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    for name in ("run", "data"):
        shutil.copytree(place / name, tmp_path / name)
    for name in ("corrections.jsonl", "school.sqlite"):
        shutil.copyfile(place / name, tmp_path / name)
    for path in (tmp_path / "run" / "recipe.yaml", tmp_path / "data" / "data.json", tmp_path / "corrections.jsonl"):
        text = path.read_text("utf-8").replace(str(place), str(tmp_path))
        path.write_text(text.replace(str(tmp_path / "model"), str(place / "model")), "utf-8")
    allow(str(tmp_path / "school.sqlite"))
    return tmp_path


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def kinds(result: LearnResult) -> dict[str, list[str]]:
    """Return the questions of each kind and group."""
    found: dict[str, list[str]] = {}
    for change in result.changes:
        found.setdefault(f"{change.group}: {change.kind}", []).append(change.question)
    return found


def test_what_was_wrong_is_learnt_in_a_new_run_and_the_old_one_stays_as_it_was(place: Path, tmp_path: Path) -> None:
    before = contents(place / "run")
    heard: list[object] = []
    result = learn(
        place / "run",
        place / "corrections.jsonl",
        out=tmp_path / "new",
        learning_rate=5e-3,
        listener=heard.append,
        **FAST,
    )
    assert contents(place / "run") == before
    assert [event.name for event in heard if isinstance(event, Stage)] == ["checking", "before", "training", "after"]
    assert kinds(result) == {
        "test: still right": [question for question, _ in LEARNT],
        "trained: fixed": [question for question, _ in CORRECTED],
    }
    fixed = result.changed("fixed")[0]
    assert (fixed.where, fixed.gold, fixed.after) == (f"{place / 'corrections.jsonl'}:1", AGES, AGES)
    assert fixed.before in (NAMES, COUNT)
    assert result.verdict.kept == "new"
    assert result.verdict.why == (
        "both are right on 4 of 4 questions (the test), but it is right on 2 instead of 0 of 2 corrections"
    )
    assert any("no correction was held out" in note for note in result.notes)
    # The new run: where it comes from, what it was trained on, what it answers.
    new = tmp_path / "new"
    recipe, old = (from_yaml((run / "recipe.yaml").read_text("utf-8")) for run in (new, place / "run"))
    assert recipe.resume_adapter_file == str(place / "run" / "adapter")
    assert (recipe.fine_tune_type, recipe.num_layers, recipe.seed) == (old.fine_tune_type, old.num_layers, old.seed)
    taught = answers(records(new / "data" / "train.jsonl"))
    assert taught.count(AGES) * 3 == len(taught) - taught.count(AGES)
    assert json.loads((new / "data" / "data.json").read_text("utf-8"))["source"] == {"samples": 3}
    assert json.loads(result.changes_file.read_text("utf-8")) == json.loads(json.dumps(result.as_dict()))
    again = score(new / "data", model=recipe.model, adapter_path=new, dtype="float32", device="cpu", **FAST)
    assert again.rates.execution.right == 4
    assert weights(new / "adapter") == weights(new / "checkpoints" / f"{result.iterations:06d}")
    # Learning once more begins with the original data and carries these corrections along.
    more = correct(
        tmp_path / "more.jsonl", place / "school.sqlite", ("Name the youngest.", "SELECT MIN(age) FROM students")
    )
    new = new.rename(tmp_path / "moved")
    once_more = learn(new, more, iters=1, **FAST)
    assert once_more.run == tmp_path / "moved-learnt"
    data = once_more.run / "data"
    assert answers(records(data / "corrections.jsonl")) == [AGES, AGES, YOUNGEST]
    note = json.loads((data / "data.json").read_text("utf-8"))
    assert note["learning"] == {"run": str(new), "data": str(place / "data"), "corrections": str(more)}
    assert len(records(data / "test.jsonl")) == 4


def test_the_old_adapter_is_kept_where_the_new_one_forgets(own: Path) -> None:
    """Without replay everything is answered as it was corrected."""
    file = own / "corrections.jsonl"
    result = learn(own / "run", file, replay=0, iters=40, learning_rate=5e-3, **FAST)
    assert result.run == own / "run-learnt"
    assert kinds(result)["test: newly wrong"]
    assert result.verdict.kept == "old"
    assert "it is right on 4 instead of" in result.verdict.why
    assert weights(result.adapter) == weights(own / "run" / "adapter")
    note = json.loads((result.adapter / "myna.json").read_text("utf-8"))
    assert note["kept_from"].startswith(f"{own / 'run'}: it is right on 4")
    assert json.loads(result.changes_file.read_text("utf-8"))["kept"] == "old"
    # Trained longer, the run's own adapter is kept again.
    training.resume(result.run, iters=41)
    assert weights(result.adapter) == weights(result.run / "checkpoints" / "000041")


def test_corrections_that_are_held_out_are_scored_and_never_learnt(own: Path) -> None:
    more = ("Who are they?", NAMES), ("The youngest?", YOUNGEST), ("Number?", COUNT)
    file = correct(own / "corrections.jsonl", own / "school.sqlite", *more)
    result = learn(own / "run", file, iters=1, **FAST)
    held_out = [change.question for change in result.changes if change.group == "held out"]
    trained = [change.question for change in result.changes if change.group == "trained"]
    assert held_out
    assert trained
    assert len(held_out) + len(trained) == 5
    learnt = {line["messages"][1]["content"] for line in records(result.run / "data" / "train.jsonl")}
    tested = {line["messages"][1]["content"] for line in records(result.run / "data" / "test.jsonl")}
    assert not learnt & set(held_out)
    assert set(held_out) <= tested
    assert not tested & set(trained)
    assert ({"What are the ages?", "How old?"} & set(held_out)) in (set(), {"What are the ages?", "How old?"})
    assert set(result.scores) == {"test", "held out", "trained"}


@pytest.mark.parametrize("kind", ["dora", pytest.param("lora", marks=pytest.mark.slow)])
def test_an_adapter_of_low_rank_goes_on_as_it_is(own: Path, place: Path, kind: str) -> None:
    shutil.rmtree(own / "run")
    (own / "model").symlink_to(place / "model")
    for file in (own / "data").glob("t*.jsonl"):  # a run keeps its own names of keys
        write_lines(file, [{"turns": line["messages"], "sql": line["sql"]} for line in records(file)])
    (own / "data" / "valid.jsonl").unlink()
    train(own, own / "data", fine_tune_type=kind, num_layers=1, iters=2, messages_key="turns")
    result = learn(own / "run", own / "corrections.jsonl", iters=1, size=2, **FAST)
    recipe = from_yaml((result.run / "recipe.yaml").read_text("utf-8"))
    assert (recipe.fine_tune_type, recipe.lora_parameters.rank) == (kind, 2)
    assert (result.adapter / "adapter_model.safetensors").is_file()
    assert result.scores["test"].after.of == 2
    assert all("turns" in line for line in records(result.run / "data" / "train.jsonl"))


# Going on


def interrupting(at: Callable[[object], bool]) -> Callable[[object], None]:
    """Return a listener that presses Ctrl-C once, at the first event that `at` picks."""
    pressed = []

    def listener(event: object) -> None:
        if not pressed and at(event):
            pressed.append(event)
            signal.raise_signal(signal.SIGINT)

    return listener


def test_a_learning_that_was_stopped_anywhere_goes_on_and_comes_to_the_same(own: Path) -> None:
    file = own / "corrections.jsonl"
    settings = {"iters": 4, **FAST}
    whole = learn(own / "run", file, out=own / "whole", **settings)
    before = contents(own / "run")
    moments: dict[str, Callable[[object], bool]] = {
        "Stopped before anything was learnt; nothing was written": lambda event: isinstance(event, Stage),
        "6 questions answered and 1 judged, all kept in .*run-learnt/learning/before": lambda event: (
            isinstance(event, Progress) and event.stage == "judged"
        ),
        "Stopped while learning. The checkpoint of iteration 2 is intact: .* the same command goes on": lambda event: (
            isinstance(event, Step) and event.iteration == 2
        ),
        "6 questions answered and 3 judged, all kept in .*run-learnt/learning/after": lambda event: (
            isinstance(event, Progress) and event.stage == "judged" and event.done == 3
        ),
    }
    for said, moment in moments.items():
        with pytest.raises(Interrupted, match=said):
            learn(own / "run", file, listener=interrupting(moment), **settings)
        assert (own / "run-learnt").exists() == (not said.startswith("Stopped before"))
        assert contents(own / "run") == before
    with pytest.raises(RunError, match="run-learnt: is itself learning from corrections and not finished"):
        learn(own / "run-learnt", file, **settings)
    with pytest.raises(RunError, match=r"unfinished learning of something else \(what differs: settings\)"):
        learn(own / "run", file, out=own / "run-learnt", **{**settings, "iters": 5})
    with (
        RunFolder(own / "run-learnt" / "learning").lock(),
        pytest.raises(RunError, match="another process is learning"),
    ):
        learn(own / "run", file, **settings)
    heard: list[object] = []
    resumed = learn(own / "run", file, listener=heard.append, **settings)
    assert resumed.run == own / "run-learnt"
    assert not any(isinstance(event, Step) for event in heard)
    assert sum(isinstance(event, Progress) for event in heard) == 3  # judged: 4, 5 and 6 of what was learnt
    assert weights(resumed.run / "checkpoints" / "000004") == weights(whole.run / "checkpoints" / "000004")
    assert resumed.as_dict()["scores"] == whole.as_dict()["scores"]
    with pytest.raises(RunError, match=r"run-learnt: has learnt already, see .*result\.json"):
        learn(own / "run", file, out=own / "run-learnt", **settings)


# Bad input


def refused(error: type[MynaError], said: str, own: Path, run: str = "run", **settings: Any) -> None:
    file = own / settings.pop("file", "corrections.jsonl")
    with pytest.raises(error, match=said):
        learn(own / run, file, **{**FAST, **settings})


def test_a_run_that_cannot_be_gone_on_from_is_said(own: Path) -> None:
    run = own / "run"
    refused(RunError, "there is no such run folder", own, "none")
    refused(RunError, r"not a run folder \(no recipe\.yaml", own, "data")
    (run / "adapter").rename(own / "adapter")
    refused(AdapterError, "no adapter", own)
    (own / "adapter").rename(run / "adapter")
    log = (run / "log.jsonl").read_text("utf-8").splitlines(keepends=True)
    (run / "log.jsonl").write_text("".join(log[:-1]), "utf-8")
    refused(RunError, r"not finished \(it was saved up to iteration 60\).* myna train --resume", own)
    assert not (own / "run-learnt").exists()


def test_what_stands_where_the_new_run_should_be_is_left_alone(own: Path) -> None:
    before = contents(own)
    for out in ("data", "run", "corrections.jsonl"):
        refused(RunError, "exists already and is no unfinished learning", own, out=own / out)
    assert contents(own).keys() - {"run/.lock"} == before.keys() - {"run/.lock"}


def test_no_correction_left_is_an_error_with_the_first_reason(own: Path) -> None:
    write_school(own / "school.sqlite", "CREATE TABLE students (name TEXT, years INT)")
    refused(DataError, r"none of its 2 corrections can be learnt; the first: .*:1: .*age", own)
    correct(own / "other.jsonl", write_school(own / "other.sqlite"), ("Who?", NAMES))
    refused(DataError, r"other\.jsonl:1: asks .*other\.sqlite, .* --other-databases", own, file="other.jsonl")


def test_data_that_is_gone_leaves_the_corrections_and_says_what_to_do(own: Path) -> None:
    (own / "data").rename(own / "moved")
    refused(DataError, r"data: the data that .* --data FOLDER, or .* --replay 0", own)
    refused(DataError, "is gone, and none of 2 corrections is held out", own, replay=0)
    more = ("Who are they?", NAMES), ("The youngest?", YOUNGEST), ("Number?", COUNT)
    many = correct(own / "many.jsonl", own / "school.sqlite", *CORRECTED, *more)
    alone = learn(own / "run", many, replay=0, iters=1, **FAST)
    assert set(alone.scores) == {"held out", "trained"}
    assert alone.replayed == 0
    assert any("nothing is replayed, its test is not scored" in note for note in alone.notes)
    given = learn(own / "run", own / "corrections.jsonl", data=own / "moved", iters=1, **FAST)
    assert given.scores["test"].after.of == 4


def test_a_test_whose_database_is_gone_is_said_before_anything_is_written(own: Path) -> None:
    note = json.loads((own / "data" / "data.json").read_text("utf-8"))
    note["databases"] = {"other": str(own / "school.sqlite")}
    (own / "data" / "data.json").write_text(json.dumps(note))
    refused(DataError, r"test\.jsonl:1: the database 'school' is not in .* --databases", own)
    assert not (own / "run-learnt").exists()


def test_learning_works_on_postgres_and_keeps_its_password_out_of_every_file(
    own: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres_admin(postgres) as admin:
        admin.execute("CREATE DATABASE learnt")
    with postgres_admin(postgres, "learnt") as admin:
        admin.execute(SCHOOL)
    write_data(own / "data", postgres.url("learnt"))
    file = correct(own / "pg.jsonl", postgres.url("learnt"), *CORRECTED)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    result = learn(own / "run", file, iters=1, **FAST)
    assert result.scores["test"].after.of == 4
    assert result.scores["trained"].after.of == 2
    for path, content in contents(result.run).items():
        assert PASSWORD.encode() not in content, path
        assert PASSWORD_IN_URL.encode() not in content, path
