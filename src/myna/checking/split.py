"""One split as the checks see it: its examples on disk, their keys, and what was odd while they passed by.

A data folder's file goes in and is read once; keys of 32 bytes an example stay, texts don't. What one example shows by
itself (characters, secrets, control tokens, empty answers) is counted here. Knows no tokenizer and no databases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myna.checking.characters import odd_characters
from myna.checking.content import Content, Keys, content_of, ends_marked, inner_span, texts_of
from myna.checking.findings import Finding, Severity, Tallies, short
from myna.checking.sensitive import find_sensitive
from myna.data.example import Example
from myna.data.folder import Examples, open_split
from myna.data.folder import Keys as Names
from myna.data.folder import Split as SplitName
from myna.errors import DataError
from myna.text2sql.facts import SqlFacts

_CONTROL_TOKENS = re.compile(
    r"<\|[A-Za-z0-9_]{2,30}\|>|<｜[^\s｜]{2,30}｜>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>"
)
"""The control tokens of the common model families, as their characters."""

_TURN_MARKS = {"<s>", "</s>", "[INST]", "[/INST]"}
"""These make the turns of ready-made texts, where the prompt builder takes them as what they mean."""

_SHOWN_OF_AN_END = 60
"""Characters."""

_SEEN = re.compile(r"[^\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Split:
    """A split that was read. `databases`: for each example the index of its database in `names`, -1 for none."""

    name: SplitName
    examples: Examples
    keys: Keys
    names: tuple[str, ...]
    databases: NDArray[np.int32]

    @property
    def file(self) -> str:
        """The file's name without the folder."""
        return self.examples.path.name

    def where(self, row: int) -> str:
        """Return file and line of an example."""
        return short(self.examples[row].source)

    def content(self, row: int) -> Content:
        """Read one example's prompt and answer again."""
        example = self.examples[row]
        return content_of(example, facts_of(example))

    def contents(self) -> Iterator[Content]:
        """Read all examples' prompts and answers again, one at a time."""
        return (content_of(example, facts_of(example)) for example in self.examples)


def read_split(folder: Path, name: SplitName, names: Names | None, tallies: Tallies) -> Split:
    """Read a split and count in `tallies` what each of its examples shows by itself.

    Raises `DataError` when no line of the file can be used.
    """
    examples = open_split(folder, name, keys=names, on_bad_example="skip")
    for bad in examples.skipped:
        tallies["unusable lines"].add(bad.source, bad.reason)
    keys, databases = Keys(), dict[str, int]()
    asked = np.full(len(examples), -1, np.int32)
    for row, example in enumerate(examples):
        facts = _facts(example, tallies)
        content = content_of(example, facts)
        keys.add(content, facts)
        if facts is not None and facts.database:
            asked[row] = databases.setdefault(facts.database, len(databases))
        for kind, (text, place) in _met(example, content).items():
            tallies[kind].add(example.source, text, place)
    return Split(name, examples, keys, tuple(databases), asked)


def facts_of(example: Example) -> SqlFacts | None:
    """Return an example's SQL facts, None also where they are incomplete."""
    try:
        return SqlFacts.of(example)
    except DataError:
        return None


def _facts(example: Example, tallies: Tallies) -> SqlFacts | None:
    try:
        return SqlFacts.of(example)
    except DataError as error:
        tallies["incomplete SQL facts"].add(example.source, str(error).removeprefix(f"{example.source}: "))
        return None


def _met(example: Example, content: Content) -> dict[str, tuple[str, int]]:
    """Return what an example shows by itself: each kind once, with the text and the place where it is first."""
    met = dict[str, tuple[str, int]]()
    if not _SEEN.search(content.answer):
        met["empty answers"] = content.answer, 0
    if example.kind == "text" and not ends_marked(example.text):
        met["texts without end"] = example.text, max(0, len(example.text) - _SHOWN_OF_AN_END)
    for text in texts_of(example):
        for kind, place in odd_characters(text):
            met.setdefault(kind, (text, place))
        for found in find_sensitive(text):
            met.setdefault(found.kind, (text, found.start))
        if (token := _control_token(example, text)) is not None:
            met.setdefault("control tokens as text", (text, token))
    return met


def _control_token(example: Example, text: str) -> int | None:
    """Return where a control token's characters stand that the prompt builder will not take as what they mean."""
    inside = inner_span(text) if example.kind == "text" else (0, len(text))
    meant = _TURN_MARKS if example.kind == "text" else ()
    found = _CONTROL_TOKENS.finditer(text, *inside)
    return next((each.start() for each in found if each[0] not in meant), None)


_MEANING: dict[str, tuple[Severity, str]] = {
    "unusable lines": ("serious", "Training leaves them out or stops there: mend or remove them"),
    "incomplete SQL facts": ("serious", 'Scoring needs database and gold: add them, or take "sql" out'),
    "empty answers": ("serious", "No visible character in the answer, so silence is learnt: remove them"),
    "secrets": ("serious", "A key or password that a model can recite: remove it here and revoke it"),
    "passwords": ("warning", "What looks like a password, which a model can recite: replace it"),
    "e-mail addresses": ("warning", "A model can recite them: replace those of people"),
    "lost characters": ("warning", "U+FFFD stands where characters were lost in decoding: decode the source again"),
    "wrongly decoded text": ("warning", "Looks like UTF-8 read in another encoding: decode the source as UTF-8"),
    "control characters": ("warning", "Escape codes, NUL and the like, which nobody types: remove them"),
    "bidirectional controls": ("warning", "They make a text look otherwise than a model reads it: remove them"),
    "control tokens as text": (
        "warning",
        "They are learnt as plain characters, unless the whole is turns of the model's own chat template: give "
        "messages without it",
    ),
    "invisible characters": ("note", "Soft hyphens, zero-width spaces or byte order marks inside a text"),
    "full-width letters": ("note", "Other tokens than the plain letters and digits that questions are asked in"),
    "not in NFC": ("note", "Characters taken apart (e + ´) are other tokens than usual: normalise the source to NFC"),
    "texts without end": ("note", "No end token is written there; Myna adds the tokenizer's own, and it is learnt"),
}
"""Kind → severity, and what a person should know and do."""


def single_findings(tallies: Tallies) -> Iterator[Finding]:
    """Return what the examples showed by themselves."""
    for kind, (severity, advice) in _MEANING.items():
        if kind in tallies:
            yield tallies[kind].finding(kind, severity, advice)
