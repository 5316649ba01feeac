"""Test loss of a base model, an adapter, or every checkpoint of a run; the base model is loaded once, the
data read once.

In: names and paths. Out: `Score`s. Knows engines only by their protocol.
"""

# ruff: noqa: PT028  (`test` is a command of ours, not a test of pytest's)

from __future__ import annotations

import math
import shlex
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from myna.data.folder import Examples, Keys, open_split
from myna.engines import choose
from myna.engines.base import Model
from myna.errors import AdapterError, DataError, RunError, excerpt
from myna.evaluation.loss import evaluation_rows, fixed_selection, mean_loss, perplexity
from myna.models.adapters import model_note, noted_day, read_adapter, read_note
from myna.models.files import ModelFiles, find
from myna.prompts.builder import PromptBuilder
from myna.prompts.store import SampleStore, build_samples
from myna.runs import RunFolder

DEFAULT_MAX_SEQ_LENGTH = 2048


@dataclass(frozen=True, slots=True)
class Part:
    """The score on the examples that have one value under a key, such as the pieces of one article."""

    value: str
    loss: float
    tokens: int
    examples: int

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON; a loss that is not finite becomes None."""
        return {**asdict(self), "loss": self.loss if math.isfinite(self.loss) else None}


@dataclass(frozen=True, slots=True)
class Score:
    """How well one model predicts the test set.

    loss: mean per trained token (nats). perplexity: its exponential. tokens: trained tokens that were scored.
    examples: those they come from. skipped_long: left out because they are over `max_seq_length`.
    iteration: of a checkpoint; 0 the base model beside checkpoints, None otherwise. name: what was scored.
    parts: by value of the key that was asked for, the highest loss first.
    """

    loss: float
    perplexity: float
    tokens: int
    examples: int
    skipped_long: int
    iteration: int | None
    name: str
    parts: tuple[Part, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON; what is not finite becomes None, and `iteration` stands only for
        checkpoints."""
        fields: dict[str, Any] = {
            "loss": self.loss if math.isfinite(self.loss) else None,
            "perplexity": self.perplexity if math.isfinite(self.perplexity) else None,
            "tokens": self.tokens,
            "examples": self.examples,
            "skipped_long": self.skipped_long,
            "name": self.name,
        }
        if self.parts:
            fields["parts"] = [part.as_dict() for part in self.parts]
        return fields if self.iteration is None else {"iteration": self.iteration, **fields}


def test(
    model: str,
    data: Path | str,
    *,
    adapter_path: Path | str | None = None,
    checkpoints: bool = False,
    by: str | None = None,
    max_seq_length: int | None = None,
    mask_prompt: bool | None = None,
    long_examples: Literal["skip", "error", "truncate-prompt"] = "skip",
    on_bad_example: Literal["error", "skip"] = "error",
    keys: Keys | None = None,
    batch_size: int = 4,
    test_batches: int = -1,
    engine: Literal["auto", "torch", "mlx"] = "auto",
    dtype: str = "auto",
    device: str = "auto",
    listener: Callable[[Score], None] | None = None,
) -> list[Score]:
    """Return the loss and perplexity of `model` on `data/test.jsonl`.

    adapter_path: an adapter, a checkpoint or a run folder, whose kept adapter is taken; with `checkpoints` a
    run
        folder, and the scores are those of the base model (iteration 0) and of every checkpoint.
    by: a key of the data's lines; scores also say the loss of the lines with each value of it (`source`: by article).
    max_seq_length, mask_prompt, keys: None takes what the adapter was trained with, else 2048 tokens, answers
    only
        (everything for text), and mlx_lm's keys.
    test_batches: how many batches of `batch_size` samples; -1 takes the whole test set.
    listener: is given each score as soon as it is there.

    Raises `DataError` (also when no line has the key `by`), `PromptError` (nothing to score), `ModelError`,
    `AdapterError`, `RunError` (checkpoints of what is not a run) and `ResourceError`.
    """
    if checkpoints and adapter_path is None:
        raise RunError("checkpoints are those of a run: name its folder with --adapter-path.")
    adapters = _adapters(Path(adapter_path) if adapter_path is not None else None, checkpoints)
    adapter = next((path for _, path in adapters if path), None)
    note = {} if adapter is None else read_note(adapter)
    if adapter is not None and keys is None:
        keys = noted_keys(adapter, note)
    files = find(model)
    builder = PromptBuilder.load(files.folder, day=noted_day({**model_note(files), **note}))
    examples = open_split(Path(data), "test", keys=keys, on_bad_example=on_bad_example)
    values = None if by is None else _values(examples, by)
    length = max_seq_length or note.get("max_seq_length", DEFAULT_MAX_SEQ_LENGTH)
    with tempfile.TemporaryDirectory(prefix="myna-test-") as directory:
        store = build_samples(
            examples,
            builder,
            max_tokens=length,
            mask_prompt=note.get("mask_prompt") if mask_prompt is None else mask_prompt,
            long_examples=long_examples,
            on_bad_example=on_bad_example,
            directory=Path(directory),
        )
        wanted = None if test_batches == -1 else test_batches * batch_size
        scores = []
        scored = _models(adapters, files, name=model, engine=engine, dtype=dtype, device=device)
        for iteration, name, loaded in scored:
            score = score_samples(loaded, store, wanted=wanted, iteration=iteration, name=name, values=values)
            scores.append(score)
            if listener is not None:
                listener(score)
    return scores


def noted_keys(adapter: Path, note: Mapping[str, Any]) -> Keys:
    """Return the keys of the lines that an adapter was trained on, as its note has them; mlx_lm's where it has none.

    Raises `AdapterError` for a note in which they can't be read.
    """
    named, known = note.get("keys", {}), [field.name for field in fields(Keys)]
    if not isinstance(named, dict) or any(name not in known or not isinstance(key, str) for name, key in named.items()):
        raise AdapterError(
            f'{adapter}: myna.json says "keys": {excerpt(named)}, expected what the data has for {", ".join(known)}, '
            'such as {"prompt": "question"}; correct it there, or take it out'
        )
    return Keys(**named)


def score_samples(
    model: Model,
    store: SampleStore,
    *,
    wanted: int | None = None,
    iteration: int | None = None,
    name: str = "",
    values: Mapping[int, str] | None = None,
) -> Score:
    """Return the score of a loaded model on `wanted` samples (None: all), always the same ones.

    values: of each line, by its number, what its part of the score is called.
    """
    indices = fixed_selection(len(store), wanted, seed=0)
    loss, tokens = mean_loss(model, evaluation_rows(store, indices, tokens_per_row=model.row_tokens))
    parts = () if values is None else _parts(model, store, indices, values)
    skipped = store.summary.skipped_long
    return Score(loss, perplexity(loss), tokens, _examples(store, indices), skipped, iteration, name, parts)


def _parts(model: Model, store: SampleStore, indices: Sequence[int], values: Mapping[int, str]) -> tuple[Part, ...]:
    members: defaultdict[str, list[int]] = defaultdict(list)
    for index in indices:
        members[values[store[index].source.line]].append(index)
    parts = []
    for value, own in members.items():
        loss, tokens = mean_loss(model, evaluation_rows(store, own, tokens_per_row=model.row_tokens))
        parts.append(Part(value, loss, tokens, _examples(store, own)))
    return tuple(sorted(parts, key=lambda part: (-part.loss, part.value)))


def _examples(store: SampleStore, indices: Sequence[int]) -> int:
    """Return how many examples the samples come from; a long one is several."""
    return len({str(store[index].source) for index in indices})


def _values(examples: Examples, key: str) -> dict[int, str]:
    found = dict(examples.values(key))
    if not any(value is not None for value in found.values()):
        raise DataError(f"{examples.path}: no line has the key {excerpt(key)}, by which the loss was to be told")
    return {line: "(none)" if value is None else str(value) for line, value in found.items()}


def _adapters(path: Path | None, checkpoints: bool) -> list[tuple[int | None, Path | None]]:
    """Return (iteration, folder) of what is to be scored; the base model has no folder."""
    if path is None:
        return [(None, None)]
    if not checkpoints:
        return [(None, path)]
    saved = RunFolder.open(path).checkpoints()
    if not saved:
        quoted = shlex.quote(str(path))
        raise RunError(f"{path}: this run has no checkpoint yet; go on with it: myna train --resume {quoted}")
    return [(0, None), *saved]


def _models(
    adapters: list[tuple[int | None, Path | None]],
    files: ModelFiles,
    *,
    name: str,
    engine: Literal["auto", "torch", "mlx"],
    dtype: str,
    device: str,
) -> Iterator[tuple[int | None, str, Model]]:
    """Load the base model once and give it one adapter after another; a fresh one changes nothing."""
    first = next((path for _, path in adapters if path), None)
    spec = None if first is None else read_adapter(first, files)[0]
    loaded = choose(engine).load(files, adapter=spec, dtype=dtype, device=device)
    for iteration, path in adapters:
        if path is not None:
            loaded.load_trainable(read_adapter(path, files)[1])
        yield iteration, str(path or name), loaded
