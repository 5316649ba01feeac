"""What a model's tokenizer makes of examples: how long they are, which would be left out, whether the end is learnt.

Examples go through the same prompt builder as in training; lengths come out, and findings. Knows no engine.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from myna.checking.findings import Finding, Severity, Tallies, Tally, TokenLengths
from myna.checking.split import Split
from myna.data.example import Example
from myna.errors import PromptError
from myna.prompts.builder import PromptBuilder
from myna.prompts.sample import Sample


@dataclass(slots=True)
class Lengths:
    """Measures splits with one prompt builder and keeps what is to be said about all of them."""

    builder: PromptBuilder
    max_tokens: int
    mask_prompt: bool | None = None
    _tallies: Tallies = field(default_factory=lambda: Tallies(Tally))
    _longest: int = 0

    def measure(self, split: Split) -> TokenLengths | None:
        """Make the samples of all examples of a split; None when the tokenizer can express none of them."""
        lengths, tokens, trained = array("q"), 0, 0
        for example in split.examples:
            try:
                made = self.builder.samples(example, max_tokens=self.max_tokens, mask_prompt=self.mask_prompt)
            except PromptError as error:
                reason = str(error).removeprefix(f"{example.source}: ")
                self._tallies["refused by tokenizer"].add(example.source, reason)
                continue
            for notice in made.notices:
                self._tallies[notice].add(example.source, example.text)
            whole = made.skipped_tokens or sum(len(sample) - 1 for sample in made.samples) + 1
            lengths.append(whole)
            if made.skipped_tokens is not None:
                self._longest = max(self._longest, whole)
                self._tallies["too long"].add(example.source, f"{whole:,} tokens")
            tokens += sum(map(len, made.samples))
            trained += sum(int(sample.trained.sum()) for sample in made.samples)
            # only the last window of a text has its end, while a conversation in pieces has an answer in each
            for sample in made.samples[-1:] if example.kind == "text" else made.samples:
                if not self._ends(example, sample):
                    self._tallies["end not learnt"].add(example.source, self._last_words(sample))
                    break
        if not lengths:
            return None
        half, most, longest = np.percentile(np.frombuffer(lengths, np.int64), (50, 95, 100), method="inverted_cdf")
        return TokenLengths(int(half), int(most), int(longest), tokens, trained)

    def findings(self) -> Iterator[Finding]:
        """Return what was found in all splits measured so far."""
        ours: dict[str, tuple[Severity, str]] = {
            "refused by tokenizer": (
                "serious",
                "The model's tokenizer or template can't express them: training stops there, or leaves them out with "
                "--on-bad-example skip",
            ),
            "end not learnt": ("serious", "No end token is learnt, so a model will not stop: end with the answer"),
            "too long": (
                "warning",
                f"Over {self.max_tokens:,} tokens, so left out of training; the longest has {self._longest:,}. Keep "
                f"them with --max-seq-length {self._longest}, or --long-examples truncate-prompt",
            ),
        }
        for kind, (severity, advice) in ours.items():
            if kind in self._tallies:
                yield self._tallies[kind].finding(kind, severity, advice)
        for notice, tally in self._tallies.items():
            if notice not in ours:
                yield tally.finding("prompt builder", "note", notice)

    def _ends(self, example: Example, sample: Sample) -> bool:
        """Tell whether the answer's end is learnt. Where all is learnt, a template may write on after it."""
        learnt = sample.tokens[sample.trained].tolist()
        if self.mask_prompt is False and example.kind != "text":
            return not self.builder.end_tokens.isdisjoint(learnt)
        return learnt[-1:] != [] and learnt[-1] in self.builder.end_tokens

    def _last_words(self, sample: Sample) -> str:
        return self.builder.decode(sample.tokens[sample.trained][-30:])


def nothing_left(file: str, examples: int, lengths: TokenLengths | None) -> Iterator[Finding]:
    """Find that not one example of a file would be learnt."""
    if lengths is None or not lengths.trained:
        message = f"{file}: nothing would be learnt, every one of its {examples:,} examples is too long or refused"
        yield Finding("nothing learnt", "serious", examples, message)
