"""All samples of a data set on disk, memory-mapped: memory does not grow with the data.

Examples go in once, in order; samples come out by index, with the summary that says what was left out and why.
Files: `tokens.bin` (int32), `trained.bin` (one byte a token), `index.bin` (int64 `[samples, 3]`: where the sample's
tokens start and stop, and the source line). Knows no engine and no order.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from myna.data.example import Example, Source
from myna.data.folder import OnBadExample
from myna.errors import PromptError
from myna.prompts.builder import LongExamples, PromptBuilder, Samples, TooLongError
from myna.prompts.sample import Sample
from myna.runs import writing


@dataclass(frozen=True, slots=True)
class SampleSummary:
    """What became of a data set.

    examples: read. samples: made (more than examples where texts were split into windows). skipped_long: examples
    of which something was left out for being over `max_tokens`. truncated: examples whose question was
    shortened. longest: tokens of the longest example or sample, left out or not. notices: how many examples each
    notice holds for. refused: examples left out because the tokenizer or its template can't express them.
    first_refusal: the first of these, with the reason.
    """

    examples: int
    samples: int
    skipped_long: int
    truncated: int
    longest: int
    max_tokens: int
    tokens: int
    trained_tokens: int
    notices: Mapping[str, int]
    refused: int = 0
    first_refusal: str = ""

    def lines(self) -> tuple[str, ...]:
        """Return what a person should know, one line each: what was left out, how long it is, what to set."""
        lines = [f"{notice} ({count} of {self.examples} examples)" for notice, count in self.notices.items()]
        if self.refused:
            lines.append(
                f"{self.refused} of {self.examples} examples can't be expressed by this model's tokenizer and template "
                f"and were left out; the first: {self.first_refusal}"
            )
        if self.truncated:
            lines.append(f"{self.truncated} of {self.examples} examples have a shortened question")
        if self.skipped_long:
            lines.append(
                f"{self.skipped_long} of {self.examples} examples are over {self.max_tokens} tokens and were left "
                f"out (the longest has {self.longest}); to keep them set --max-seq-length {self.longest}, or "
                "--long-examples truncate-prompt"
            )
        return tuple(lines)


class _Tally:
    """Counts while samples are made."""

    def __init__(self, max_tokens: int) -> None:
        self.file = ""
        self.tokens = 0
        self._max_tokens = max_tokens
        self._examples = self._samples = self._skipped = self._truncated = self._longest = self._trained = 0
        self._notices: Counter[str] = Counter()
        self._refused, self._first_refusal = 0, ""

    def add_refused(self, example: Example, error: PromptError) -> None:
        self.file = example.source.file
        self._examples += 1
        self._refused += 1
        self._first_refusal = self._first_refusal or str(error)

    def add_sample(self, sample: Sample) -> None:
        self.tokens += len(sample)
        self._samples += 1
        self._trained += int(sample.trained.sum())
        self._longest = max(self._longest, len(sample))

    def add_example(self, example: Example, made: Samples) -> None:
        self.file = example.source.file
        self._examples += 1
        self._skipped += made.skipped_tokens is not None
        self._truncated += made.truncated
        self._longest = max(self._longest, made.skipped_tokens or 0)
        self._notices.update(made.notices)

    def summary(self) -> SampleSummary:
        """Raises `PromptError` when there is nothing to learn."""
        if not self._examples:
            raise PromptError("there are no examples, so there is nothing to learn")
        if not self._samples and self._refused:
            long = f", the other {self._skipped} are over {self._max_tokens} tokens" if self._skipped else ""
            raise PromptError(
                f"{self.file}: {self._refused} of {self._examples} examples can't be expressed by this model's "
                f"tokenizer and template{long}, so there is nothing to learn; the first: {self._first_refusal}"
            )
        if not self._samples:
            raise PromptError(
                f"{self.file}: all {self._examples} examples are over {self._max_tokens} tokens (the longest has "
                f"{self._longest}), so there is nothing to learn; set --max-seq-length {self._longest}, or "
                "--long-examples truncate-prompt"
            )
        return SampleSummary(
            examples=self._examples,
            samples=self._samples,
            skipped_long=self._skipped,
            truncated=self._truncated,
            longest=self._longest,
            max_tokens=self._max_tokens,
            tokens=self.tokens,
            trained_tokens=self._trained,
            notices=dict(self._notices),
            refused=self._refused,
            first_refusal=self._first_refusal,
        )


class SampleStore(Sequence[Sample]):
    """Samples on disk, in the order of their examples."""

    def __init__(self, directory: Path, file: str, summary: SampleSummary) -> None:
        """`directory` holds what `build_samples` wrote there; `file` names the data file in sources."""
        self.summary = summary
        self._file = file
        self._tokens = np.memmap(directory / "tokens.bin", np.int32, "r")
        self._trained = np.memmap(directory / "trained.bin", np.bool_, "r")
        self._index = np.memmap(directory / "index.bin", np.int64, "r").reshape(-1, 3)

    def __len__(self) -> int:
        return len(self._index)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        start, stop, line = (int(value) for value in self._index[index])
        tokens, trained = np.array(self._tokens[start:stop]), np.array(self._trained[start:stop])
        return Sample(tokens, trained, Source(self._file, line))


def build_samples(
    examples: Iterable[Example],
    builder: PromptBuilder,
    *,
    max_tokens: int,
    mask_prompt: bool | None = None,
    long_examples: LongExamples = "skip",
    on_bad_example: OnBadExample = "error",
    directory: Path,
) -> SampleStore:
    """Make the samples of all examples and keep them in `directory`, which is created.

    Raises `PromptError` for an example that can't be expressed (with its line; with `on_bad_example="skip"` it is left
    out and counted), and when nothing is left to learn; `ResourceError` when the disk is full.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tally = _Tally(max_tokens)
    with (
        writing(directory),
        (directory / "tokens.bin").open("wb") as tokens,
        (directory / "trained.bin").open("wb") as trained,
        (directory / "index.bin").open("wb") as index,
    ):
        for example in examples:
            try:
                made = builder.samples(
                    example, max_tokens=max_tokens, mask_prompt=mask_prompt, long_examples=long_examples
                )
            except TooLongError:
                raise
            except PromptError as error:
                if on_bad_example == "skip":
                    tally.add_refused(example, error)
                    continue
                raise PromptError(f"{error}; to go on without such examples: --on-bad-example skip") from error
            for sample in made.samples:
                place = tally.tokens
                index.write(array("q", (place, place + len(sample), sample.source.line)).tobytes())
                tokens.write(sample.tokens.tobytes())
                trained.write(sample.trained.tobytes())
                tally.add_sample(sample)
            tally.add_example(example, made)
    return SampleStore(directory, tally.file, tally.summary())
