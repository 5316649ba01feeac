from __future__ import annotations

import json
import math
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from myna import training
from myna.errors import (
    AdapterError,
    DataError,
    Interrupted,
    PromptError,
    RecipeError,
    ResourceError,
    RunError,
    TrainingError,
)
from myna.exporting import fuse
from myna.generation import load
from myna.prompts.builder import PromptBuilder
from myna.recipe import LearningRateSchedule, Recipe, from_yaml
from myna.reports.record import read_run
from myna.runs import RunFolder
from myna.training.events import Event, Saved, Step
from myna.training.interruption import interruptible
from myna.training.preparation import count_iterations, prepare
from small_runs import contents, events, history, one_layer, sums, write_lines

MakeRecipe = Callable[..., Recipe]


def at_step(number: int, act: Callable[[], object]) -> Callable[[Event], None]:
    """A listener that acts when step `number` is done."""

    def listen(event: Event) -> None:
        if isinstance(event, Step) and event.iteration == number:
            act()

    return listen


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def test_a_run_learns_and_leaves_what_it_promises(tmp_path: Path, recipe: MakeRecipe) -> None:
    heard: list[Event] = []
    result = training.train(recipe(iters=30, steps_per_eval=10, save_every=10, test=True), listener=heard.append)
    run = RunFolder.open(tmp_path / "run")
    losses = [event["valid_loss"] for event in events(run.path, "evaluation")]
    assert [event["iteration"] for event in events(run.path, "evaluation")] == [0, 10, 20, 30]
    assert losses[-1] < losses[0] / 2
    assert result.best is not None
    assert result.best.valid_loss == min(losses[1:])
    assert result.test is not None
    assert result.test.examples == 5
    assert [step for step, _ in run.checkpoints()] == [10, 20, 30]
    best = run.checkpoint(result.best.iteration) / "adapter_model.safetensors"
    assert (run.adapter_path / "adapter_model.safetensors").read_bytes() == best.read_bytes()
    assert json.loads(run.environment_path.read_bytes())["device"]["kind"] == "cpu"  # a GPU or not: the recipe says so
    assert sorted(path.name for path in run.path.iterdir()) == [
        ".lock",
        "adapter",
        "checkpoints",
        "environment.json",
        "log.jsonl",
        "recipe.yaml",
    ]
    assert from_yaml(run.recipe_path.read_text()).iters == 30
    logged = [event.as_dict() for event in heard if not isinstance(event, Step)]
    assert logged == [json.loads(line) for line in run.log_path.read_text().splitlines()]
    assert len([event for event in heard if isinstance(event, Step)]) == 30
    prompts = [event["prompt"] for event in events(run.path, "sample")]
    assert prompts[:3] == prompts[3:]
    assert json.dumps(result.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adam"},
        {"fine_tune_type": "dora", "optimizer": "adamw", "grad_checkpoint": True},
        {"fine_tune_type": "full", "optimizer": "sgd", "optimizer_config": {"sgd": {"momentum": 0.9}}},
        {"optimizer": "adafactor", "lr_schedule": {"name": "cosine", "warmup": 2}},
        {"optimizer": "muon", "dtype": "bfloat16"},
    ],
    ids=lambda settings: settings.get("fine_tune_type", "lora") + "-" + settings["optimizer"],
)
def test_ctrl_c_saves_and_the_resumed_run_ends_as_if_undisturbed(
    tmp_path: Path, recipe: MakeRecipe, settings: dict[str, object]
) -> None:
    training.train(recipe("undisturbed", **settings))
    with pytest.raises(Interrupted, match=rf"after iteration 5 of 8.*myna train --resume {tmp_path / 'run'}") as caught:
        training.train(recipe(**settings), listener=at_step(5, press_ctrl_c))
    assert caught.value.exit_code == 130
    assert RunFolder.open(tmp_path / "run").checkpoints()[-1][0] == 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    training.resume(tmp_path / "run")
    resumed, undisturbed = contents(tmp_path / "run"), contents(tmp_path / "undisturbed")
    assert {name: resumed[name] for name in undisturbed} == undisturbed
    extra = {"event": "checkpoint", "iteration": 5, "path": "checkpoints/000005"}
    assert [event for event in history(tmp_path / "run") if event != extra] == history(tmp_path / "undisturbed")


def test_ctrl_c_while_evaluating_leaves_the_evaluation_to_the_resumed_run(tmp_path: Path, recipe: MakeRecipe) -> None:
    training.train(recipe("undisturbed"))
    with pytest.raises(Interrupted, match="after iteration 3"):
        training.train(recipe(), listener=at_step(3, press_ctrl_c))  # step 3 is evaluated
    assert [event["iteration"] for event in events(tmp_path / "run", "evaluation")] == [0]
    training.resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "undisturbed")
    once = [event for event in history(tmp_path / "undisturbed") if event["event"] == "evaluation"]
    assert [event for event in history(tmp_path / "run") if event["event"] == "evaluation"] == once


def test_a_second_ctrl_c_stops_at_once_and_loses_nothing_saved(tmp_path: Path, recipe: MakeRecipe) -> None:
    training.train(recipe("undisturbed"))
    with pytest.raises(Interrupted, match=r"Stopped at once.*iteration 4 is intact.*--resume"):
        training.train(recipe(), listener=at_step(5, lambda: (press_ctrl_c(), press_ctrl_c())))
    training.resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "undisturbed")
    assert history(tmp_path / "run") == history(tmp_path / "undisturbed")


def test_ctrl_c_before_the_first_step_leaves_nothing(tmp_path: Path, recipe: MakeRecipe) -> None:
    def listen(event: Event) -> None:
        press_ctrl_c()

    with pytest.raises(Interrupted, match="nothing was trained"):
        training.train(recipe(), listener=listen)
    assert not (tmp_path / "run").exists()


def test_training_works_outside_the_main_thread(recipe: MakeRecipe) -> None:
    results = []
    thread = threading.Thread(target=lambda: results.append(training.train(recipe(iters=2))))
    thread.start()
    thread.join()
    assert results[0].iterations == 2
    with interruptible() as interruption:
        assert not interruption.requested


def test_examples_that_the_model_cannot_be_asked_are_left_out_and_counted(
    tmp_path: Path, data: Path, recipe: MakeRecipe
) -> None:
    """This model has no chat template, which tools need; the same goes for the test set."""
    bad = {**sums(0, 1)[0], "tools": [{"type": "function", "function": {"name": "f"}}]}
    for name in ("train", "test"):
        with (data / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(bad) + "\n")
    with pytest.raises(PromptError, match=r"train\.jsonl:11: .*which tools need.*; to go on .*--on-bad-example skip"):
        training.train(recipe(iters=1))
    training.train(recipe(iters=1, on_bad_example="skip", test=True))
    (read, *_) = events(tmp_path / "run", "data")
    assert (read["examples"], read["samples"], read["skipped_lines"]) == (11, 10, 1)
    assert any("1 of 11 examples can't be expressed" in each["text"] for each in events(tmp_path / "run", "notice"))


DATED = (
    "{{ strftime_now('%d %b %Y') }}\n{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def test_a_run_keeps_the_date_on_which_it_began_in_its_prompts(tmp_path: Path, recipe: MakeRecipe) -> None:
    model = one_layer(tmp_path / "model")
    (model / "chat_template.jinja").write_text(DATED)
    began, run = date(2024, 2, 1), tmp_path / "run"
    training.train(recipe(iters=3).model_copy(update={"model": str(model)}))
    environment = json.loads((run / "environment.json").read_text())
    assert date.fromisoformat(environment["prompt_date"]) >= date(2025, 1, 1)
    # As if it had begun on another day.
    environment["prompt_date"] = began.isoformat()
    (run / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(RunError, match="the date that it prints changed"):
        training.resume(run, iters=4)
    environment["hashes"]["prompt"] = PromptBuilder.load(model, day=began).content_hash
    (run / "environment.json").write_text(json.dumps(environment))
    training.resume(run, iters=4)
    assert json.loads((run / "checkpoints/000004/myna.json").read_text())["prompt_date"] == "2024-02-01"
    asked = load(str(model), adapter_path=run / "checkpoints/000004", device="cpu", dtype="float32")
    assert asked.builder.day == began
    assert "01 Feb 2024" in asked.builder.decode(asked.prompt_tokens("1 and 1 are"))
    fused = fuse(str(model), run / "checkpoints/000004", tmp_path / "fused", check=False).folder
    assert load(str(fused), device="cpu", dtype="float32").builder.day == began


def test_a_loss_that_is_no_number_names_the_examples_and_keeps_the_checkpoint(
    tmp_path: Path, data: Path, recipe: MakeRecipe
) -> None:
    broken = recipe(optimizer="sgd", max_grad_norm=None, save_every=100, lr_schedule={"name": "constant"})
    broken = broken.model_copy(update={"learning_rate": 1e30})  # a recipe file may not say so
    with pytest.raises(TrainingError, match=r"iteration \d+: the (loss|gradient norm) is (nan|inf).*train\.jsonl:\d+"):
        training.train(broken)
    # Two good steps at rate 0, then an explosion: the checkpoint of step 2 is what is left.
    warm = LearningRateSchedule(name="linear_schedule", arguments=(0.0, 10, 100000), warmup=2, warmup_init=0.0)
    warm = warm.model_copy(update={"arguments": (0.0, 1e35, 100000)})
    late = recipe("late", optimizer="sgd", max_grad_norm=None).model_copy(update={"lr_schedule": warm})
    with pytest.raises(TrainingError, match=r"checkpoint of iteration \d is intact.*--resume-adapter-file") as caught:
        training.train(late)
    for _, path in RunFolder.open(tmp_path / "late").checkpoints():
        for name in ("adapter_model.safetensors", "optimizer.safetensors"):
            for tensor in safetensors.numpy.load_file(path / name).values():
                assert np.isfinite(tensor).all()
    assert str(data / "train.jsonl") in str(caught.value)


def test_a_checkpoint_never_holds_what_is_not_a_number(tmp_path: Path, recipe: MakeRecipe) -> None:
    """One step of 1e38 times the gradient overflows the weights themselves, before any loss shows it."""
    with pytest.raises(TrainingError, match=r"not finite any more, so nothing was saved"):
        training.train(
            recipe(optimizer="sgd", max_grad_norm=None, save_every=1, lora_parameters={"rank": 2}).model_copy(
                update={"learning_rate": 1e38}
            )
        )
    assert RunFolder(tmp_path / "run").checkpoints() == []


def test_a_full_disk_keeps_the_last_checkpoint_and_can_be_resumed(tmp_path: Path, recipe: MakeRecipe) -> None:
    training.train(recipe("undisturbed"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(event: Event) -> None:
        if isinstance(event, Saved) and event.iteration == 3:
            size = (tmp_path / "run" / "checkpoints" / "000003" / "optimizer.safetensors").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, hard))

    try:
        with pytest.raises(ResourceError, match=r"the disk is full.*--resume"):
            training.train(recipe(), listener=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [step for step, _ in RunFolder.open(tmp_path / "run").checkpoints()] == [2, 3]
    training.resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "undisturbed")
    assert history(tmp_path / "run") == history(tmp_path / "undisturbed")


@pytest.mark.parametrize(
    ("content", "said"), [(b"model: \xff", "byte 7 is not"), (b"model: &a [*a]", "recipe.yaml:1: the anchor &a")]
)
def test_a_run_whose_recipe_was_damaged_is_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "recipe.yaml").write_bytes(content)
    for open_ in (training.resume, read_run):
        with pytest.raises((RecipeError, RunError), match=said):
            open_(tmp_path)


def test_a_finished_run_says_so_and_can_be_made_longer(tmp_path: Path, recipe: MakeRecipe) -> None:
    training.train(recipe(iters=6))
    with pytest.raises(RunError, match=r"finished after 6 iterations.*--iters 12"):
        training.resume(tmp_path / "run")
    assert training.resume(tmp_path / "run", iters=9).iterations == 9
    assert from_yaml((tmp_path / "run" / "recipe.yaml").read_text()).iters == 9
    training.train(recipe("at-once", iters=9))
    assert contents(tmp_path / "run") == contents(tmp_path / "at-once")
    with pytest.raises(RunError, match="finished"):
        training.resume(tmp_path / "run", iters=6)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [("train.jsonl", "the training data"), ("valid.jsonl", "the validation data")],
)
def test_a_run_is_not_resumed_on_other_data(
    tmp_path: Path, data: Path, recipe: MakeRecipe, changed: str, expected: str
) -> None:
    with pytest.raises(Interrupted):
        training.train(recipe(), listener=at_step(5, press_ctrl_c))
    before = history(tmp_path / "run")
    write_lines(data / changed, sums(30, 45))
    with pytest.raises(RunError, match=rf"{expected} changed since it began"):
        training.resume(tmp_path / "run")
    assert history(tmp_path / "run") == before


def test_a_run_is_not_resumed_on_another_base_model(tmp_path: Path, recipe: MakeRecipe) -> None:
    model = one_layer(tmp_path / "model")
    with pytest.raises(Interrupted):
        training.train(recipe().model_copy(update={"model": str(model)}), listener=at_step(5, press_ctrl_c))
    tensors = safetensors.numpy.load_file(model / "model.safetensors")
    tensors["model.norm.weight"] += 1
    safetensors.numpy.save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunError, match="the base model changed"):
        training.resume(tmp_path / "run")


def test_another_number_of_threads_is_said_not_refused(tmp_path: Path, recipe: MakeRecipe) -> None:
    with pytest.raises(Interrupted):
        training.train(recipe(), listener=at_step(5, press_ctrl_c))
    path = tmp_path / "run" / "environment.json"
    environment = json.loads(path.read_text())
    environment["device"]["notes"] = ["99 threads"]
    path.write_text(json.dumps(environment))
    training.resume(tmp_path / "run")
    (notice,) = [event for event in events(tmp_path / "run", "notice") if "99 threads" in event["text"]]
    assert notice["iteration"] == 5


def test_a_run_can_be_resumed_from_any_folder(
    tmp_path: Path, data: Path, recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Interrupted):
        training.train(recipe().model_copy(update={"data": "data"}), listener=at_step(5, press_ctrl_c))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert training.resume(Path("..") / "run").iterations == 8


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_anew(tmp_path: Path, recipe: MakeRecipe) -> None:
    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    training.train(recipe("undisturbed", save_every=100, steps_per_eval=100))
    with pytest.raises(Killed):
        training.train(recipe(save_every=100, steps_per_eval=100), listener=at_step(5, kill))
    training.resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "undisturbed")
    assert history(tmp_path / "run") == history(tmp_path / "undisturbed")


def test_training_stops_early_and_keeps_the_best(tmp_path: Path, recipe: MakeRecipe) -> None:
    result = training.train(
        recipe(iters=100, learning_rate=0.5, optimizer="sgd", max_grad_norm=None, steps_per_eval=1, early_stopping=3)
    )
    assert result.stopped_early
    assert result.best is not None
    assert result.iterations == result.best.iteration + 3
    losses = {event["iteration"]: event["valid_loss"] for event in events(tmp_path / "run", "evaluation")}
    assert losses[result.best.iteration] == min(loss for step, loss in losses.items() if step)
    note = json.loads((tmp_path / "run" / "adapter" / "myna.json").read_text())
    assert note["iteration"] == result.best.iteration
    with pytest.raises(RunError, match=r"finished after.*stopped early.*--resume-adapter-file"):
        training.resume(tmp_path / "run", iters=200)


def test_training_that_makes_it_worse_says_so(tmp_path: Path, data: Path, recipe: MakeRecipe) -> None:
    for name in ("train", "valid"):
        write_lines(data / f"{name}.jsonl", [{"prompt": f"{n}?", "completion": "yes"} for n in range(10)])
    training.train(recipe("learnt", iters=20))
    write_lines(data / "train.jsonl", [{"prompt": f"{n}?", "completion": "no, never"} for n in range(10)])
    training.train(recipe(iters=3, resume_adapter_file=str(tmp_path / "learnt")))
    assert any("never fell below" in event["text"] for event in events(tmp_path / "run", "notice"))
    assert not any("never fell below" in event["text"] for event in events(tmp_path / "learnt", "notice"))


def test_accumulating_gradients_changes_nothing(tmp_path: Path, recipe: MakeRecipe) -> None:
    """Examples of a step are laid in rows together, however they are counted."""
    training.train(recipe("one", batch_size=6, val_batches=1))
    training.train(recipe("two", batch_size=3, grad_accumulation_steps=2, val_batches=2))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert history(tmp_path / "one") == history(tmp_path / "two")


def test_the_reported_loss_is_the_mean_over_trained_tokens(tmp_path: Path, data: Path, recipe: MakeRecipe) -> None:
    """One epoch at a vanishing rate reports what validation on the same examples measures."""
    (data / "valid.jsonl").write_bytes((data / "train.jsonl").read_bytes())
    training.train(
        recipe(
            iters=5,
            batch_size=2,
            steps_per_report=5,
            val_batches=-1,
            learning_rate=1e-30,
            lora_parameters={"rank": 2, "dropout": 0.0},
        )
    )
    (report,) = events(tmp_path / "run", "report")
    start = events(tmp_path / "run", "evaluation")[0]
    assert report["trained_tokens"] == start["tokens"]
    # Same tokens in rows of other make-up: float32 sums in another order.
    assert report["train_loss"] == pytest.approx(start["valid_loss"], rel=1e-5)


def test_how_examples_are_laid_in_rows_changes_nothing(
    tmp_path: Path, recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from myna.engines.torch import model

    plain = {"lora_parameters": {"rank": 2, "scale": 2.0}, "batch_size": 6}
    for name, row_tokens in (("wide", 2048), ("narrow", 24)):  # the longest example has 19 tokens
        monkeypatch.setattr(model, "_row_tokens", lambda *_, tokens=row_tokens: tokens)
        training.train(recipe(name, **plain))
    wide, narrow = ([event["train_loss"] for event in events(tmp_path / name, "report")] for name in ("wide", "narrow"))
    assert wide != narrow
    # Float32 sums in another order, grown over 8 steps of Adam.
    assert wide == pytest.approx(narrow, rel=1e-3)


@pytest.mark.parametrize(
    ("epochs", "samples", "expected"), [(1, 10, 4), (2.5, 10, 9), (0.1, 10, 1), (1, 9, 3), (0.001, 1, 1)]
)
def test_epochs_are_counted_in_samples(recipe: MakeRecipe, epochs: float, samples: int, expected: int) -> None:
    assert count_iterations(recipe(iters=None, epochs=epochs), samples) == expected


def test_without_iters_and_epochs_there_are_1000_iterations(recipe: MakeRecipe) -> None:
    assert count_iterations(recipe(iters=None), 10) == 1000


def test_training_goes_on_from_a_given_adapter(tmp_path: Path, recipe: MakeRecipe) -> None:
    training.train(recipe("first"))
    last = events(tmp_path / "first", "evaluation")[-1]["valid_loss"]
    training.train(recipe("second", resume_adapter_file=str(tmp_path / "first" / "checkpoints" / "000008")))
    assert events(tmp_path / "second", "evaluation")[0]["valid_loss"] == pytest.approx(last, rel=1e-6)
    with pytest.raises(AdapterError, match=r"rank 2 and scale 2, the recipe says rank 2 and scale 5; set --rank 2"):
        training.train(
            recipe(
                "third",
                resume_adapter_file=str(tmp_path / "first"),
                lora_parameters={"rank": 2, "scale": 5.0},
            )
        )
    with pytest.raises(AdapterError, match=r"is of kind lora, the recipe says dora; set --fine-tune-type lora"):
        training.train(recipe("third", fine_tune_type="dora", resume_adapter_file=str(tmp_path / "first")))


def test_a_scale_that_no_alpha_gives_to_the_last_bit_is_the_same_scale(tmp_path: Path, recipe: MakeRecipe) -> None:
    lora = {"rank": 12, "scale": 0.1}
    assert all(alpha / 12 != 0.1 for alpha in (1.2, math.nextafter(1.2, 0), 0.1 * 12, math.nextafter(0.1 * 12, 2)))
    training.train(recipe("first", lora_parameters=lora))
    training.train(recipe("second", lora_parameters=lora, resume_adapter_file=str(tmp_path / "first")))
    assert events(tmp_path / "second", "finish")


def test_what_fails_before_the_first_step_leaves_no_folder(tmp_path: Path, data: Path, recipe: MakeRecipe) -> None:
    with pytest.raises(AdapterError, match="decoder layers"):
        training.train(recipe(num_layers=99))
    write_lines(data / "train.jsonl", [{"prompt": "a " * 60, "completion": "b"}] * 2)
    with pytest.raises(PromptError, match=r"train\.jsonl: all 2 examples are over 20 tokens"):
        training.train(recipe(max_seq_length=20))
    (data / "train.jsonl").unlink()
    with pytest.raises(DataError, match=r"no train\.jsonl"):
        training.train(recipe())
    assert not (tmp_path / "run").exists()


def test_left_out_examples_are_counted_and_the_longest_is_named(tmp_path: Path, data: Path, recipe: MakeRecipe) -> None:
    write_lines(data / "train.jsonl", [*sums(0, 10), {"prompt": "word " * 100, "completion": "long"}])
    training.train(recipe(iters=1, max_seq_length=32))
    (read,) = [event for event in events(tmp_path / "run", "data") if event["split"] == "train"]
    assert (read["examples"], read["samples"], read["skipped_long"]) == (11, 10, 1)
    assert any(
        "1 of 11 examples are over 32 tokens" in event["text"] and str(read["longest"]) in event["text"]
        for event in events(tmp_path / "run", "notice")
    )


def test_a_test_that_can_not_be_made_is_said_before_training(data: Path, recipe: MakeRecipe) -> None:
    (data / "test.jsonl").unlink()
    with pytest.raises(DataError, match=r"there is no test\.jsonl"):
        training.train(recipe(test=True))


def test_a_run_that_exists_is_left_alone(tmp_path: Path, recipe: MakeRecipe) -> None:
    training.train(recipe(iters=2))
    before = contents(tmp_path / "run")
    with pytest.raises(RunError, match="--resume"):
        training.train(recipe(iters=2))
    assert contents(tmp_path / "run") == before


def test_a_run_without_a_name_gets_one(
    tmp_path: Path, data: Path, recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    unnamed = recipe(iters=1).model_copy(update={"adapter_path": None})
    assert training.train(unnamed).run == Path("runs/stories-data")
    assert training.train(unnamed).run == Path("runs/stories-data-2")


def test_a_checkpoint_of_the_best_that_is_gone_is_named(tmp_path: Path, recipe: MakeRecipe) -> None:
    with pytest.raises(Interrupted):
        training.train(recipe(), listener=at_step(5, press_ctrl_c))
    run = RunFolder.open(tmp_path / "run")
    for folder in (run.checkpoint(3), run.adapter_path):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    with pytest.raises(RunError, match="000003: this checkpoint holds the best adapter"):
        training.resume(run.path)


_EXHAUSTED = """
import resource, sys
from pathlib import Path
from myna import training
from myna.errors import ResourceError
from myna.recipe import Recipe
from myna.training.events import Step

step = int(sys.argv[2])

def listen(event):
    if isinstance(event, Step) and event.iteration == step:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**26, hard))

try:
    training.train(Recipe.model_validate_json(sys.argv[1]), listener=listen)
except ResourceError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits what the Linux kernel grants")
def test_memory_that_runs_out_says_what_to_lower(tmp_path: Path, data: Path, recipe: MakeRecipe) -> None:
    """From the end of a step the kernel gives 64 MiB more (a thread or a module takes some); the next needs 256."""
    long = {"prompt": "What?", "completion": "a long story " * 4000}
    write_lines(data / "train.jsonl", [*sums(0, 10), long])
    settings = recipe(max_seq_length=32768, num_layers=-1, save_every=1, batch_size=1, iters=30)
    order = prepare(settings, tmp_path / "cache", lambda event: None).order
    step = next(k for k in range(30) if 10 in order.step(k))
    # In a process of its own: one that has run other tests has memory to spare that the kernel gave it before.
    command = [sys.executable, "-c", _EXHAUSTED, settings.model_dump_json(), str(step)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert re.search(r"memory ran out\. Lower --max-seq-length.*--num-layers.*--rank", told.stdout)
    assert RunFolder.open(tmp_path / "run").checkpoints()[-1][0] == step
