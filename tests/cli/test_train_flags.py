"""Promises of the flags of `myna train`: one for every setting, mlx_lm's names, and the file gives way to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from myna.cli.application import build_app
from myna.cli.train_flags import flag_names, overrides, settings
from myna.errors import RecipeError
from myna.recipe import LearningRateSchedule, LoraParameters, Recipe, load_recipe

OF_MLX_LM = (
    "--model --data --train --fine-tune-type --optimizer --mask-prompt --num-layers --lora-layers --batch-size "
    "--iters --val-batches --learning-rate --steps-per-report --steps-per-eval --grad-accumulation-steps "
    "--resume-adapter-file --adapter-path --save-every --test --test-batches --max-seq-length --grad-checkpoint "
    "--seed --config -c"
)
OURS = (
    "--epochs --lr-schedule --resume --rank --scale --alpha --dropout --keys --no-mask-prompt --long-examples "
    "--on-bad-example --dtype --device --engine --json --debug"
)


def names() -> set[str]:
    arguments = build_app()["train"].assemble_argument_collection()
    return {name for argument in arguments for name in (*argument.names, *argument.negatives)}


def given(*arguments: str) -> dict[str, Any]:
    """What these flags say, as `load_recipe` takes it."""
    _, bound, _ = build_app().parse_args(["train", *arguments])
    return overrides(bound.kwargs["flags"]) if "flags" in bound.kwargs else {}


def test_every_setting_of_a_recipe_has_a_flag() -> None:
    paths = {path for _, path, _ in settings()}
    nested = {"lora_parameters": LoraParameters, "lr_schedule": LearningRateSchedule}
    assert paths == {(name,) for name in Recipe.model_fields if name not in nested} | {
        (name, inner) for name, owner in nested.items() for inner in owner.model_fields
    }
    assert {flag for path in paths for flag in flag_names(path)} <= names()


def test_no_two_settings_share_a_flag() -> None:
    flags = [flag for _, path, _ in settings() for flag in flag_names(path)]
    assert len(flags) == len(set(flags))


def test_the_flags_of_mlx_lm_are_there() -> None:
    assert {*OF_MLX_LM.split(), *OURS.split()} - names() == set()


def test_flags_left_out_say_nothing() -> None:
    assert given() == {}
    assert given("recipe.yaml", "--train") == {}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--lora-layers", "-1"], {"num_layers": -1}),
        (["--mask-prompt"], {"mask_prompt": True}),
        (["--no-mask-prompt"], {"mask_prompt": False}),
        (["--no-grad-checkpoint"], {"grad_checkpoint": False}),
        (["--rank", "4", "--alpha", "8"], {"lora_parameters": {"rank": 4, "alpha": 8.0}}),
        (["--keys", "q_proj,v_proj"], {"lora_parameters": {"keys": ("q_proj", "v_proj")}}),
        (["--keys", "q_proj", "v_proj"], {"lora_parameters": {"keys": ("q_proj", "v_proj")}}),
        (["--lr-schedule", "cosine", "--warmup", "9"], {"lr_schedule": {"name": "cosine", "warmup": 9}}),
        (
            ["--lr-schedule", "cosine_decay", "--lr-schedule-arguments", "1e-5", "100"],
            {"lr_schedule": {"name": "cosine_decay", "arguments": (1e-5, 100.0)}},
        ),
        (["--optimizer-config", "{adam: {eps: 1e-6}}"], {"optimizer_config": {"adam": {"eps": 1e-6}}}),
        (["--hf-dataset", "owner/name"], {"hf_dataset": ({"path": "owner/name"},)}),
        (["--hf-dataset", "{path: owner/name}"], {"hf_dataset": ({"path": "owner/name"},)}),
        (["--learning-rate", "1e-4", "--iters", "7"], {"learning_rate": 1e-4, "iters": 7}),
        (["--prompt-feature", "question"], {"prompt_key": "question"}),
    ],
)
def test_flags_say_what_a_file_would(arguments: list[str], expected: dict[str, Any]) -> None:
    assert given(*arguments) == expected


def test_what_flags_say_is_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "model: m\ndata: d\niters: 5\nlearning_rate: 1e-3\nlora_parameters: {scale: 10, rank: 2}\n"
        "lr_schedule: {name: linear_schedule, arguments: [1, 0, 10], warmup: 3}\n"
    )
    arguments = ["--epochs", "2", "--alpha", "4", "--lr-schedule", "cosine", "--max-grad-norm", "0"]
    loaded = load_recipe(path, given(*arguments))
    assert (loaded.recipe.iters, loaded.recipe.epochs) == (None, 2)
    assert loaded.recipe.lora_parameters.effective_scale == 2
    assert loaded.recipe.lr_schedule == LearningRateSchedule(name="cosine_decay", warmup=3)
    assert loaded.recipe.max_grad_norm is None


def test_a_learning_rate_that_the_schedule_overrules_is_said(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("model: m\ndata: d\nlr_schedule: {name: exponential_decay, arguments: [1, 0.5]}\n")
    assert "learning_rate 0.1 is not used" in load_recipe(path, given("--learning-rate", "0.1")).notices[0]


def test_settings_that_are_no_settings_are_refused() -> None:
    with pytest.raises(RecipeError, match="--optimizer-config"):
        given("--optimizer-config", "{adam: [")
    with pytest.raises(RecipeError, match="optimizer_config is 3; expected settings"):
        load_recipe(None, {"model": "m", "data": "d", **given("--optimizer-config", "3")})
