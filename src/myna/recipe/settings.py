"""The settings of a run as frozen pydantic models.

Names and defaults are mlx_lm's, so its YAML files run unchanged; what is ours has a name of its own. The
string under a field is its one description: the resolved YAML and `myna train --help` show it.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from myna.errors import did_you_mean
from myna.recipe.document import plain_value

_CONFIG = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

_SCHEDULE_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "constant": ("value",),
    "linear_schedule": ("initial value", "end value", "steps"),
    "cosine_decay": ("initial value", "decay steps", "end value (optional)"),
    "step_decay": ("initial value", "decay rate", "steps between decays"),
    "exponential_decay": ("initial value", "decay rate"),
}

_OPTIMIZER_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "adam": {"betas": "betas", "eps": "eps", "weight_decay": "weight_decay"},
    "adamw": {"betas": "betas", "eps": "eps", "weight_decay": "weight_decay"},
    "sgd": {
        "momentum": "momentum",
        "weight_decay": "weight_decay",
        "dampening": "dampening",
        "nesterov": "nesterov",
    },
    "adafactor": {
        "eps": "eps",
        "clip_threshold": "d",
        "decay_rate": "beta2_decay",
        "weight_decay": "weight_decay",
    },
    "muon": {
        "momentum": "momentum",
        "weight_decay": "weight_decay",
        "nesterov": "nesterov",
        "ns_steps": "ns_steps",
    },
}
"""mlx's option names and what torch's optimizers call them."""

_OPTIMIZER_DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "adamw": {"weight_decay": 0.01},
    "muon": {"weight_decay": 0.01},
}
"""mlx's defaults where torch's may differ."""

_FIXED_OPTIONS: Mapping[str, Mapping[str, object]] = {
    "adam": {"bias_correction": True},
    "adamw": {"bias_correction": True},
    "adafactor": {"scale_parameter": True, "relative_step": True, "warmup_init": False, "beta_1": None},
}
"""Options of mlx's optimizers that torch's do not offer, and the value that torch's always have."""


def _home(path: str) -> str:
    return os.path.expanduser(path) if path == "~" or path.startswith("~/") else path


def _number(value: object) -> object:
    """Refuse what pydantic would take for a number and nobody means as one; quoted numbers are numbers."""
    if isinstance(value, bool):
        raise ValueError("expected a number")
    if not isinstance(value, str):
        return value
    read = plain_value(value.strip())
    if isinstance(read, int | float) and not isinstance(read, bool):
        return read
    # Pydantic and YAML 1.1 know more ways to write a number, and don't agree on what 010 is.
    if re.fullmatch(r"[-+]?(?:0[0-9_]|[0-9]+_)[0-9_]*(?:\.[0-9_]*)?", value.strip()):
        meant = re.sub(r"^([-+]?)0+(?=[0-9])", r"\1", value.strip().replace("_", ""))
        raise ValueError(f"expected a number without leading zeros and underscores: {meant[:40]}")
    if re.match(r"[-+]?[0-9]+[:xob]", value.strip()):
        raise ValueError("expected a number in decimal digits, such as 90 or 1e-5")
    return value


def _at_most(limit: float, usual: str) -> AfterValidator:
    """Refuse what is beyond all sense and would end in a full memory or numbers that are not finite."""

    def check(value: float) -> float:
        if value > limit:
            raise ValueError(f"expected at most {limit:,} ({usual})")
        return value

    return AfterValidator(check)


def _option(value: object) -> object:
    if isinstance(value, list | tuple):
        return tuple(_option(element) for element in value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("expected a finite number")
    if value is not None and not isinstance(value, bool | int | float):
        raise ValueError("expected a number, true, false or a list of numbers")
    return value


def _is_between(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_pair(value: object, low: float, high: float) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(_is_between(each, low, high) for each in value)


def _option_problem(optimizer: str, option: str, value: object) -> str | None:
    """Return what an option is expected to be when it is not."""
    if value is None:
        return None
    match option:
        case "betas":
            good, expected = _is_pair(value, 0, math.nextafter(1, 0)), "two numbers from 0 to below 1"
        case "eps" if optimizer == "adafactor":
            good, expected = _is_pair(value, 0, 1), "two numbers from 0 to 1"
        case "eps":
            good, expected = _is_between(value, 0, 1), "a number from 0 to 1"
        case "weight_decay":
            good, expected = _is_between(value, 0, 100), "a number from 0 to 100 (0 to 0.1 is usual)"
        case "momentum" | "dampening":
            good, expected = _is_between(value, 0, 1), "a number from 0 to 1"
        case "clip_threshold":
            good, expected = _is_between(value, 1e-6, 1e6), "a number above 0, at most 1,000,000 (1 is usual)"
        case "decay_rate":
            good, expected = _is_between(value, -10, 0), "a number from -10 to 0 (-0.8 is usual)"
        case "ns_steps":
            good, expected = isinstance(value, int) and _is_between(value, 1, 100), "a whole number from 1 to 100"
        case "nesterov":
            good, expected = isinstance(value, bool), "true or false"
        case _:
            return None
    return None if good else expected


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, Mapping) else value or None


def fetched_folder(hf_dataset: object) -> str:
    """Return the folder that data sets of the hub, in mlx_lm's form, are kept in."""
    datasets = _one_or_more(hf_dataset)
    first = datasets[0] if isinstance(datasets, list | tuple) else None
    name = str(first.get("path", "")) if isinstance(first, Mapping) else ""
    return "data/" + (re.sub(r"[^\w.-]+", "-", name).strip("-.") or "hub")


def _zero_is_none(value: object) -> object:
    return None if value == 0 and not isinstance(value, bool) else value


def _words(value: object) -> object:
    """Let `q_proj,v_proj` stand for a list, as a flag gives it."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Take JSON's types only, so that what is written to YAML reads back equal."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError("expected text, numbers, true, false, lists and settings of these") from error
    return plain


SomePath = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_home)]
Key = Annotated[str, Field(max_length=1000)]
Count = Annotated[int, BeforeValidator(_number), Field(ge=1), _at_most(10**9, "100 to 10,000 is usual")]
"""Of steps or of what is done once in so many."""
Together = Annotated[int, BeforeValidator(_number), Field(ge=1), _at_most(2**16, "1 to 64 is usual")]
"""How many examples or batches a step takes."""
Batches = Annotated[int, BeforeValidator(_number), Field(ge=-1), _at_most(10**9, "-1 takes all")]
Rate = Annotated[float, BeforeValidator(_number), _at_most(10, "1e-6 to 1e-3 is usual")]
"""A learning rate."""
Scale = Annotated[float, BeforeValidator(_number), Field(gt=0), _at_most(10**6, "1 to 64 is usual")]

_MOST_EXAMPLES_A_STEP = 2**20


class LoraParameters(BaseModel):
    """The low-rank adapter: `y = W x + scale · B (A x)`, `scale = alpha / rank` (rsLoRA: `alpha / √rank`)."""

    model_config = _CONFIG

    rank: Annotated[int, BeforeValidator(_number), Field(ge=1), _at_most(2**14, "4 to 128 is usual")] = 8
    """Rank of the low-rank product."""
    scale: Scale | None = None
    """Factor of the low-rank product; 20 when neither scale nor alpha is given, as in mlx_lm."""
    alpha: Scale | None = None
    """PEFT's way to say the scale (scale = alpha / rank); give one of the two."""
    rslora: bool = False
    """Divide alpha by √rank instead of rank (rank-stabilised LoRA)."""
    dropout: Annotated[float, BeforeValidator(_number), Field(ge=0, lt=1)] = 0.0
    """Probability that an input of the adapter is dropped in training."""
    keys: Annotated[tuple[str, ...] | None, BeforeValidator(_words)] = None
    """Which linear layers, such as q_proj or self_attn.q_proj; by default all of every trained layer."""

    @model_validator(mode="after")
    def _one_scale(self) -> LoraParameters:
        if self.scale is not None and self.alpha is not None:
            raise ValueError(
                f"scale is {self.scale:g} and alpha is {self.alpha:g}, which say the same thing twice;"
                f" give one of them (at rank {self.rank}, alpha {self.alpha:g} is scale"
                f" {self.alpha / self.rank:g})"
            )
        if self.rslora and self.alpha is None:
            raise ValueError("rslora divides alpha by √rank, and alpha is not given; give alpha instead of scale")
        if self.keys is not None and not all(self.keys):
            raise ValueError("keys has an empty name; leave keys out to adapt all linear layers")
        if self.keys == ():
            raise ValueError("keys is an empty list; leave it out to adapt all linear layers")
        return self

    @property
    def effective_scale(self) -> float:
        """The factor of the low-rank product after `alpha` and `rslora` have been taken into account."""
        if self.alpha is not None:
            return self.alpha / (self.rank**0.5 if self.rslora else self.rank)
        return 20.0 if self.scale is None else self.scale


class LearningRateSchedule(BaseModel):
    """mlx_lm's `lr_schedule`: `name` with positional `arguments`, after `warmup` steps from `warmup_init`."""

    model_config = _CONFIG

    name: Literal["constant", "linear_schedule", "cosine_decay", "step_decay", "exponential_decay"] = "constant"
    """How the learning rate goes on after the warm-up."""
    arguments: tuple[Annotated[float, BeforeValidator(_number)], ...] = ()
    """As mlx's schedule takes them, initial value first; empty: from learning_rate to 0 over the run."""
    warmup: Annotated[int, BeforeValidator(_number), Field(ge=0), _at_most(10**9, "0 to 1,000 is usual")] = 0
    """Steps of linear warm-up."""
    warmup_init: Annotated[Rate, Field(ge=0)] = 0.0
    """Learning rate at the first warm-up step."""

    @model_validator(mode="before")
    @classmethod
    def _a_name_alone(cls, value: object) -> object:
        """Let `cosine_decay`, or `cosine`, stand for `{name: cosine_decay}`, as a flag gives it."""
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, Mapping):
            short = {"linear": "linear_schedule", "cosine": "cosine_decay"}
            name = value.get("name")
            return {**value, "name": short.get(name, name)} if isinstance(name, str) else value
        return value

    @model_validator(mode="after")
    def _right_number_of_arguments(self) -> LearningRateSchedule:
        names = _SCHEDULE_ARGUMENTS[self.name]
        fewest = sum("optional" not in name for name in names)
        if self.arguments and not fewest <= len(self.arguments) <= len(names):
            raise ValueError(
                f"{self.name} takes the arguments [{', '.join(names)}], found {len(self.arguments)}:"
                f" {list(self.arguments)}"
            )
        if not self.arguments and self.name in {"step_decay", "exponential_decay"}:
            raise ValueError(f"{self.name} needs its arguments: [{', '.join(names)}]")
        for name, value in zip(names, self.arguments, strict=False):
            if value < 0 or (value == 0 and "steps" in name):
                expected = "more than 0" if "steps" in name else "0 or more"
                raise ValueError(f"{self.name}: {name} is {value:g}, expected {expected}")
            most = 1e9 if "steps" in name else 1 if "rate" in name else 10
            if value > most:
                raise ValueError(f"{self.name}: {name} is {value:g}, expected at most {most:g}")
        return self


class Recipe(BaseModel):
    """All settings of a run."""

    model_config = _CONFIG

    model: SomePath
    """Folder or hub id of the base model."""
    data: SomePath
    """Folder with train.jsonl, valid.jsonl, test.jsonl."""
    hf_dataset: Annotated[
        tuple[Annotated[dict[str, Any], AfterValidator(_plain)], ...] | None, BeforeValidator(_one_or_more)
    ] = None
    """Data sets of the hub that are fetched into the data folder first, in mlx_lm's form."""
    fine_tune_type: Literal["lora", "dora", "full"] = "lora"
    """A low-rank adapter (lora, dora) or the weights themselves (full)."""
    lora_parameters: LoraParameters = LoraParameters()
    """The low-rank adapter."""
    num_layers: Annotated[int, BeforeValidator(_number), Field(ge=-1), _at_most(10_000, "-1 trains all")] | None = None
    """How many decoder layers are trained, counted from the top; -1 trains all. Default 16, or as many as there are."""

    iters: Count | None = None
    """Optimizer steps; 1000 when epochs is not given either."""
    epochs: Annotated[float, BeforeValidator(_number), Field(gt=0), _at_most(10**6, "1 to 5 is usual")] | None = None
    """Passes over the training data, instead of iters."""
    batch_size: Together = 4
    """Examples per forward pass of a step; how they are laid out in rows is not your concern."""
    grad_accumulation_steps: Together = 1
    """An optimizer step takes batch_size × grad_accumulation_steps examples."""
    optimizer: Literal["adam", "adamw", "sgd", "adafactor", "muon"] = "adam"
    """The optimizer."""
    optimizer_config: dict[str, dict[str, Annotated[Any, AfterValidator(_option)]]] = Field(default_factory=dict)
    """Options by optimizer, in mlx's form: {adamw: {weight_decay: 0.05}}."""
    learning_rate: Annotated[Rate, Field(gt=0)] = 1e-5
    """Learning rate, where no schedule says otherwise."""
    lr_schedule: LearningRateSchedule | None = None
    """Schedule of the learning rate."""
    max_grad_norm: Annotated[
        Annotated[float, BeforeValidator(_number), Field(ge=0), _at_most(10**9, "1 is usual")] | None,
        BeforeValidator(_zero_is_none),
    ] = 1.0
    """Gradients are clipped to this L2 norm; 0 does not clip."""
    seed: Annotated[int, BeforeValidator(_number), Field(ge=0), _at_most(2**63 - 1, "any number serves")] = 0
    """Determines the order of the data, the fresh adapter and dropout."""
    shuffle: bool = True
    """A fresh order in each epoch; false takes the examples as the file has them."""

    max_seq_length: Annotated[int, BeforeValidator(_number), Field(ge=8), _at_most(2**24, "512 to 8,192 is usual")] = (
        2048
    )
    """Longest example in tokens; see long_examples."""
    mask_prompt: bool | None = None
    """Loss on answers only; null: yes for messages and prompt/completion, no for text."""
    long_examples: Literal["skip", "error", "truncate-prompt"] = "skip"
    """What happens to a prompt with answer over max_seq_length; an answer is never cut."""
    on_bad_example: Literal["error", "skip"] = "error"
    """What happens at a line of the data that can't be read."""
    text_key: Key = "text"
    """Key of ready-made text in the data's lines."""
    prompt_key: Key = "prompt"
    """Key of the prompt."""
    completion_key: Key = "completion"
    """Key of the answer."""
    messages_key: Key = "messages"
    """Key of the conversation."""

    steps_per_report: Count = 10
    """Steps between reports of the training loss."""
    steps_per_eval: Count = 200
    """Steps between evaluations of the validation loss."""
    val_batches: Batches = 25
    """How many batches of batch_size validation examples are evaluated, always the same; -1 takes all."""
    save_every: Count = 100
    """Steps between checkpoints."""
    early_stopping: Count | None = None
    """Stop after this many evaluations without a better validation loss."""
    test: bool = False
    """Test on the whole test set after training."""
    test_batches: Batches = -1
    """How many batches of batch_size test examples are taken; -1 takes all."""

    adapter_path: SomePath | None = None
    """The run folder; null: runs/<model>-<data>, with a number when that exists."""
    resume_adapter_file: SomePath | None = None
    """An adapter whose weights training starts from (to go on with a run: myna train --resume RUN)."""
    grad_checkpoint: bool = False
    """Compute activations again in the backward pass, to save memory."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number type of the base weights; auto takes what this machine does well."""
    device: Annotated[str, Field(min_length=1, max_length=100)] = "auto"
    """auto, cpu, cuda, cuda:1 …"""
    engine: Literal["auto", "torch", "mlx"] = "auto"
    """The tensor library."""

    @model_validator(mode="before")
    @classmethod
    def _fetched_data(cls, values: object) -> object:
        if isinstance(values, Mapping) and values.get("hf_dataset") and values.get("data") is None:
            return {**values, "data": fetched_folder(values["hf_dataset"])}
        return values

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Recipe:
        if self.num_layers == 0:
            raise ValueError("num_layers is 0, which trains nothing; expected 1 or more, or -1 for all layers")
        if self.iters is not None and self.epochs is not None:
            raise ValueError(f"iters is {self.iters} and epochs is {self.epochs:g}; give one of them")
        if self.batch_size * self.grad_accumulation_steps > _MOST_EXAMPLES_A_STEP:
            raise ValueError(
                f"batch_size {self.batch_size} times grad_accumulation_steps {self.grad_accumulation_steps} are "
                f"{self.batch_size * self.grad_accumulation_steps:,} examples a step, expected at most "
                f"{_MOST_EXAMPLES_A_STEP:,}"
            )
        if self.test and self.test_batches == 0:
            raise ValueError(
                "test is true and test_batches is 0, which tests nothing; give 1 or more, -1 for the whole test set, "
                "or leave test out"
            )
        keys = [self.text_key, self.prompt_key, self.completion_key, self.messages_key]
        repeated = next((key for key in keys if keys.count(key) > 1 or not key), None)
        if repeated is not None:
            raise ValueError(
                "text_key, prompt_key, completion_key and messages_key must be four different names,"
                f" found {', '.join(keys)}"
            )
        for name, options in self.optimizer_config.items():
            if name not in _OPTIMIZER_OPTIONS:
                raise ValueError(
                    f"optimizer_config has options for {name!r}, which is no optimizer here"
                    f"{did_you_mean(name, _OPTIMIZER_OPTIONS)}"
                )
            known = [*_OPTIMIZER_OPTIONS[name], *_FIXED_OPTIONS.get(name, {})]
            for option in options:
                if option not in known:
                    raise ValueError(
                        f"optimizer_config.{name} has no option {option!r}{did_you_mean(option, known)}"
                        f" (known: {', '.join(known)})"
                    )
                if (expected := _option_problem(name, option, options[option])) is not None:
                    raise ValueError(f"optimizer_config.{name}.{option} is {options[option]!r}; expected {expected}")
        return self

    @property
    def optimizer_options(self) -> dict[str, object]:
        """Options of the chosen optimizer with mlx's defaults, under the names that `OptimizerSpec` takes."""
        names = _OPTIMIZER_OPTIONS[self.optimizer]
        given = self.optimizer_config.get(self.optimizer, {})
        renamed = {names[name]: value for name, value in given.items() if name in names}
        return {**_OPTIMIZER_DEFAULTS.get(self.optimizer, {}), **renamed}

    @property
    def options_without_meaning(self) -> dict[str, object]:
        """Options given to the chosen optimizer that ask for what torch's lacks, with their values."""
        fixed = _FIXED_OPTIONS.get(self.optimizer, {})
        given = self.optimizer_config.get(self.optimizer, {})
        return {name: given[name] for name, value in fixed.items() if name in given and given[name] != value}


SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Model and data": ("model", "data", "hf_dataset"),
    "What is trained": ("fine_tune_type", "num_layers", "lora_parameters", "resume_adapter_file"),
    "How long and how": (
        "iters",
        "epochs",
        "batch_size",
        "grad_accumulation_steps",
        "optimizer",
        "optimizer_config",
        "learning_rate",
        "lr_schedule",
        "max_grad_norm",
        "seed",
        "shuffle",
    ),
    "Examples": (
        "max_seq_length",
        "mask_prompt",
        "long_examples",
        "on_bad_example",
        "text_key",
        "prompt_key",
        "completion_key",
        "messages_key",
    ),
    "Reports, evaluation, checkpoints": (
        "steps_per_report",
        "steps_per_eval",
        "val_batches",
        "save_every",
        "early_stopping",
        "test",
        "test_batches",
        "adapter_path",
    ),
    "Machine": ("grad_checkpoint", "dtype", "device", "engine"),
}
"""Every field of `Recipe` under the heading that YAML and `myna train --help` show it."""
