"""`myna data`: look at training data as the model will see it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from myna.cli.flags import COMMON, Common, UsageError
from myna.cli.terminal import Styled, say
from myna.errors import DataError

if TYPE_CHECKING:
    from myna.prompts.show import TokenRow
    from myna.recipe import Recipe


def show(
    source: Path,
    /,
    *,
    model: str | None = None,
    split: Literal["train", "valid", "test"] = "train",
    index: int = 0,
    max_seq_length: int | None = None,
    mask_prompt: bool | None = None,
    long_examples: Literal["skip", "error", "truncate-prompt"] | None = None,
    text_key: str | None = None,
    prompt_key: Annotated[str | None, Parameter(name=["--prompt-key", "--prompt-feature"])] = None,
    completion_key: Annotated[str | None, Parameter(name=["--completion-key", "--completion-feature"])] = None,
    messages_key: Annotated[str | None, Parameter(name=["--messages-key", "--chat-feature"])] = None,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Show a sample token by token, with its loss mask: exactly what training sees.

    Parameters
    ----------
    source
        Data folder (then --model is needed), run folder, or recipe file.
    model
        Folder or hub id of the model whose tokenizer and chat template are used.
    split
        Which of the folder's files.
    index
        Which example of it, counted from 0.
    max_seq_length
        Longest example in tokens (default: 2048).
    mask_prompt
        Loss on answers only (default: yes for messages and prompt/completion, no for text).
    long_examples
        What happens to a prompt with answer over --max-seq-length.
    text_key
        Key of ready-made text in the data's lines.
    prompt_key
        Key of the prompt.
    completion_key
        Key of the answer.
    messages_key
        Key of the conversation.
    """
    from myna.data.folder import open_folder
    from myna.models.adapters import noted_day
    from myna.models.files import locate_tokenizer
    from myna.models.json_files import read_json
    from myna.prompts.builder import PromptBuilder
    from myna.prompts.show import show_sample
    from myna.training.preparation import keys_of

    recipe = _recipe(
        source,
        {
            "model": model,
            "max_seq_length": max_seq_length,
            "mask_prompt": mask_prompt,
            "long_examples": long_examples,
            "text_key": text_key,
            "prompt_key": prompt_key,
            "completion_key": completion_key,
            "messages_key": messages_key,
        },
    )
    folder = open_folder(Path(recipe.data), keys=keys_of(recipe), on_bad_example="skip", seed=recipe.seed)
    examples = {"train": folder.train, "valid": folder.valid, "test": folder.test}[split]
    if examples is None or not 0 <= index < len(examples):
        count = 0 if examples is None else len(examples)
        raise DataError(f"{recipe.data}: no {split} example {index}; there are {count}, counted from 0")
    environment = source / "environment.json"
    day = noted_day(read_json(environment)) if environment.is_file() else None
    builder = PromptBuilder.load(locate_tokenizer(recipe.model), day=day)
    example = examples[index]
    made = builder.samples(
        example,
        max_tokens=recipe.max_seq_length,
        mask_prompt=recipe.mask_prompt,
        long_examples=recipe.long_examples,
    )
    samples = [show_sample(sample, builder) for sample in made.samples]
    for note in (*folder.notes, *made.notices):
        say(f"Note: {note}", stream=sys.stderr)
    if made.skipped_tokens is not None:
        say(
            f"{example.source}: left out, it has {made.skipped_tokens} tokens and --max-seq-length is"
            f" {recipe.max_seq_length}"
        )
    for rows in samples:
        _print_sample(f"{example.source} ({example.kind})", rows)
    return {
        "source": str(example.source),
        "kind": example.kind,
        "notices": list(made.notices),
        "skipped_tokens": made.skipped_tokens,
        "samples": [{"tokens": [asdict(row) for row in rows]} for rows in samples],
    }


def _recipe(source: Path, given: dict[str, Any]) -> Recipe:
    """Return the settings: of a recipe file or run where `source` is one, with flags over it."""
    from myna.recipe import load_recipe

    overrides = {name: value for name, value in given.items() if value is not None}
    if source.is_file():
        return load_recipe(source, overrides).recipe
    if (source / "recipe.yaml").is_file():
        return load_recipe(source / "recipe.yaml", overrides).recipe
    if "model" not in overrides:
        raise UsageError("no model: give --model FOLDER-OR-HUB-ID, whose tokenizer and template are used")
    return load_recipe(None, {**overrides, "data": str(source)}).recipe


def _print_sample(title: str, rows: list[TokenRow]) -> None:
    trained = sum(row.trained for row in rows)
    say(Styled(title, "1"), f": {len(rows)} tokens, {trained} of them learnt (marked ●)")
    for row in rows:
        mark = "●" if row.trained else " "
        text = row.text if row.control else repr(row.text)
        line = f"{row.index:>6} {row.id:>7} {mark} {text}"
        say(Styled(line, "32") if row.trained else line)
