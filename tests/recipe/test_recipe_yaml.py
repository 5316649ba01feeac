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
positive = st.floats(min_value=1e-12, max_value=1e6)
below_one = st.floats(0, 1, exclude_max=True)
rates = st.floats(min_value=1e-12, max_value=10)
names = st.text(min_size=1, max_size=12)
scales = st.one_of(
    st.fixed_dictionaries({}, optional={"scale": positive}),
    st.fixed_dictionaries({"alpha": positive, "rslora": st.booleans()}),
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
    arguments=st.just(()) | st.tuples(rates, positive) | st.tuples(rates, positive, rates),
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
        {"adamw": st.fixed_dictionaries({}, optional={"betas": st.tuples(below_one, below_one), "eps": below_one})}
    ),
    learning_rate=rates,
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
    assert from_yaml(SMALLEST + f"max_grad_norm: {text}").max_grad_norm == number
    assert from_yaml(SMALLEST + f"lora_parameters: {{scale: {text}}}").lora_parameters.scale == number
    assert from_yaml(SMALLEST + f"max_grad_norm: '{text}'").max_grad_norm == number


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
        ("iters: true", "my.yaml:3: iters is true; expected a number"),
        ("seed: false", "my.yaml:3: seed is false; expected a number"),
        ("learning_rate: yes", "my.yaml:3: learning_rate is 'yes'; expected a number"),
        ("lora_parameters: {rank: true}", "my.yaml:3: lora_parameters.rank is true; expected a number"),
        (
            "lr_schedule:\n  name: cosine_decay\n  arguments:\n  - 1e-5\n  - true",
            "my.yaml:7: lr_schedule.arguments.1 is true; expected a number",
        ),
        ("iters: 010", "my.yaml:3: iters is '010'; expected a number without leading zeros and underscores: 10"),
        ("iters: 1_000", "expected a number without leading zeros and underscores: 1000"),
        ("iters: 1:30", "my.yaml:3: iters is '1:30'; expected a number in decimal digits"),
        ("iters: 0x10", "my.yaml:3: iters is '0x10'; expected a number in decimal digits"),
        ("iters: 2024-01-01", "my.yaml:3: iters is '2024-01-01'; expected a whole number"),
        ("learning_rate: 1e300", "my.yaml:3: learning_rate is 1e+300; expected at most 10 (1e-6 to 1e-3 is usual)"),
        ("learning_rate: .inf", "my.yaml:3: learning_rate is inf; expected a finite number"),
        ("learning_rate: -1e-5", "my.yaml:3: learning_rate is -1e-05; expected a number above 0"),
        ("lora_parameters: {scale: .inf}", "my.yaml:3: lora_parameters.scale is inf; expected a finite number"),
        ("lora_parameters: {scale: -2}", "my.yaml:3: lora_parameters.scale is -2; expected a number above 0"),
        ("lora_parameters: {rank: 1000000000}", "expected at most 16,384 (4 to 128 is usual)"),
        ("batch_size: 1000000000", "my.yaml:3: batch_size is 1000000000; expected at most 65,536"),
        ("batch_size: 65536\ngrad_accumulation_steps: 64", "4,194,304 examples a step, expected at most 1,048,576"),
        ("seed: 18446744073709551617", "expected at most 9,223,372,036,854,775,807"),
        ("epochs: 1e308", "my.yaml:3: epochs is 1e+308; expected at most 1,000,000"),
        ("lr_schedule: {name: exponential_decay, arguments: [1, 2]}", "decay rate is 2, expected at most 1"),
        (
            "optimizer_config: {adam: {betas: [0.9, 1.5]}}",
            "optimizer_config.adam.betas is (0.9, 1.5); expected two numbers from 0 to below 1",
        ),
        ("optimizer_config: {muon: {ns_steps: true}}", "expected a whole number from 1 to 100"),
        ("test: true\ntest_batches: 0", "test_batches is 0, which tests nothing"),
        ("iters: 1\niters: 2", "my.yaml:4: 'iters' stands here twice, first in line 3"),
        ("lora_parameters:\n  rank: 1\n  rank: 2", "my.yaml:5: 'rank' stands here twice, first in line 4"),
        ("iters: [1", "my.yaml:3: this is not YAML"),
        ("iters: !!python/object/apply:os.getcwd []", "my.yaml:3: this is not YAML"),
    ],
)
def test_what_is_wrong_is_said_with_place_value_and_what_was_expected(line: str, said: str) -> None:
    assert said in complaint(SMALLEST + line)


BOMBS = {
    "merge keys": (
        "".join(
            f"a{level}: &a{level}\n  <<: [{', '.join(f'*a{level - 1}' for _ in range(20))}]\n" for level in range(1, 13)
        ),
        "my.yaml:3: the anchor &a1 is not read",
    ),
    "a recursive anchor": ("iters: &a [*a]", "my.yaml:3: the anchor &a is not read"),
    "an alias of nothing": ("iters: *a", "my.yaml:3: the alias *a is not read"),
    "brackets": ("keys: " + "[" * 100_000, "my.yaml:3: settings are nested deeper than 32 levels"),
    "dashes": ("keys:\n " + "- " * 100_000, "my.yaml:4: settings are nested deeper than 32 levels"),
    "braces": ("keys: " + "{a: " * 100_000, "my.yaml:3: settings are nested deeper than 32 levels"),
    "many keys": ("".join(f"k{number}: 1\n" for number in range(100_000)), "more than 200,000 names and values"),
    "too many unknown keys": ("".join(f"k{number}: 1\n" for number in range(5_000)), "… and 4,980 more problems"),
    "many values": ("keys: [" + "1," * 300_000 + "]", "my.yaml:3: more than 200,000 names and values"),
    "megabytes": ("keys: " + "x" * 5_000_000, "more than 4 MiB"),
    "a long name": ("x" * 900 + ": 1", "my.yaml:3: unknown setting 'xxx"),
    "a long number": ("iters: " + "9" * 100_000, "my.yaml:3: iters is '999"),
    "a zero byte": ("iters: \0", "my.yaml:3: this is not YAML"),
    "two documents": ("---\niters: 1", "my.yaml:3: a second document begins here"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_would_unfold_or_overflow_is_refused_at_once_in_a_short_message(name: str) -> None:
    text, said = BOMBS[name]
    message = complaint(SMALLEST + text)
    assert said in message
    assert len(message) < 3000


def test_words_of_yaml_1_1_are_what_the_setting_makes_of_them() -> None:
    recipe = from_yaml("model: no\ndata: 2024-01-01\nmask_prompt: yes\nshuffle: off\ndevice: 1:30\nseed: 0\n")
    assert (recipe.model, recipe.data, recipe.device) == ("no", "2024-01-01", "1:30")
    assert (recipe.mask_prompt, recipe.shuffle) == (True, False)
    assert from_yaml(to_yaml(recipe)) == recipe


def test_an_optimizer_is_suggested_for_a_misspelt_one() -> None:
    said = complaint(SMALLEST + "optimizer: adamv")
    assert "expected 'adam', 'adamw', 'sgd', 'adafactor' or 'muon'; did you mean 'adam'?" in said


def test_all_mistakes_are_said_at_once() -> None:
    assert len(complaint("batch_size: 0\nlearning_rat: 1\n").splitlines()) == 4


def test_scale_and_alpha_say_the_same_thing_and_only_one_may_be_given() -> None:
    with pytest.raises(ValueError, match="alpha 16 is scale 2"):
        LoraParameters(rank=8, scale=10, alpha=16)


def test_scale_and_alpha_in_a_file_are_multiplied_as_in_the_mlx_lm_of_2024(tmp_path: Path) -> None:
    path = tmp_path / "lora_config.yaml"
    path.write_text(
        SMALLEST + "use_dora: false\nlora_layers: 16\nlora_parameters:\n"
        '  keys: ["self_attn.q_proj", "self_attn.v_proj"]\n  rank: 8\n  alpha: 16.0\n  scale: 10.0\n  dropout: 0.0\n'
    )
    loaded = load_recipe(path)
    assert loaded.recipe.lora_parameters.effective_scale == 20
    assert loaded.recipe.fine_tune_type == "lora"
    assert "scale · alpha / rank = 20" in loaded.notices[0]
    assert load_recipe(path, {"lora_parameters": {"scale": 3.0}}).recipe.lora_parameters.effective_scale == 3
    assert from_yaml(to_yaml(loaded.recipe)) == loaded.recipe


def test_the_old_use_dora_chooses_dora_and_must_not_contradict() -> None:
    assert from_yaml(SMALLEST + "use_dora: true").fine_tune_type == "dora"
    assert "my.yaml:3: use_dora is true and fine_tune_type is lora" in complaint(
        SMALLEST + "use_dora: true\nfine_tune_type: lora"
    )


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
