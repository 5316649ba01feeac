"""Every command on a small real model: what it prints, what `--json` holds, and that its parts fit together."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from myna.cli import main
from myna.cli.chat import chat
from myna.cli.model_flags import ModelFlags, recipe_of_run
from myna.cli.sampling_flags import SamplingFlags
from myna.generation import LanguageModel
from myna.recipe import to_yaml
from small_runs import one_layer, small_recipe, write_data

QUESTION = "16 and 16 are"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, data, a recipe and a finished run, made by the command line."""
    place = tmp_path_factory.mktemp("place")
    recipe = small_recipe(one_layer(place / "model"), write_data(place / "data"), place / "run", test=True)
    (place / "recipe.yaml").write_text(to_yaml(recipe), encoding="utf-8")
    assert main(["train", str(place / "recipe.yaml"), "--iters", "4"]) == 0
    return place


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    assert main([str(argument) for argument in arguments]) == 0
    captured = capsys.readouterr()
    return captured.out, captured.err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    return json.loads(printed(capsys, *arguments, "--json")[0])


def test_training_shows_lines_plot_and_result(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--config", place / "recipe.yaml", "--adapter-path", place / "shown", "--rank", 3, "--iters", 4]
    out, _ = printed(capsys, "train", *arguments)
    for said in (
        "train: 10 examples",
        "Starting training, iters: 4 (3 examples each",
        "Iter 2: Train loss",
        "Iter 3: Val loss",
        "Iter 4: Saved checkpoint to checkpoints/000004",
        "Test loss",
        "loss: ⠤⠤ train, ● validation",
        "Best         validation loss",
        f"Adapter      {place / 'shown' / 'adapter'}",
        f"Report       {place / 'shown' / 'report.html'}",
    ):
        assert said in out
    assert (place / "shown" / "report.html").is_file()


def test_training_as_json_is_one_object_with_the_promised_keys(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "myna", "train", "recipe.yaml", "--adapter-path", "other", "--iters", "2", "--json"],
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout)
    promised = {"run", "adapter", "iterations", "best", "tokens_per_second", "peak_memory_bytes", "seconds"}
    assert promised <= result.keys()
    assert result["best"].keys() == {"iteration", "valid_loss"}
    assert (result["run"], result["iterations"]) == ("other", 2)
    assert "Iter 2: Train loss" in done.stderr


IN_THE_BACKGROUND = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
"""How a shell without job control starts what it puts into the background: SIGINT is ignored."""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("started", [[], IN_THE_BACKGROUND], ids=["foreground", "background"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda sent: sent.name)
def test_a_signal_saves_says_how_to_go_on_and_ends_with_its_exit_code(
    place: Path, sent: signal.Signals, started: list[str]
) -> None:
    name = f"stopped-{sent.name}-{len(started)}"
    asked = ["train", "recipe.yaml", "--adapter-path", name, "--iters", "100000"]
    with subprocess.Popen(
        [*started, sys.executable, "-m", "myna", *asked],
        cwd=place,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as running:
        assert running.stdout is not None
        next(line for line in running.stdout if line.startswith("Iter 2: Train loss"))
        running.send_signal(sent)
        _, said = running.communicate()
    assert running.returncode == 128 + sent
    stopped = re.match(r"Interrupted after iteration (\d+) ", said)
    assert stopped is not None
    assert said.endswith(f"Go on with: myna train --resume {name}\n")
    assert (place / name / "checkpoints" / f"{int(stopped[1]):06d}" / "state.json").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_command_that_sigterm_ends_cleans_up_as_after_ctrl_c(place: Path) -> None:
    program = """
import sys
from myna.builders.writer import FolderWriter
from myna.cli import main

def stop(*arguments):
    print("writing", flush=True)
    sys.stdin.read()

FolderWriter.add = stop
sys.exit(main(["data", "files", "data/train.jsonl", "--out", "terminated"]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=place,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert "writing\n" in iter(running.stdout.readline, "")
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate()
    assert running.returncode == 143
    assert said == "Terminated.\n"
    assert [path.name for path in place.iterdir() if "terminated" in path.name] == []


def test_a_run_goes_on_for_longer(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, "train", place / "recipe.yaml", "--adapter-path", place / "longer", "--iters", 2)
    assert as_json(capsys, "train", "--resume", place / "longer", "--iters", 4)["iterations"] == 4


def test_a_run_folder_is_never_overwritten(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(place / "recipe.yaml"), "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "RunError"
    assert "--resume" in error["message"]


def test_a_run_is_tested_with_what_it_was_trained_with(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score = as_json(capsys, "test", place / "run")
    assert {"loss", "perplexity", "tokens", "examples"} <= score.keys()
    assert score["examples"] == 5
    assert as_json(capsys, "test", "--adapter-path", place / "run" / "adapter") == {**score, "name": ANY}
    by_flags = ["--model", place / "model", "--data", place / "data", "--adapter-path", place / "run"]
    assert as_json(capsys, "test", *by_flags)["loss"] == pytest.approx(score["loss"])
    out, _ = printed(capsys, "test", place / "run")
    assert out.startswith(f"Test loss {score['loss']:.3f}, Test ppl {score['perplexity']:.3f} (")


def test_every_checkpoint_is_tested_and_the_best_is_marked(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = as_json(capsys, "test", place / "run", "--checkpoints")
    assert [score["iteration"] for score in scores] == [0, 2, 3, 4]
    out, _ = printed(capsys, "test", place / "run", "--checkpoints")
    header, _, *rows = out.splitlines()
    assert header == " Iter | Test loss | Test ppl"
    best = min(scores, key=lambda score: score["loss"])
    for row, score in zip(rows, scores, strict=True):
        assert row.split("|")[0].strip() == str(score["iteration"])
        assert row.endswith("← best") == (score == best)


def test_the_loss_by_a_key_is_a_table_with_a_column_for_each_score(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flags, head in (((), "Test loss"), (("--checkpoints",), "Iter 4")):
        out, _ = printed(capsys, "test", place / "run", *flags, "--by", "prompt")
        header, line, *rows = out[out.index("Examples |") :].splitlines()
        assert [cell.strip() for cell in header.split("|")][-2:] == [head, "prompt"]
        assert [cell.startswith("-") for cell in line.split("|")] == [True] * (header.count("|") + 1)
        assert rows
        assert all(row.count("|") == header.count("|") for row in rows)


def test_a_base_model_is_tested_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score = as_json(capsys, "test", "--model", place / "model", "--data", place / "data", "--test-batches", 1)
    assert score["examples"] == 4


def test_an_answer_goes_to_output_and_its_speed_to_error(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["generate", "--adapter-path", place / "run", "--prompt", QUESTION, "--max-tokens", 6]
    answer = as_json(capsys, *asked)
    assert set(answer) == {
        "text",
        "prompt_tokens",
        "generated_tokens",
        "prompt_tokens_per_second",
        "generated_tokens_per_second",
        "stopped",
    }
    out, err = printed(capsys, *asked)
    assert out == answer["text"] + "\n"
    prompt, generation, memory = err.splitlines()
    assert prompt.startswith(f"Prompt: {answer['prompt_tokens']} tokens, ")
    assert generation.startswith(f"Generation: {answer['generated_tokens']} tokens, ")
    assert prompt.endswith(" tokens-per-sec")
    assert memory.startswith("Peak memory: ")
    assert memory.endswith(" GB")


def test_a_prompt_may_come_from_standard_input(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["generate", "--model", place / "model", "-m", 4]
    expected = as_json(capsys, *asked, "-p", QUESTION)["text"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(QUESTION))
    assert as_json(capsys, *asked, "-p", "-")["text"] == expected


def test_a_file_of_prompts_gives_a_line_of_json_for_each(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [{"prompt": QUESTION}, {"messages": [{"role": "user", "content": QUESTION}]}]
    (place / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + json.dumps("A dog"))
    (place / "prompts.txt").write_text(f"{QUESTION}\r\n\nA dog\n")
    asked = ["generate", "--model", place / "model", "-m", 5, "--prompts-file"]
    out, _ = printed(capsys, *asked, place / "prompts.jsonl")
    first, second, third = map(json.loads, out.splitlines())
    assert first["prompt"] == QUESTION
    assert second["messages"] == lines[1]["messages"]
    assert first["text"] == second["text"]
    plain = as_json(capsys, *asked, place / "prompts.txt")["generations"]
    assert [(each["prompt"], each["text"]) for each in plain] == [
        (QUESTION, first["text"]),
        ("A dog", third["text"]),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "no prompt in it"), ("no json", "prompts.jsonl:1: not JSON"), ('{"question": 1}', "(found: question)")],
)
def test_a_file_without_prompts_is_named(
    content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompts.jsonl").write_text(content)
    assert main(["generate", "--model", "m", "--prompts-file", str(tmp_path / "prompts.jsonl")]) == 1
    assert said in capsys.readouterr().err


def test_a_chat_has_a_history_that_can_be_reset(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"A dog\n/reset\n/what\n{QUESTION}\n\nAnd a cat?\n/quit\nno more\n"))
    messages = as_json(capsys, "chat", "--model", place / "model", "-m", 4)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"] * 2
    assert [message["content"] for message in messages[::2]] == [QUESTION, "And a cat?"]


def test_ctrl_c_stops_the_answer_and_not_the_chat(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = LanguageModel.generate

    def interrupted_once(self: LanguageModel, *arguments: Any, on_text: Any, **settings: Any) -> Any:
        def on_first_text(text: str) -> None:
            on_text(text)
            monkeypatch.setattr(LanguageModel, "generate", answer)
            raise KeyboardInterrupt

        return answer(self, *arguments, on_text=on_first_text, **settings)

    monkeypatch.setattr(LanguageModel, "generate", interrupted_once)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{QUESTION}\nAnd a cat?\n"))
    result = chat(model=ModelFlags(model=str(place / "model")), sampling=SamplingFlags(max_tokens=9))
    first, second = result["messages"][1::2]
    out = capsys.readouterr().out
    assert out.startswith(f"{first['content']} …\n")
    assert second["content"]
    assert len(first["content"]) < len(second["content"])


def test_a_fused_model_answers_as_base_and_adapter_do(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fused = place / "fused"
    result = as_json(capsys, "fuse", "--adapter-path", place / "run", "--save-path", fused)
    assert result["folder"] == str(fused)
    assert result["agreement"]["difference"] <= result["agreement"]["tolerance"]
    asked = ["--prompt", QUESTION, "-m", 8]
    together = as_json(capsys, "generate", "--adapter-path", place / "run", *asked)
    assert as_json(capsys, "generate", "--model", fused, *asked)["text"] == together["text"]
    checked_there = ["--engine", "torch", "--device", "gpu", "--output", str(place / "again")]
    assert main(["fuse", "--adapter-path", str(place / "run"), *checked_there]) == 1
    assert "device 'gpu' is not known" in capsys.readouterr().err


def test_a_sample_is_shown_token_by_token_with_its_mask(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = as_json(capsys, "data", "show", place / "data", "--model", place / "model", "--index", 1)
    tokens = shown["samples"][0]["tokens"]
    assert shown["source"].endswith("train.jsonl:2")
    learnt = "".join(token["text"] for token in tokens if token["trained"] and not token["control"])
    assert learnt.strip() == "2 yes"
    assert (tokens[-1]["control"], tokens[-1]["trained"]) == (True, True)
    out, _ = printed(capsys, "data", "show", place / "recipe.yaml", "--index", 1)
    heading, *rows = out.splitlines()
    assert f"{len(tokens)} tokens, {sum(token['trained'] for token in tokens)} of them learnt" in heading
    assert [("●" in row) for row in rows] == [token["trained"] for token in tokens]
    assert main(["data", "show", str(place / "recipe.yaml"), "--index", "99"]) == 1
    assert "there are 10" in capsys.readouterr().err


def test_a_model_is_described(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = as_json(capsys, "model", "info", place / "model")
    assert (facts["architecture"], facts["layers"]) == ("llama", 1)
    out, _ = printed(capsys, "model", "info", place / "model")
    assert "Architecture llama" in out
    assert "self_attn.q_proj  64 → 64" in out
    assert as_json(capsys, "model", "get", place / "model")["folder"] == str(place / "model")


def test_a_report_is_written_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = place / "run" / "report.html"
    report.unlink()
    assert printed(capsys, "report", place / "run")[0] == f"{report}\n"
    assert report.is_file()


def test_doctor_tells_the_machine_and_what_is_fast(capsys: pytest.CaptureFixture[str]) -> None:
    facts = as_json(capsys, "doctor")
    assert facts["device"]["memory_bytes"] > 0
    assert facts["cores"] >= 1
    assert set(facts["floating_point_operations_per_second"]) == {"float32", "bfloat16"}
    out, _ = printed(capsys, "doctor")
    for heading in ("Processor", "Memory", "Engine", "Fast here", "Libraries"):
        assert heading in out


def test_doctor_names_the_command_that_installs_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    facts = as_json(capsys, "doctor")
    assert "pip install 'myna[torch]'" in facts["missing"][0]
    assert "device" not in facts


def test_every_part_of_a_run_leads_to_its_recipe(place: Path) -> None:
    for path in ("run", "run/adapter", "run/checkpoints/000002"):
        recipe = recipe_of_run(place / path)
        assert recipe is not None
        assert recipe.batch_size == 3
    assert recipe_of_run(place / "data") is not None  # `place` itself holds a recipe.yaml
    assert recipe_of_run(None) is None


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


ANY = _Any()
