"""Promises of recipe files: strict, complete, readable when wrong, and mlx_lm's run unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.errors import RecipeError
from myna.recipe import (
    SECTIONS,
    LearningRateSchedule,
    LoraParameters,
    Recipe,
    from_yaml,
    load_recipe,
    to_yaml,
)

ROOT = Path(__file__).parents[2]
SMALLEST = "model: m\ndata: d\n"

MLX_LM_FILE = """\
# the keys of mlx_lm 0.32's lora_config.yaml
model: "Qwen/Qwen3-0.6b"
train: true
fine_tune_type: lora
optimizer: adamw
optimizer_config:
  adamw:
    betas: [0.9, 0.98]
    eps: 1e-6
    weight_decay: 0.05
    bias_correction: true
data: "/path/to/training/data"
seed: 0
num_layers: 16
batch_size: 4
iters: 1000
val_batches: 25
learning_rate: 1e-5
report_to: wandb
project_name: mine
steps_per_report: 10
steps_per_eval: 200
resume_adapter_file: null
adapter_path: "adapters"
save_every: 100
test: false
test_batches: 100
max_seq_length: 2048
grad_checkpoint: false
grad_accumulation_steps: 1
clear_cache_threshold: 0
lora_parameters:
  keys: ["self_attn.q_proj", "self_attn.v_proj"]
  rank: 8
  scale: 20.0
  dropout: 0.0
lr_schedule:
  name: cosine_decay
  warmup: 100
  warmup_init: 1e-7
  arguments: [1e-5, 1000, 1e-7]
mask_prompt: false
trust_remote_code: false
"""


def complaint(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        from_yaml(text, source="my.yaml")
    return str(caught.value)


finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-12, max_value=1e12)
names = st.text(min_size=1, max_size=12)
scales = st.one_of(
    st.fixed_dictionaries({}, optional={"scale": finite}),
    st.fixed_dictionaries({"alpha": finite, "rslora": st.booleans()}),
)
low_rank = st.builds(
    lambda scale, **rest: LoraParameters(**scale, **rest),
    scales,
    rank=st.integers(1, 512),
    dropout=st.floats(0, 1, exclude_max=True),
    keys=st.none() | st.lists(names, min_size=1, max_size=3).map(tuple),
)
schedules = st.builds(
    LearningRateSchedule,
    name=st.just("cosine_decay"),
    arguments=st.just(()) | st.tuples(positive, positive) | st.tuples(positive, positive, positive),
    warmup=st.integers(0, 10**6),
    warmup_init=st.floats(0, 1),
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | finite | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)
recipes = st.builds(
    lambda length, **rest: Recipe(**length, **rest),
    st.one_of(
        st.fixed_dictionaries({}, optional={"iters": st.integers(1, 10**9)}),
        st.fixed_dictionaries({"epochs": positive}),
    ),
    model=names,
    data=names,
    hf_dataset=st.none() | st.lists(st.dictionaries(names, plain, max_size=3), min_size=1, max_size=2).map(tuple),
    fine_tune_type=st.sampled_from(["lora", "dora", "full"]),
    lora_parameters=low_rank,
    num_layers=st.sampled_from([-1, 1, 16]),
    optimizer=st.sampled_from(["adam", "muon"]),
    optimizer_config=st.just({})
    | st.fixed_dictionaries(
        {"adamw": st.fixed_dictionaries({}, optional={"betas": st.tuples(finite, finite), "eps": finite})}
    ),
    learning_rate=positive,
    lr_schedule=st.none() | schedules,
    max_grad_norm=st.none() | positive,
    mask_prompt=st.none() | st.booleans(),
    adapter_path=st.none() | names,
    device=names,
)


@settings(max_examples=60, deadline=None)
@given(recipes)
def test_a_recipe_written_and_read_is_the_same_recipe(recipe: Recipe) -> None:
    assert from_yaml(to_yaml(recipe)) == recipe


def test_the_resolved_file_holds_every_setting_under_one_heading_each() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(Recipe.model_fields)
    written = to_yaml(Recipe(model="m", data="d"))
    for name in Recipe.model_fields:
        assert written.count(f"\n{name}:") == 1
    for heading in SECTIONS:
        assert f"# {heading}\n" in written


def test_every_setting_is_described() -> None:
    for owner in (Recipe, LoraParameters, LearningRateSchedule):
        assert [name for name, field in owner.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_ready_made_recipe_loads_without_a_notice(path: Path) -> None:
    loaded = load_recipe(path)
    assert loaded.notices == ()
    if not loaded.recipe.data.startswith("data/"):
        assert (ROOT / loaded.recipe.data / "train.jsonl").is_file()
        assert (ROOT / loaded.recipe.model / "config.json").is_file()


def test_the_articles_settings_are_among_the_ready_made_recipes() -> None:
    def setting(name: str) -> tuple[int, int, int | None]:
        recipe = load_recipe(ROOT / "recipes" / f"{name}.yaml").recipe
        return recipe.batch_size, recipe.num_layers, recipe.iters

    assert setting("mistral-7b-wikisql") == (4, 16, 600)
    assert setting("mistral-7b-wikisql-32gb")[:2] == (1, 4)
    assert setting("qwen2.5-0.5b-sql-create-context") == (1, 4, 1000)


def test_mlx_lm_yaml_runs_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "lora_config.yaml"
    path.write_text(MLX_LM_FILE)
    loaded = load_recipe(path)
    recipe = loaded.recipe
    assert recipe.learning_rate == 1e-5
    assert recipe.optimizer_options == {"betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": 0.05}
    assert recipe.lora_parameters.keys == ("self_attn.q_proj", "self_attn.v_proj")
    assert recipe.lr_schedule == LearningRateSchedule(
        name="cosine_decay", warmup=100, warmup_init=1e-7, arguments=(1e-5, 1000, 1e-7)
    )
    assert recipe.mask_prompt is False
    said = "\n".join(loaded.notices)
    for key in ("clear_cache_threshold", "report_to", "project_name"):
        assert key in said


def test_old_mlx_names_are_understood() -> None:
    recipe = from_yaml(
        SMALLEST + "lora_layers: 4\nprompt_feature: question\ncompletion_feature: answer\n"
        "text_feature: body\nchat_feature: chat\n"
    )
    assert recipe.num_layers == 4
    keys = (recipe.prompt_key, recipe.completion_key, recipe.text_key, recipe.messages_key)
    assert keys == ("question", "answer", "body", "chat")


def test_a_null_stands_for_the_default_as_in_mlx_lm() -> None:
    recipe = from_yaml(SMALLEST + "batch_size: null\niters: null\nlr_schedule: null\n")
    assert recipe.batch_size == 4
    assert recipe.iters is None


def test_running_a_models_own_code_is_refused_with_the_reason() -> None:
    assert "never does" in complaint(SMALLEST + "trust_remote_code: true")


def test_data_sets_of_the_hub_are_kept_in_a_folder_of_their_own() -> None:
    text = "model: m\nhf_dataset:\n  path: org/some data\n  train_split: 'train[:90%]'\n"
    recipe = from_yaml(text)
    assert recipe.data == "data/org-some-data"
    assert recipe.hf_dataset == ({"path": "org/some data", "train_split": "train[:90%]"},)
    assert from_yaml(to_yaml(recipe)) == recipe


def test_a_file_that_accumulates_gradients_is_told_that_iterations_are_counted_otherwise_than_by_mlx_lm(
    tmp_path: Path,
) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(SMALLEST + "iters: 1000\ngrad_accumulation_steps: 4\n")
    (notice,) = load_recipe(path).notices
    assert "1000 steps of the optimizer" in notice
    assert "--iters 250" in notice
    assert load_recipe(path, {"iters": 250}).notices == ()


def test_data_that_a_hub_data_set_replaces_is_said(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(SMALLEST + "hf_dataset: {path: org/name}\n")
    assert "d is not used" in load_recipe(path).notices[0]


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e-5", 1e-5), ("1E5", 1e5), ("5e-3", 5e-3), ("1.5e+2", 150.0), (".5e1", 5.0), ("0.00001", 1e-5)],
)
def test_numbers_that_yaml_1_1_takes_for_text_are_numbers(text: str, number: float) -> None:
    assert from_yaml(SMALLEST + f"learning_rate: {text}").learning_rate == number
    nested = SMALLEST + f"optimizer_config: {{adam: {{eps: {text}}}}}"
    assert from_yaml(nested).optimizer_options == {"eps": number}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("learning_rat: 1", "my.yaml:3: unknown setting 'learning_rat'; did you mean 'learning_rate'?"),
        (
            "lora_parameters: {rnk: 3}",
            "my.yaml:3: unknown setting 'lora_parameters.rnk'; did you mean 'rank'?",
        ),
        ("batch_size: 0", "my.yaml:3: batch_size is 0; expected 1 or more"),
        ("batch_size: many", "my.yaml:3: batch_size is 'many'; expected a whole number"),
        ("learning_rate: .nan", "my.yaml:3: learning_rate is nan; expected a finite number"),
        ("learning_rate: 0", "my.yaml:3: learning_rate is 0; expected a number above 0"),
        ("mask_prompt: perhaps", "my.yaml:3: mask_prompt is 'perhaps'; expected true or false"),
        ("lora_parameters: 8", "my.yaml:3: lora_parameters is 8; expected settings such as 'name: value'"),
        ("lora_parameters: {rank: 0}", "my.yaml:3: lora_parameters.rank is 0; expected 1 or more"),
        (
            "lora_parameters: {dropout: 1}",
            "my.yaml:3: lora_parameters.dropout is 1; expected a number below 1",
        ),
        ("num_layers: 0", "trains nothing"),
        ("lora_layers: x", "my.yaml:3: num_layers is 'x'"),
        ("lora_layers: 1\nnum_layers: 2", "the same setting"),
        ("iters: 3\nepochs: 2", "give one of them"),
        ("lora_parameters: {rslora: true}", "alpha"),
        ("lora_parameters: {keys: []}", "empty list"),
        ("optimizer_config: {adm: {}}", "did you mean 'adam'?"),
        ("optimizer_config: {adam: {bets: 1}}", "did you mean 'betas'?"),
        (
            "optimizer_config: {adam: {eps: x}}",
            "my.yaml:3: optimizer_config.adam.eps is 'x'; expected a number",
        ),
        ("lr_schedule: {name: cosine_decay, arguments: [1]}", "cosine_decay takes the arguments"),
        ("lr_schedule: {name: cosine_decay, arguments: [1, 0]}", "decay steps is 0, expected more than 0"),
        ("lr_schedule: {name: step_decay, arguments: [1, -0.1, 3]}", "decay rate is -0.1, expected 0 or more"),
        ("lr_schedule: {name: step_decay, arguments: [1, 0.1, 0]}", "steps between decays is 0, expected more than"),
        ("prompt_key: text", "four different names"),
        ("iters: 1\niters: 2", "my.yaml:4: 'iters' stands here twice, first in line 3"),
        ("lora_parameters:\n  rank: 1\n  rank: 2", "my.yaml:5: 'rank' stands here twice, first in line 4"),
        ("iters: [1", "my.yaml:3: this is not YAML"),
        ("iters: !!python/object/apply:os.getcwd []", "my.yaml:3: this is not YAML"),
    ],
)
def test_what_is_wrong_is_said_with_place_value_and_what_was_expected(line: str, said: str) -> None:
    assert said in complaint(SMALLEST + line)


def test_an_optimizer_is_suggested_for_a_misspelt_one() -> None:
    said = complaint(SMALLEST + "optimizer: adamv")
    assert "expected 'adam', 'adamw', 'sgd', 'adafactor' or 'muon'; did you mean 'adam'?" in said


def test_all_mistakes_are_said_at_once() -> None:
    assert len(complaint("batch_size: 0\nlearning_rat: 1\n").splitlines()) == 4


def test_scale_and_alpha_say_the_same_thing_and_only_one_may_be_given() -> None:
    said = complaint(SMALLEST + "lora_parameters: {rank: 8, scale: 10, alpha: 16}")
    assert "alpha 16 is scale 2" in said


@pytest.mark.parametrize(
    ("given", "scale"),
    [({}, 20.0), ({"scale": 3.0}, 3.0), ({"alpha": 32.0}, 2.0), ({"alpha": 32.0, "rslora": True}, 8.0)],
)
def test_the_scale_follows_from_alpha_and_rank(given: dict[str, float], scale: float) -> None:
    assert LoraParameters(rank=16, **given).effective_scale == scale


def test_flags_win_over_the_file_and_replace_what_says_the_same_in_another_way(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(SMALLEST + "iters: 5\nbatch_size: 2\nlora_parameters: {rank: 4, scale: 10}\n")
    recipe = load_recipe(path, {"batch_size": 3, "epochs": 2, "lora_parameters": {"alpha": 8}}).recipe
    assert (recipe.batch_size, recipe.iters, recipe.epochs) == (3, None, 2)
    assert (recipe.lora_parameters.rank, recipe.lora_parameters.effective_scale) == (4, 2)


def test_a_mistake_in_a_flag_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(SMALLEST + "batch_size: 2\n")
    with pytest.raises(RecipeError, match=r"^batch_size is 0"):
        load_recipe(path, {"batch_size": 0})


def test_a_short_name_of_a_schedule_stands_for_it() -> None:
    schedule = load_recipe(None, {"model": "m", "data": "d", "lr_schedule": "cosine"}).recipe.lr_schedule
    assert schedule == LearningRateSchedule(name="cosine_decay")


def test_options_that_no_optimizer_here_has_are_said() -> None:
    text = SMALLEST + "optimizer: adafactor\noptimizer_config: {adafactor: {beta_1: 0.9, scale_parameter: true}}"
    recipe = from_yaml(text)
    assert recipe.options_without_meaning == {"beta_1": 0.9}
    assert recipe.optimizer_options == {}


def test_the_home_folder_may_be_written_short() -> None:
    assert from_yaml("model: ~/m\ndata: d").model == str(Path("~/m").expanduser())


def test_a_file_that_is_not_text_or_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"model: \xff")
    with pytest.raises(RecipeError, match="UTF-8"):
        load_recipe(path)
    with pytest.raises(RecipeError, match="no\\.yaml: can't read this recipe: No such file"):
        load_recipe(tmp_path / "no.yaml")


def test_bom_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xef\xbb\xbfmodel: m\r\ndata: d\r\nbatch_size: 2\r\n")
    assert load_recipe(path).recipe.batch_size == 2


def test_every_optimizer_has_its_options() -> None:
    for name in get_args(Recipe.model_fields["optimizer"].annotation):
        recipe = from_yaml(SMALLEST + f"optimizer: {name}\noptimizer_config: {{{name}: {{weight_decay: 0.5}}}}")
        assert recipe.optimizer_options["weight_decay"] == 0.5
