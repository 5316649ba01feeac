"""The check of a data folder: every split read, compared, measured and its gold SQL run; findings come out.

Everything streams: memory grows by some 40 bytes an example and 0.7 KB a held-out one. Bad data is a finding, never an
exception. Knows no command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

from myna.checking.duplicates import (
    contradicted,
    contradictions,
    duplicates,
    in_other_words,
    leaks,
    near_duplicates,
    one_answer,
)
from myna.checking.excerpts import redacted
from myna.checking.findings import SEVERITIES, Finding, Findings, SplitSummary, Tallies, Tally, TokenLengths
from myna.checking.gold import GoldRuns
from myna.checking.lengths import Lengths, nothing_left
from myna.checking.sensitive import find_sensitive
from myna.checking.split import Split, read_split, single_findings
from myna.data.example import Source
from myna.data.folder import Keys
from myna.data.folder import Split as SplitName
from myna.errors import DataError
from myna.models.files import locate_tokenizer
from myna.prompts.builder import PromptBuilder
from myna.runs import restore

_NAMES: tuple[SplitName, ...] = ("train", "valid", "test")
_SUFFIXES = (".jsonl", ".jsonl.gz")


def check(
    folder: Path,
    *,
    model: str | None = None,
    max_seq_length: int = 2048,
    mask_prompt: bool | None = None,
    keys: Keys | None = None,
    listener: Callable[[str], None] | None = None,
) -> Findings:
    """Look for all that would spoil training on a data folder, or scores on it.

    `model`: folder or hub id of the model whose tokenizer measures lengths and ends; without it they are not looked at.
    `max_seq_length`: in tokens. `mask_prompt`: as in training. `keys`: which keys of a line hold what. `listener`
    is told what is done next. Raises `DataError` when there is no such folder or no split in it, and `ModelError` or
    `PromptError` for the model alone.
    """
    tell = listener or _nobody
    builder = PromptBuilder.load(locate_tokenizer(model)) if model is not None else None
    tallies, found = Tallies(Tally), list[Finding]()
    tell("reading")
    splits = list(_read(folder, keys, tallies, found))
    _check_record(folder / "data.json", tallies)
    found += single_findings(tallies)
    tell("comparing")
    found += _comparisons(splits)
    tell("running gold SQL")
    golds = GoldRuns(folder)
    found += golds.check(splits)
    agreeing, contradicting = golds.part(splits, contradicted(splits))
    found += [*contradictions(splits, contradicting), *in_other_words(splits, agreeing)]
    measured = dict[str, TokenLengths | None]()
    if builder is not None:
        lengths = Lengths(builder, max_seq_length, mask_prompt)
        for split in splits:
            tell(f"measuring {split.file}")
            measured[split.name] = lengths.measure(split)
            found += nothing_left(split.file, len(split.examples), measured[split.name])
        found += lengths.findings()
    summaries = {str(split.name): SplitSummary(len(split.examples), measured.get(split.name)) for split in splits}
    gravest_first = sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
    return Findings(folder, summaries, tuple(gravest_first))


def _nobody(doing: str) -> None:
    """Hear nothing."""


def _read(folder: Path, keys: Keys | None, tallies: Tallies, found: list[Finding]) -> Iterator[Split]:
    """Read the splits that are there; a file of which nothing can be used is a finding."""
    restore(folder)
    present = [name for name in _NAMES if any((folder / f"{name}{suffix}").exists() for suffix in _SUFFIXES)]
    for name in present or _NAMES[:1]:  # without any, the reader of the first says what is there instead
        try:
            yield read_split(folder, name, keys, tallies)
        except DataError as error:
            if not present:
                raise
            message = redacted(str(error).removeprefix(f"{folder}/"))
            found.append(Finding("unusable file", "serious", 1, message))


def _check_record(record: Path, tallies: Tallies) -> None:
    """Count secrets in the folder's own record: it goes where the data goes, and may name databases by URL."""
    if not record.is_file():
        return
    with record.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            for secret in find_sensitive(line):
                if secret.kind != "e-mail addresses":
                    tallies[secret.kind].add(Source(str(record), number), line, secret.start)


def _comparisons(splits: Sequence[Split]) -> Iterator[Finding]:
    for split in splits:
        yield from duplicates(split)
        yield from one_answer(split)
    for seen, held in combinations(splits, 2):
        yield from leaks(seen, held)
    for number, seen in enumerate(splits[:-1], start=1):
        yield from near_duplicates(seen, splits[number:])
