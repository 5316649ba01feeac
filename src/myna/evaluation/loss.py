"""Mean loss per trained token over samples, computed row by row so that memory does not grow with their
number.

In: samples and a loaded model. Out: plain numbers. Knows no files and no tensor library.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from myna.batching.batch import Batch
from myna.batching.rows import pack
from myna.engines.base import Model
from myna.prompts.sample import Sample

_PACKED_TOGETHER = 256
"""Samples that are laid in rows at a time: enough for full rows, few enough to hold in memory."""


def fixed_selection(count: int, wanted: int | None, seed: int) -> range | list[int]:
    """Return the indices, ascending, of `wanted` of `count` samples: always the same ones for a seed.

    None, or more than there are, takes all. Which ones does not depend on NumPy's version.
    """
    if wanted is None or wanted >= count:
        return range(count)
    drawn = np.random.PCG64(np.random.SeedSequence([seed, 0x5E1EC7])).random_raw(count)
    return sorted(np.argsort(drawn, kind="stable")[:wanted].tolist())


def evaluation_rows(samples: Sequence[Sample], indices: Sequence[int], *, tokens_per_row: int) -> Iterator[Batch]:
    """Yield rows that hold the samples at `indices`, a few hundred samples at a time."""
    for start in range(0, len(indices), _PACKED_TOGETHER):
        together = [samples[index] for index in indices[start : start + _PACKED_TOGETHER]]
        yield from pack(together, tokens_per_row=tokens_per_row)


def mean_loss(model: Model, batches: Iterable[Batch]) -> tuple[float, int]:
    """Return the mean loss per trained token (nats), and over how many; NaN when there are none.

    The mean is over all tokens of all batches, not a mean of means. Raises `ResourceError` when memory runs
    out.
    """
    loss_sum, tokens = 0.0, 0
    for batch in batches:
        if not len(batch.targets):
            continue
        loss, count = model.evaluate(batch)
        loss_sum += loss
        tokens += count
    return (loss_sum / tokens if tokens else math.nan), tokens


def perplexity(loss: float) -> float:
    """Return `exp(loss)`, infinite where that is more than a float can hold (loss over 709)."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
