"""What a check found: findings by kind, each with its severity, its count, what to do and the first places.

Plain values for a table and for `--json`, and `Tallies`, which count while examples pass. Whatever text comes from the
data stands here only as an excerpt, with secrets masked. Knows no data files and no checks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from myna.checking.excerpts import excerpt
from myna.data.example import Source

Severity: TypeAlias = Literal["serious", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")
"""Serious spoils training or scores; a warning may; a note is for knowing."""

MAX_PLACES = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was found: `train.jsonl:17`, and a short piece of it, secrets masked."""

    where: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Finding:
    """All that was found of one kind. `count` is of examples, `examples` are the first places."""

    kind: str
    severity: Severity
    count: int
    message: str
    examples: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenLengths:
    """How long the examples of a split are for a model, in tokens.

    half, most, longest: half of the examples, 95 of 100 and all of them have at most so many. tokens, trained: of all
    samples that training would see.
    """

    half: int
    most: int
    longest: int
    tokens: int
    trained: int


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """A split: how many examples can be used, and their lengths where a model was named."""

    examples: int
    lengths: TokenLengths | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of a check, the gravest findings first."""

    folder: Path
    splits: Mapping[str, SplitSummary]
    findings: tuple[Finding, ...]

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` shows."""
        return {
            "folder": str(self.folder),
            "splits": {split: asdict(summary) for split, summary in self.splits.items()},
            **{severity: len(self.of(severity)) for severity in SEVERITIES},
            "findings": [asdict(finding) for finding in self.findings],
        }


@dataclass(slots=True)
class Tally:
    """How often one thing was met, by file, and where first."""

    counts: Counter[str] = field(default_factory=Counter)
    places: list[Place] = field(default_factory=list)

    def add(self, source: Source, text: str, start: int = 0) -> None:
        """Count one more; of the first ones `text` is shown, from a little before character `start`."""
        self.counts[Path(source.file).name] += 1
        if len(self.places) < MAX_PLACES:
            self.places.append(Place(short(source), excerpt(text, start)))

    def finding(self, kind: str, severity: Severity, advice: str) -> Finding:
        """Return the finding: `advice`, and in which files."""
        files = ", ".join(f"{count:,} in {file}" for file, count in self.counts.items())
        return Finding(kind, severity, self.counts.total(), f"{advice} ({files})", tuple(self.places))


Tallies: TypeAlias = defaultdict[str, Tally]
"""Kind → what was met of it."""


def short(source: Source) -> str:
    """Return file and line without the folder, which every place shares."""
    return f"{Path(source.file).name}:{source.line}"
