"""Which losses of runs can be compared, and what differs where they can't.

A loss is a mean over tokens: two are about the same thing only when the very same tokens were predicted, which takes
the same data, the same tokenizer and template, and the same mask. In: runs with what was measured of them. Out: a
`Comparability` for each kind of loss. Computes no loss.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from myna.reports.comparing.measured import TestLoss
from myna.reports.comparing.runs import ComparedRun

LossKind: TypeAlias = Literal["train", "valid", "test"]


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs, and each run's share in it: a run's name to what it has, in words."""

    what: str
    found: Mapping[str, str]

    def __str__(self) -> str:
        if not self.found:
            return self.what
        if len(set(self.found.values())) == 1:  # `wikisql` in both, say, but not the same lines
            return f"{self.what} (the name is the same, the content is not)"
        return f"{self.what} ({each_with_its_runs(self.found)})"


def each_with_its_runs(found: Mapping[str, str]) -> str:
    """Return `3 in a; 2 in b, c` of what each run has, by the runs' names."""
    runs: dict[str, list[str]] = {}
    for name, words in found.items():
        runs.setdefault(words, []).append(name)
    return "; ".join(f"{words} in {', '.join(names)}" for words, names in runs.items())


@dataclass(frozen=True, slots=True)
class Comparability:
    """Whether the losses of a kind can be compared. runs: that have one; with fewer than two there is nothing to."""

    kind: LossKind
    runs: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def comparable(self) -> bool:
        """Whether they can."""
        return not self.differences

    def __str__(self) -> str:
        kind = {"train": "Train", "valid": "Validation", "test": "Test"}[self.kind]
        if self.comparable:
            return f"{kind} losses can be compared."
        return f"{kind} losses can't be compared; what differs: {'; '.join(map(str, self.differences))}."

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return {
            "comparable": self.comparable if len(self.runs) > 1 else None,
            "differences": [{"what": each.what, "runs": dict(each.found)} for each in self.differences],
        }


@dataclass(frozen=True, slots=True)
class _Trait:
    """Something that must be the same: its value, and how it is told to a person."""

    what: str
    value: Hashable
    words: str


@dataclass(frozen=True, slots=True)
class _Basis:
    """What a loss was computed on. inputs: must be the same. settings: what the recipe says of reading them.

    outcome: what came of it; where inputs and outcome are the same, other settings made no difference.
    """

    inputs: tuple[_Trait, ...]
    settings: tuple[_Trait, ...]
    outcome: Hashable


def comparability(runs: Sequence[ComparedRun], tests: Sequence[TestLoss | None]) -> tuple[Comparability, ...]:
    """Say of train, validation and test losses whether those that are there can be compared.

    tests: of each run, as measured or as its log has it.
    """
    trained = [_trained(run, "train") if run.record.reports else None for run in runs]
    validated = [_trained(run, "valid") if run.record.evaluations else None for run in runs]
    hashed = all(test.samples_hash is not None for test in tests if test is not None)
    tested = [None if test is None else _tested(run, test, hashed) for run, test in zip(runs, tests, strict=True)]
    return _compared("train", runs, trained), _compared("valid", runs, validated), _compared("test", runs, tested)


def _compared(kind: LossKind, runs: Sequence[ComparedRun], bases: Sequence[_Basis | None]) -> Comparability:
    having = {run.name: basis for run, basis in zip(runs, bases, strict=True) if basis is not None}
    names = tuple(having)
    same_outcome = len({basis.outcome for basis in having.values()}) <= 1
    if same_outcome and kind == "test" and all(isinstance(basis.outcome, str) for basis in having.values()):
        return Comparability(kind, names, ())  # the very same tokens under the same mask
    inputs = _differing({name: basis.inputs for name, basis in having.items()})
    if same_outcome:
        return Comparability(kind, names, tuple(inputs))
    found = [*inputs, *_differing({name: basis.settings for name, basis in having.items()})]
    return Comparability(kind, names, tuple(found or [Difference("the tokens that were predicted", {})]))


def _differing(traits: Mapping[str, Sequence[_Trait]]) -> list[Difference]:
    return [
        Difference(column[0].what, {name: trait.words for name, trait in zip(traits, column, strict=True)})
        for column in zip(*traits.values(), strict=True)
        if len({trait.value for trait in column}) > 1
    ]


_SPLITS = {"train": "training", "valid": "validation", "test": "test"}


def _trained(run: ComparedRun, split: Literal["train", "valid"]) -> _Basis:
    """Return what the train or validation loss of a run was computed on; without a record of it, on its own."""
    recipe, hashes = run.recipe, run.record.environment.get("hashes", {})
    read = {one.split: one for one in run.record.data}.get(split)
    inputs = _inputs(run, split, hashes.get(split, run.name), hashes.get("prompt", run.name))
    if split == "valid":
        chosen = run.record.evaluations[-1].samples
        # where all samples are evaluated no choice was made
        seed = None if read is not None and chosen == read.samples else recipe.seed
        words = f"{chosen:,} by seed {recipe.seed}"
        inputs = (*inputs, _Trait("which examples were evaluated", (chosen, seed), words))
    outcome = run.name if read is None else (read.samples, read.tokens, read.trained_tokens)
    return _Basis(inputs, _settings(run), outcome)


def _tested(run: ComparedRun, test: TestLoss, hashed: bool) -> _Basis:
    outcome = test.samples_hash if hashed else (test.tokens, test.examples)
    return _Basis(_inputs(run, "test", test.data_hash, test.prompt_hash), _settings(run), outcome)


def _inputs(run: ComparedRun, split: LossKind, data_hash: Hashable, prompt_hash: Hashable) -> tuple[_Trait, ...]:
    recipe = run.recipe
    keys = (recipe.text_key, recipe.prompt_key, recipe.completion_key, recipe.messages_key)
    return (
        _Trait(f"the {_SPLITS[split]} data", data_hash, Path(recipe.data).name),
        _Trait("the keys of the data", keys, ", ".join(keys)),
        _Trait("the tokenizer or chat template", prompt_hash, f"that of {Path(recipe.model).name}"),
    )


def _settings(run: ComparedRun) -> tuple[_Trait, ...]:
    recipe = run.recipe
    mask = {None: "as the format has it", True: "answers only", False: "all tokens"}[recipe.mask_prompt]
    length = (recipe.max_seq_length, recipe.long_examples)
    return (
        _Trait("the mask", recipe.mask_prompt, mask),
        _Trait("the longest example", length, f"{length[0]:,} tokens, {length[1]} what is longer"),
    )
