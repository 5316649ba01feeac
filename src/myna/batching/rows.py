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
    """Samples that stand in one row. shared: how many tokens they have in common and share; 0 for one alone."""

    samples: tuple[Sample, ...]
    shared: int = 0

    def __len__(self) -> int:
        return self.shared + sum(len(sample) - self.shared for sample in self.samples)


def pack(samples: Sequence[Sample], *, tokens_per_row: int, share: bool = True) -> list[Batch]:
    """Lay `samples` in rows of at most `tokens_per_row` tokens; a sample that is longer alone has a row to
    itself.

    share: whether a common prefix is computed once. Not with dropout, which is drawn for each sample's own tokens.

    Best-fit decreasing (Johnson et al. 1974, doi 10.1137/0203025: at most 11/9 of the fewest possible rows,
    plus 4): the longest first, each into the fullest row that still takes it; equal lengths in the order given.
    """
    rows: list[list[_Unit]] = []
    room: list[tuple[int, int]] = []  # (tokens left, row), ascending
    units = _sharing(samples, tokens_per_row) if share else [_Unit((sample,)) for sample in samples]
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
    return [_row(row) for row in rows]


def _sharing(samples: Sequence[Sample], tokens_per_row: int) -> list[_Unit]:
    """Put samples with a long common prefix together, as many as a row takes; in the order of their first."""
    order = sorted(range(len(samples)), key=lambda index: samples[index].tokens.astype(">i4").tobytes())
    units: list[tuple[int, _Unit]] = []
    together: list[int] = []
    shared = 0
    for index in order:
        common = _common(samples[together[-1]], samples[index]) if together else 0
        longest = common if len(together) < 2 else min(shared, common)
        # Where the next is much more alike to the last than all are to each other, a unit of its own pays more.
        if longest >= LEAST_SHARED and 2 * longest >= common:
            grown = longest + sum(len(samples[each]) - longest for each in (*together, index))
            if grown <= tokens_per_row:
                together.append(index)
                shared = longest
                continue
        units += _units(samples, together, shared)
        together, shared = [index], 0
    units += _units(samples, together, shared)
    return [unit for _, unit in sorted(units, key=lambda each: each[0])]


def _units(samples: Sequence[Sample], together: Sequence[int], shared: int) -> Iterator[tuple[int, _Unit]]:
    if together:
        yield min(together), _Unit(tuple(samples[each] for each in sorted(together)), shared)


def _common(one: Sample, other: Sample) -> int:
    """Return how many first tokens two samples share, their last ones apart: each keeps some of its own."""
    length = min(len(one), len(other)) - 1
    different = np.flatnonzero(one.tokens[:length] != other.tokens[:length])
    return int(different[0]) if len(different) else length


def _row(units: Sequence[_Unit]) -> Batch:
    tokens: list[NDArray[np.int32]] = []
    positions: list[NDArray[np.int32]] = []
    segments: list[Segment] = []
    predictors: list[NDArray[np.int64]] = []
    targets: list[NDArray[np.int32]] = []
    stop = 0

    def add(piece: NDArray[np.int32], first: int, parent: int | None) -> int:
        """Lay a run of tokens down; return what turns a sample's own places into the row's."""
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
            prefix_offset = add(unit.samples[0].tokens[: unit.shared], 0, None)
            parent = len(segments) - 1
        for sample in unit.samples:
            offset = add(sample.tokens[unit.shared :], unit.shared, parent)
            learnt = np.flatnonzero(sample.trained)
            before = learnt - 1
            predictors.append(before + np.where(before < unit.shared, prefix_offset, offset))
            targets.append(sample.tokens[learnt])
    return Batch(
        tokens=np.concatenate(tokens).astype(np.int32, copy=False),
        positions=np.concatenate(positions),
        segments=tuple(segments),
        predictors=np.concatenate(predictors).astype(np.int32),
        targets=np.concatenate(targets).astype(np.int32, copy=False),
    )
