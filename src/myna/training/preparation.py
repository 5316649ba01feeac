"""Everything between a recipe and the first step: read the data, build the samples, load the model, note the
machine.

In: a recipe and a folder for what can be made again. Out: `Prepared`. Fails early: settings and data are
checked before the weights are loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from myna.batching.order import Order
from myna.data.folder import DataFolder, Examples, Keys, open_folder
from myna.data.hub import fetch_dataset
from myna.engines import choose
from myna.engines.base import Engine, Model, OptimizerSpec
from myna.errors import AdapterError, DataError, ResourceError
from myna.models.adapters import (
    PROMPT,
    PROMPT_DATE,
    AdapterSpec,
    initial_tensors,
    read_adapter,
    read_note,
    resolve,
    tensor_shapes,
)
from myna.models.files import ModelFiles, find
from myna.models.origin import other_base
from myna.prompts.builder import PromptBuilder
from myna.prompts.store import SampleStore, build_samples
from myna.recipe import Recipe
from myna.training.environment import describe
from myna.training.events import DataRead, Listener, Notice
from myna.training.schedules import Schedule, build_schedule

DEFAULT_ITERATIONS = 1000


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that is ready for its first step.

    iterations: optimizer steps of the whole run. environment: what `environment.json` holds.
    """

    recipe: Recipe
    folder: DataFolder
    builder: PromptBuilder
    train: SampleStore
    valid: SampleStore | None
    files: ModelFiles
    spec: AdapterSpec
    engine: Engine
    model: Model
    iterations: int
    order: Order
    schedule: Schedule
    environment: Mapping[str, Any]

    @property
    def trained_parameters(self) -> int:
        """How many numbers training changes."""
        return sum(math.prod(shape) for shape in tensor_shapes(self.spec, self.files).values())

    @property
    def note(self) -> dict[str, Any]:
        """What stands beside the adapter, so that it is tested and asked as it was trained."""
        made = self.folder.made
        return {
            **({PROMPT: made[PROMPT]} if PROMPT in made else {}),
            "mask_prompt": self.recipe.mask_prompt,
            "max_seq_length": self.recipe.max_seq_length,
            "keys": asdict(keys_of(self.recipe)),
            "prompt_hash": self.builder.content_hash,
            **({PROMPT_DATE: self.builder.day.isoformat()} if self.builder.day is not None else {}),
        }


def keys_of(recipe: Recipe) -> Keys:
    """Return which keys of the data's lines hold what."""
    return Keys(recipe.text_key, recipe.prompt_key, recipe.completion_key, recipe.messages_key)


def examples_per_iteration(recipe: Recipe) -> int:
    """Return how many examples an optimizer step takes."""
    return recipe.batch_size * recipe.grad_accumulation_steps


def count_iterations(recipe: Recipe, samples: int) -> int:
    """Return the optimizer steps of a run over `samples` samples.

    An iteration is one optimizer step. (mlx_lm counts micro-batches: with `grad_accumulation_steps` 4 its
    1000 iterations are 250 optimizer steps, ours are 1000.)
    """
    if recipe.epochs is None:
        return recipe.iters or DEFAULT_ITERATIONS
    return max(1, math.ceil(recipe.epochs * samples / examples_per_iteration(recipe)))


def prepare(recipe: Recipe, cache: Path, tell: Listener, *, day: date | None = None) -> Prepared:
    """Read, build and load all that the recipe names; `tell` is given what was read and what is worth
    knowing.

    day: the date on which the run began, for chat templates that print it; None is today.

    Raises `DataError`, `PromptError`, `ModelError`, `AdapterError`, `RecipeError`, `ResourceError` and
    `MissingDependency`.
    """
    files = find(recipe.model)
    for notice in files.notices:
        tell(Notice(0, f"{notice}."))
    spec = _adapter_spec(recipe, files)
    engine = choose(recipe.engine)
    builder = PromptBuilder.load(files.folder, day=day)
    if recipe.hf_dataset is not None:
        fetch_dataset(recipe.hf_dataset, Path(recipe.data))
    folder = open_folder(
        Path(recipe.data), keys=keys_of(recipe), on_bad_example=recipe.on_bad_example, seed=recipe.seed
    )
    if recipe.test and folder.test is None:
        raise DataError(
            f"{folder.path}: test is true in the recipe, but there is no test.jsonl; add one or leave it out."
        )
    for note in folder.notes:
        tell(Notice(0, note))
    train = _samples("train", folder.train, builder, recipe, cache=cache, tell=tell)
    valid = None
    if folder.valid is not None and recipe.val_batches != 0:
        valid = _samples("valid", folder.valid, builder, recipe, cache=cache, tell=tell)
    else:
        tell(Notice(0, "Nothing is validated: the last adapter is kept, not the best one, and nothing stops early."))
    if recipe.resume_adapter_file is not None:
        difference = other_base(read_note(Path(recipe.resume_adapter_file)), files)
        if difference is not None:
            tell(Notice(0, f"{recipe.resume_adapter_file}: {difference}."))
    model = _load(recipe, files, spec, engine)
    for store in (train, valid):
        _check_longest(model, store, recipe)
    iterations = count_iterations(recipe, len(train))
    return Prepared(
        recipe=recipe,
        folder=folder,
        builder=builder,
        train=train,
        valid=valid,
        files=files,
        spec=spec,
        engine=engine,
        model=model,
        iterations=iterations,
        order=Order(len(train), examples_per_iteration(recipe), recipe.seed, shuffled=recipe.shuffle),
        schedule=build_schedule(recipe.learning_rate, recipe.lr_schedule, iterations),
        environment=describe(engine, recipe.device, files, builder, folder),
    )


def _adapter_spec(recipe: Recipe, files: ModelFiles) -> AdapterSpec:
    lora = recipe.lora_parameters
    return resolve(
        files,
        kind=recipe.fine_tune_type,
        keys=lora.keys,
        num_layers=recipe.num_layers,
        rank=lora.rank,
        scale=lora.effective_scale,
        dropout=lora.dropout,
    )


def _samples(
    split: Literal["train", "valid"],
    examples: Examples,
    builder: PromptBuilder,
    recipe: Recipe,
    *,
    cache: Path,
    tell: Listener,
) -> SampleStore:
    store = build_samples(
        examples,
        builder,
        max_tokens=recipe.max_seq_length,
        mask_prompt=recipe.mask_prompt,
        long_examples=recipe.long_examples,
        on_bad_example=recipe.on_bad_example,
        directory=cache / split,
    )
    summary = store.summary
    tell(
        DataRead(
            split=split,
            examples=summary.examples,
            samples=summary.samples,
            skipped_lines=len(examples.skipped) + summary.refused,
            skipped_long=summary.skipped_long,
            truncated=summary.truncated,
            longest=summary.longest,
            tokens=summary.tokens,
            trained_tokens=summary.trained_tokens,
        )
    )
    for line in summary.lines():
        tell(Notice(0, f"{examples.path.name}: {line}"))
    return store


def _load(recipe: Recipe, files: ModelFiles, spec: AdapterSpec, engine: Engine) -> Model:
    """Load the weights, give the adapter its first values and create the optimizer."""
    start = initial_tensors(spec, files, recipe.seed)
    if recipe.resume_adapter_file is not None:
        start |= _given_adapter(Path(recipe.resume_adapter_file), spec, files)
    model = engine.load(files, adapter=spec, dtype=recipe.dtype, device=recipe.device)
    model.load_trainable(start)
    model.prepare_training(
        OptimizerSpec(recipe.optimizer, recipe.optimizer_options),
        gradient_checkpointing=recipe.grad_checkpoint,
        seed=recipe.seed,
    )
    return model


def _check_longest(model: Model, store: SampleStore | None, recipe: Recipe) -> None:
    """Raise `ResourceError` when the device can't compute the longest sample that was not left out."""
    longest = 0 if store is None else min(store.summary.longest, recipe.max_seq_length)
    if model.longest_sample is not None and longest > model.longest_sample:
        raise ResourceError(
            f"an example has {longest} tokens, and this device can hold the attention of {model.longest_sample} at "
            f"once; set --max-seq-length {model.longest_sample}"
        )


def _given_adapter(path: Path, spec: AdapterSpec, files: ModelFiles) -> dict[str, Any]:
    """Read the adapter that training starts from; another kind or scale would change what its numbers mean."""
    given, tensors = read_adapter(path, files)
    if given.kind != spec.kind:
        raise AdapterError(
            f"{path}: is of kind {given.kind}, the recipe says {spec.kind}; set --fine-tune-type {given.kind}."
        )
    for layer, target in given.targets.items():
        wanted = spec.targets.get(layer)
        # PEFT's files hold alpha = scale · rank, from which not every scale comes back to its last bit.
        same = wanted is None or (wanted.rank == target.rank and math.isclose(wanted.scale, target.scale, rel_tol=1e-9))
        if wanted is not None and not same:
            raise AdapterError(
                f"{path}: was trained with rank {target.rank} and scale {target.scale:g}, the recipe says "
                f"rank {wanted.rank} and scale {wanted.scale:g}; "
                f"set --rank {target.rank} --scale {target.scale:g}."
            )
    return tensors
