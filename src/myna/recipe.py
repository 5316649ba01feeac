"""Recipe: everything that determines a run, in one frozen typed object; YAML in and resolved YAML out.

Names and defaults are mlx_lm's, so its YAML files run unchanged; what is ours has a name of its own. Knows nothing of
files of examples, engines or the command line.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class LoraParameters(BaseModel):
    """The low-rank adapter: `y = W x + scale · B (A x)`, with `scale = alpha / rank` (rsLoRA: `alpha / √rank`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: Annotated[int, Field(ge=1)] = 8
    scale: float | None = None
    """Factor of the low-rank product. 20 when neither scale nor alpha is given, as in mlx_lm."""
    alpha: float | None = None
    """PEFT's way to say the scale; give one of the two."""
    rslora: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    keys: tuple[str, ...] | None = None
    """Which linear layers, such as `self_attn.q_proj` or `q_proj`. None: all of every adapted decoder layer."""

    @property
    def effective_scale(self) -> float:
        """The factor of the low-rank product after `alpha` and `rslora` have been taken into account."""
        if self.alpha is not None:
            return self.alpha / (self.rank**0.5 if self.rslora else self.rank)
        return 20.0 if self.scale is None else self.scale


class LearningRateSchedule(BaseModel):
    """mlx_lm's `lr_schedule`: `name` with positional `arguments`, after `warmup` steps from `warmup_init`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["constant", "linear_schedule", "cosine_decay", "step_decay", "exponential_decay"] = "constant"
    arguments: tuple[float, ...] = ()
    warmup: Annotated[int, Field(ge=0)] = 0
    warmup_init: Annotated[float, Field(ge=0)] = 0.0


class Recipe(BaseModel):
    """All settings of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """Folder or hub id of the base model."""
    data: str
    """Folder with train.jsonl, valid.jsonl, test.jsonl."""
    fine_tune_type: Literal["lora", "dora", "full"] = "lora"
    lora_parameters: LoraParameters = LoraParameters()
    num_layers: Annotated[int, Field(ge=-1)] = 16
    """How many decoder layers are trained, counted from the top; -1 trains all."""

    iters: Annotated[int, Field(ge=1)] | None = None
    """Optimizer steps; 1000 when `epochs` is not given either."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    batch_size: Annotated[int, Field(ge=1)] = 4
    """Examples per forward pass of a step; how they are laid out in rows is not the user's concern."""
    grad_accumulation_steps: Annotated[int, Field(ge=1)] = 1
    """An optimizer step takes `batch_size · grad_accumulation_steps` examples."""
    optimizer: Literal["adam", "adamw", "sgd", "adafactor", "muon"] = "adam"
    optimizer_config: dict[str, dict[str, Any]] = Field(default_factory=dict)
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    lr_schedule: LearningRateSchedule | None = None
    max_grad_norm: Annotated[float, Field(gt=0)] | None = 1.0
    seed: Annotated[int, Field(ge=0)] = 0

    max_seq_length: Annotated[int, Field(ge=8)] = 2048
    mask_prompt: bool | None = None
    """Loss on answers only. None: yes for messages and prompt/completion, no for text."""
    long_examples: Literal["skip", "error", "truncate-prompt"] = "skip"
    on_bad_example: Literal["error", "skip"] = "error"
    text_key: str = "text"
    prompt_key: str = "prompt"
    completion_key: str = "completion"
    messages_key: str = "messages"

    steps_per_report: Annotated[int, Field(ge=1)] = 10
    steps_per_eval: Annotated[int, Field(ge=1)] = 200
    val_batches: Annotated[int, Field(ge=-1)] = 25
    """How many batches of `batch_size` validation examples are evaluated, always the same ones; -1 takes all."""
    save_every: Annotated[int, Field(ge=1)] = 100
    early_stopping: Annotated[int, Field(ge=1)] | None = None
    """Stop after this many evaluations without a better validation loss."""
    test: bool = False
    test_batches: Annotated[int, Field(ge=-1)] = -1

    adapter_path: str | None = None
    """The run folder. None: `runs/<model>-<data>`, with a number when that exists."""
    resume_adapter_file: str | None = None
    """An adapter whose weights training starts from (not a resumed run: see `myna train --resume`)."""
    grad_checkpoint: bool = False
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    engine: Literal["auto", "torch", "mlx"] = "auto"
