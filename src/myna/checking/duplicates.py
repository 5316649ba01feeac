"""The same example twice: within a split, across splits, and with answers that contradict each other.

Splits as read go in, findings come out. Works on keys of 8 bytes; texts are read again only for what is shown. Knows no
models and no databases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from myna.checking.content import Content
from myna.checking.excerpts import excerpt
from myna.checking.findings import MAX_PLACES, Finding, Place, Severity
from myna.checking.near_duplicates import SIMILAR, HeldOut, similarity
from myna.checking.split import Split
from myna.data.lines import split_lines

_SERIOUS_CONTRADICTIONS = 0.01
"""Of the examples with a prompt; crowd-sourced sets have a few in a thousand and learn well."""
_FEWEST_ANSWERS = 10
"""With fewer examples most answers being the same means nothing."""


def duplicates(split: Split) -> Iterator[Finding]:
    """Find examples that stand in a split more than once."""
    keys = split.keys.examples
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(keys)))
    if len(again):
        places = tuple(_beside(split, int(row), split, int(first[inverse[row]])) for row in again[:MAX_PLACES])
        message = (
            f"{len(again):,} of {len(keys):,} examples of {split.file} stand there before, but for white space and "
            "case; each counts twice in the loss. Keep one of them"
        )
        yield Finding("duplicates", "warning", len(again), message, places)


def leaks(seen: Split, held: Split) -> Iterator[Finding]:
    """Find examples of `held` that `seen`, which is learnt or chosen by, holds too: whole, by prompt, by query."""
    whole = np.isin(held.keys.examples, seen.keys.examples)
    prompts = _shared(held.keys.prompts, seen.keys.prompts) & ~whole
    queries = _shared(held.keys.queries, seen.keys.queries) & ~whole & ~prompts
    spoilt = "the score would tell what was learnt by heart" if held.name == "test" else "the best step is misjudged"
    graver: Severity = "serious" if (seen.name, held.name) == ("train", "test") else "warning"

    def finding(kind: str, severity: Severity, rows: NDArray[np.bool_], keys: str, words: str) -> Iterator[Finding]:
        if count := int(rows.sum()):
            mine, theirs = getattr(held.keys, keys), getattr(seen.keys, keys)
            places = tuple(
                _beside(held, int(row), seen, int(np.flatnonzero(theirs == mine[row])[0]))
                for row in np.flatnonzero(rows)[:MAX_PLACES]
            )
            message = f"{count:,} of {len(rows):,} examples of {held.file} {words}"
            yield Finding(kind, severity, count, message, places)

    yield from finding(
        "leaked examples", graver, whole, "examples", f"are in {seen.file} too: {spoilt}. Take them out of one"
    )
    yield from finding(
        "leaked prompts", "warning", prompts, "prompts", f"have their prompt in {seen.file}, with another answer"
    )
    yield from finding(
        "same query", "note", queries, "queries", f"ask in other words for a query of {seen.file} on the same database"
    )


def near_duplicates(seen: Split, held_out: Sequence[Split]) -> Iterator[Finding]:
    """Find examples of the held-out splits that are nearly one of `seen`, without those that are just the same."""
    index = HeldOut.of(chain.from_iterable(held.contents() for held in held_out))
    index.compare(seen.contents())
    suspects, first = index.suspects(), 0
    for held in held_out:
        count = len(held.examples)
        mine = suspects[(suspects >= first) & (suspects < first + count)]
        leaked = np.isin(held.keys.examples, seen.keys.examples)
        pairs = [(int(row) - first, int(index.train[row])) for row in mine if not leaked[row - first]]
        alike = [(row, other) for row, other in pairs if similarity(held.content(row), seen.content(other)) >= SIMILAR]
        if alike:
            places = tuple(_beside(held, row, seen, other, "≈") for row, other in alike[:MAX_PLACES])
            message = (
                f"{len(alike):,} of {count:,} examples of {held.file} are nearly one of {seen.file} (prompt and answer "
                f"share {SIMILAR:.0%} of their pieces of five letters): they test little. Split by schema or document"
            )
            yield Finding("near-duplicates", "warning", len(alike), message, places)
        first += count


def contradicted(splits: Sequence[Split]) -> list[NDArray[np.int64]]:
    """Return the prompts that are answered in different ways: for each, the rows of its examples, ascending.

    A row counts on through all splits; `locate` says where it is.
    """
    if not splits:
        return []
    prompts = np.concatenate([split.keys.prompts for split in splits])
    answers = np.concatenate([split.keys.answers for split in splits])
    order = np.lexsort((answers, prompts))
    ordered = prompts[order]
    differ = (ordered[1:] == ordered[:-1]) & (answers[order][1:] != answers[order][:-1]) & (ordered[1:] != 0)
    rows = np.flatnonzero(np.isin(prompts, ordered[1:][differ]))
    together = rows[np.argsort(prompts[rows], kind="stable")]
    borders = np.flatnonzero(np.diff(prompts[together])) + 1
    groups = np.split(together, borders) if len(together) else []
    return sorted(groups, key=lambda group: int(group[0]))


def contradictions(splits: Sequence[Split], groups: Sequence[NDArray[np.int64]]) -> Iterator[Finding]:
    """Say that these prompts have answers that can't all be right."""
    if not groups:
        return
    examples = sum(map(len, groups))
    share = examples / sum(np.count_nonzero(split.keys.prompts) for split in splits)
    severity: Severity = "serious" if share >= _SERIOUS_CONTRADICTIONS else "warning"
    message = (
        f"Prompts with answers that differ: {len(groups):,}, of {examples:,} examples ({share:.2%}). No model can give "
        "both: keep the right one, or put what makes the difference into the prompt"
    )
    places = tuple(_contrast(splits, group) for group in groups[:MAX_PLACES])
    yield Finding("contradicting answers", severity, examples, message, places)


def in_other_words(splits: Sequence[Split], groups: Sequence[NDArray[np.int64]]) -> Iterator[Finding]:
    """Say that these prompts have different gold SQL with one and the same result."""
    if groups:
        message = "Different gold SQL for one prompt, with the same result: scores by execution don't mind, loss does"
        places = tuple(_contrast(splits, group) for group in groups[:MAX_PLACES])
        yield Finding("queries that agree", "note", sum(map(len, groups)), message, places)


def one_answer(split: Split) -> Iterator[Finding]:
    """Find an answer that more than half of the examples have."""
    asked = split.keys.prompts != 0
    _, firsts, counts = np.unique(split.keys.answers[asked], return_index=True, return_counts=True)
    if asked.sum() < _FEWEST_ANSWERS or counts.max() * 2 <= asked.sum():
        return
    commonest = int(counts.argmax())
    row = int(np.flatnonzero(asked)[firsts[commonest]])
    place = Place(split.where(row), excerpt(split.content(row).answer))
    message = (
        f"{counts.max():,} of {asked.sum():,} answers of {split.file} are the same one: a model that gives it always "
        "looks good. Thin these examples out, or measure against that rate"
    )
    yield Finding("one answer for most", "warning", int(counts.max()), message, (place,))


def _shared(mine: NDArray[np.uint64], theirs: NDArray[np.uint64]) -> NDArray[np.bool_]:
    both: NDArray[np.bool_] = np.isin(mine, theirs) & (mine != 0)
    return both


def locate(splits: Sequence[Split], row: int) -> tuple[Split, int]:
    """Return split and index of a row that counts on through all splits."""
    for split in splits:
        if row < len(split.examples):
            return split, row
        row -= len(split.examples)
    raise IndexError(row)


def _beside(split: Split, row: int, other: Split, other_row: int, sign: str = "=") -> Place:
    return Place(f"{split.where(row)} {sign} {other.where(other_row)}", excerpt(_question(split.content(row))))


def _contrast(splits: Sequence[Split], group: NDArray[np.int64]) -> Place:
    """Show a prompt's first answer beside the first that differs."""
    (split, first), *others = (locate(splits, int(row)) for row in group)
    mine = split.keys.answers[first]
    other, row = next((other, row) for other, row in others if other.keys.answers[row] != mine)
    answers = excerpt(split.content(first).answer), excerpt(other.content(row).answer)
    return Place(f"{split.where(first)} ≠ {other.where(row)}", " | ".join(answers))


def _question(content: Content) -> str:
    """Return what tells an example from its neighbours: the last line of its prompt that says something."""
    lines = [line for line in split_lines(content.prompt) if len(line.strip()) > 3]
    return lines[-1] if lines else content.answer
