"""`myna test`: loss and perplexity of a base model, an adapter, or every checkpoint of a run."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from myna.cli.flags import COMMON, Common, UsageError
from myna.cli.model_flags import Dtype, EngineName, recipe_of_run, say_other_base
from myna.cli.terminal import draw, emphasis, is_terminal, say
from myna.foreign_text import visible

if TYPE_CHECKING:
    from myna.evaluation import Score
    from myna.recipe import Recipe


def measure(
    source: Path | None = None,
    /,
    *,
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
    model: str | None = None,
    data: Path | None = None,
    adapter_path: Path | None = None,
    checkpoints: Annotated[bool, Parameter(negative="")] = False,
    by: str | None = None,
    max_seq_length: int | None = None,
    mask_prompt: bool | None = None,
    long_examples: Literal["skip", "error", "truncate-prompt"] | None = None,
    on_bad_example: Literal["error", "skip"] | None = None,
    batch_size: int | None = None,
    test_batches: int | None = None,
    engine: EngineName | None = None,
    dtype: Dtype | None = None,
    device: str | None = None,
    common: Common = COMMON,
) -> Any:
    """Measure loss per trained token and perplexity on the whole test set.

    Of a run: myna test RUN, or every checkpoint of it: myna test RUN --checkpoints. Of a base model:
    myna test --model MODEL --data DATA.

    Parameters
    ----------
    source
        Run folder, adapter folder, or recipe file; what it says is taken where no flag says otherwise.
    config
        Recipe file, as mlx_lm names it.
    model
        Folder or hub id of the base model.
    data
        Folder with test.jsonl.
    adapter_path
        Run folder, checkpoint, or adapter folder of Myna, PEFT or mlx-lm.
    checkpoints
        Test the base model and every checkpoint of the run, in one pass over the data.
    by
        Key of the data's lines, such as source for articles: say the loss for each value of it, too.
    max_seq_length
        Longest example in tokens; by default what the adapter was trained with, else 2048.
    mask_prompt
        Loss on answers only; by default as the adapter was trained.
    long_examples
        What happens to a prompt with answer over --max-seq-length.
    on_bad_example
        What happens at a line of the data that can't be read.
    batch_size
        Examples in a batch of --test-batches.
    test_batches
        Take only this many batches; -1 takes the whole test set.
    engine
        Tensor library: auto, torch or mlx.
    dtype
        Number type of the base weights.
    device
        auto, cpu, cuda, cuda:1 …
    """
    from myna.evaluation import test

    recipe, adapter = _settings(source, config, adapter_path)
    given = {
        "max_seq_length": max_seq_length,
        "mask_prompt": mask_prompt,
        "long_examples": long_examples,
        "on_bad_example": on_bad_example,
        "batch_size": batch_size,
        "test_batches": test_batches,
        "engine": engine,
        "dtype": dtype,
        "device": device,
    }
    settings = {name: getattr(recipe, name) for name in given} if recipe is not None else {}
    if recipe is not None:
        from myna.training.preparation import keys_of

        settings["keys"] = keys_of(recipe)
    settings |= {name: value for name, value in given.items() if value is not None}
    chosen_model = model or (recipe.model if recipe is not None else None)
    chosen_data = data or (recipe.data if recipe is not None else None)
    if chosen_model is None or chosen_data is None:
        missing = "--model" if chosen_model is None else "--data"
        raise UsageError(f"no {missing[2:]}: give {missing}, or a run folder or recipe that names it")
    say_other_base(chosen_model, adapter)
    scores = test(
        chosen_model,
        chosen_data,
        adapter_path=adapter,
        checkpoints=checkpoints,
        by=by,
        listener=_follow if checkpoints else None,
        **settings,
    )
    draw(table(scores) if checkpoints else _sentence(scores[0]), sys.stdout)
    if by is not None:
        draw(f"\n{_parts(scores, by)}", sys.stdout)
    return [score.as_dict() for score in scores] if checkpoints else scores[0].as_dict()


def _settings(source: Path | None, config: Path | None, adapter_path: Path | None) -> tuple[Recipe | None, Path | None]:
    """Return the recipe that says what no flag says, and the adapter to test."""
    from myna.recipe import load_recipe

    if source is not None and source.is_dir():
        if adapter_path is not None:
            raise UsageError(f"two adapters: {source} and --adapter-path {adapter_path}; give one of them")
        source, adapter_path = None, source
    if source is not None and config is not None:
        raise UsageError(f"two recipes: {source} and --config {config}; give one of them")
    file = source or config
    if file is None:
        return recipe_of_run(adapter_path), adapter_path
    recipe = load_recipe(file).recipe
    if adapter_path is None and recipe.adapter_path is not None:
        adapter_path = Path(recipe.adapter_path)
    return recipe, adapter_path


def _follow(score: Score) -> None:
    """Show on a terminal that it goes on; the table comes at the end, when the best is known."""
    if is_terminal(sys.stderr):
        say(f"Iter {score.iteration}: Test loss {score.loss:.3f}", stream=sys.stderr)


def table(scores: Sequence[Score]) -> str:
    """Return `Iter | Test loss | Test ppl`, a line for each score, the best one marked."""
    finite = [score for score in scores if math.isfinite(score.loss)]
    best = min(finite, key=lambda score: score.loss) if finite else None
    lines = [" Iter | Test loss | Test ppl", "-----:|----------:|---------:"]
    for score in scores:
        line = f"{score.iteration or 0:>5} | {score.loss:9.3f} | {score.perplexity:8.3f}"
        lines.append(emphasis(f"{line}  ← best", "1", sys.stdout) if score is best else line)
    return "\n".join(lines)


def _parts(scores: Sequence[Score], key: str) -> str:
    """Return a line for each value of `key`, with the loss of every score, the highest of the last one first."""
    heads = [f"Iter {score.iteration}" if score.iteration is not None else "Test loss" for score in scores]
    widths = [max(9, len(head)) for head in heads]
    lines = ["Examples | " + " | ".join(f"{h:>{w}}" for h, w in zip(heads, widths, strict=True)) + f" | {visible(key)}"]
    lines.append("|".join(["-" * 8 + ":", *("-" * (width + 1) + ":" for width in widths), "---"]))
    losses = [{part.value: part.loss for part in score.parts} for score in scores]
    for part in scores[-1].parts:
        cells = (f"{loss[part.value]:{width}.3f}" for loss, width in zip(losses, widths, strict=True))
        lines.append(f"{part.examples:>8} | {' | '.join(cells)} | {visible(part.value)}")
    return "\n".join(lines)


def _sentence(score: Score) -> str:
    left_out = f"; {score.skipped_long} left out as too long" if score.skipped_long else ""
    return (
        f"Test loss {score.loss:.3f}, Test ppl {score.perplexity:.3f}"
        f" ({score.tokens:,} tokens of {score.examples:,} examples{left_out})"
    )
