"""Samples → batches: lay whole samples side by side in rows of a token budget, without padding.

Each sample becomes one segment with positions from 0 that sees only itself. Which samples share a row changes
how fast they are computed, never the result. Pure NumPy; knows no engine.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np

from myna.batching.batch import Batch, Segment
from myna.prompts.sample import Sample


def pack(samples: Sequence[Sample], *, tokens_per_row: int) -> list[Batch]:
    """Lay `samples` in rows of at most `tokens_per_row` tokens; a sample that is longer alone has a row to
    itself.

    Best-fit decreasing (Johnson et al. 1974, doi 10.1137/0203025: at most 11/9 of the fewest possible rows,
    plus 4): the longest sample first, each into the fullest row that still takes it; equal lengths in the
    order given.
    """
    rows: list[list[Sample]] = []
    room: list[tuple[int, int]] = []  # (tokens left, row), ascending
    for sample in sorted(samples, key=len, reverse=True):
        place = bisect_left(room, (len(sample), -1))
        if place == len(room):
            rows.append([])
            left, row = tokens_per_row, len(rows) - 1
        else:
            left, row = room.pop(place)
        rows[row].append(sample)
        if left > len(sample):
            insort(room, (left - len(sample), row))
    return [_row(row) for row in rows]


def _row(samples: Sequence[Sample]) -> Batch:
    stops = np.cumsum([len(sample) for sample in samples])
    starts = [0, *stops[:-1].tolist()]
    tokens = np.concatenate([sample.tokens for sample in samples])
    learnt = np.flatnonzero(np.concatenate([sample.trained for sample in samples]))
    return Batch(
        tokens=tokens.astype(np.int32, copy=False),
        positions=np.concatenate([np.arange(len(sample), dtype=np.int32) for sample in samples]),
        segments=tuple(Segment(start, int(stop)) for start, stop in zip(starts, stops, strict=True)),
        predictors=(learnt - 1).astype(np.int32),
        targets=tokens[learnt].astype(np.int32, copy=False),
        sources=tuple(sample.source for sample in samples),
    )
