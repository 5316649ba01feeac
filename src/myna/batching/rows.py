"""Samples → batches: lay whole samples side by side in rows of a token budget, without padding.

Samples that begin with the same tokens, such as questions about one schema, share these: they are one segment, which
the rest of each sample has as its parent. Which samples share a row or a prefix changes how fast they are computed,
never the result. Pure NumPy; knows no engine.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from myna.batching.batch import Batch, Segment
from myna.prompts.sample import Sample

LEAST_SHARED = 16
"""Tokens of a prefix that are worth a segment of their own; attention is computed segment by segment."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """Sequences that stand in one row, by their places. shared: tokens that they have in common and share; 0 for one
    alone."""

    places: tuple[int, ...]
    tokens: int
    shared: int = 0

    def __len__(self) -> int:
        return self.tokens


def pack(samples: Sequence[Sample], *, tokens_per_row: int, share: bool = True) -> list[Batch]:
    """Lay `samples` in rows of at most `tokens_per_row` tokens; a sample that is longer alone has a row to
    itself.

    share: whether a common prefix is computed once. Not with dropout, which is drawn for each sample's own tokens.
    """
    texts = [sample.tokens for sample in samples]
    learnt = [np.flatnonzero(sample.trained) for sample in samples]
    targets = [(places - 1, text[places]) for places, text in zip(learnt, texts, strict=True)]
    return [_row(units, texts, targets) for units in _filled(texts, tokens_per_row, share=share)]


def pack_prompts(prompts: Sequence[NDArray[np.int32]], *, tokens_per_row: int, share: bool = True) -> list[Batch]:
    """Lay prompts in rows as `pack` does samples; a batch's predictors are their last tokens, its targets their places
    in `prompts`."""
    targets = [(np.array([len(prompt) - 1]), np.array([place])) for place, prompt in enumerate(prompts)]
    return [_row(units, prompts, targets) for units in _filled(prompts, tokens_per_row, share=share)]


def _filled(texts: Sequence[NDArray[np.int32]], tokens_per_row: int, *, share: bool) -> list[list[_Unit]]:
    """Distribute sequences among rows.

    Best-fit decreasing (Johnson et al. 1974, doi 10.1137/0203025: at most 11/9 of the fewest possible rows,
    plus 4): the longest first, each into the fullest row that still takes it; equal lengths in the order given.
    """
    rows: list[list[_Unit]] = []
    room: list[tuple[int, int]] = []  # (tokens left, row), ascending
    units = (
        _sharing(texts, tokens_per_row) if share else [_Unit((place,), len(text)) for place, text in enumerate(texts)]
    )
    for unit in sorted(units, key=len, reverse=True):
        place = bisect_left(room, (len(unit), -1))
        if place == len(room):
            rows.append([])
            left, row = tokens_per_row, len(rows) - 1
        else:
            left, row = room.pop(place)
        rows[row].append(unit)
        if left > len(unit):
            insort(room, (left - len(unit), row))
    return rows


def _sharing(texts: Sequence[NDArray[np.int32]], tokens_per_row: int) -> list[_Unit]:
    """Put sequences with a long common prefix together, as many as a row takes; in the order of their first."""
    order = sorted(range(len(texts)), key=lambda place: texts[place].astype(">i4").tobytes())
    units: list[_Unit] = []
    together: list[int] = []
    shared = 0
    for place in order:
        common = _common(texts[together[-1]], texts[place]) if together else 0
        longest = common if len(together) < 2 else min(shared, common)
        # Where the next is much more alike to the last than all are to each other, a unit of its own pays more.
        if longest >= LEAST_SHARED and 2 * longest >= common:
            grown = longest + sum(len(texts[each]) - longest for each in (*together, place))
            if grown <= tokens_per_row:
                together.append(place)
                shared = longest
                continue
        units += _units(texts, together, shared)
        together, shared = [place], 0
    units += _units(texts, together, shared)
    return sorted(units, key=lambda unit: unit.places[0])


def _units(texts: Sequence[NDArray[np.int32]], together: Sequence[int], shared: int) -> Iterator[_Unit]:
    if together:
        tokens = shared + sum(len(texts[place]) - shared for place in together)
        yield _Unit(tuple(sorted(together)), tokens, shared)


def _common(one: NDArray[np.int32], other: NDArray[np.int32]) -> int:
    """Return how many first tokens two sequences share, their last ones apart: each keeps some of its own."""
    length = min(len(one), len(other)) - 1
    different = np.flatnonzero(one[:length] != other[:length])
    return int(different[0]) if len(different) else length


def _row(
    units: Sequence[_Unit],
    texts: Sequence[NDArray[np.int32]],
    learnt: Sequence[tuple[NDArray[np.int64], NDArray[np.integer]]],
) -> Batch:
    """Lay units down. learnt: of each sequence, the tokens that predict something, and what."""
    tokens: list[NDArray[np.int32]] = []
    positions: list[NDArray[np.int32]] = []
    segments: list[Segment] = []
    predictors: list[NDArray[np.int64]] = []
    targets: list[NDArray[np.integer]] = []
    stop = 0

    def add(piece: NDArray[np.int32], first: int, parent: int | None) -> int:
        """Lay a run of tokens down; return what turns a sequence's own places into the row's."""
        nonlocal stop
        tokens.append(piece)
        positions.append(np.arange(first, first + len(piece), dtype=np.int32))
        segments.append(Segment(stop, stop + len(piece), parent))
        stop += len(piece)
        return stop - len(piece) - first

    for unit in units:
        parent = None
        prefix_offset = 0
        if unit.shared:
            prefix_offset = add(texts[unit.places[0]][: unit.shared], 0, None)
            parent = len(segments) - 1
        for place in unit.places:
            offset = add(texts[place][unit.shared :], unit.shared, parent)
            before, predicted = learnt[place]
            predictors.append(before + np.where(before < unit.shared, prefix_offset, offset))
            targets.append(predicted)
    return Batch(
        tokens=np.concatenate(tokens).astype(np.int32, copy=False),
        positions=np.concatenate(positions),
        segments=tuple(segments),
        predictors=np.concatenate(predictors).astype(np.int32),
        targets=np.concatenate(targets).astype(np.int32, copy=False),
    )
