"""A batch: one row of tokens made of segments, in plain NumPy, for any engine.

There is no padding. Each segment is a run of tokens with its own positions; a token sees the earlier tokens
of its own segment and, where the segment has a parent, all tokens of that parent (and of its parent, and so
on). So packing many samples into a row, and sharing one prompt prefix among several samples, are one
mechanism: *which keys may this segment see*.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens `start … stop-1` of the row. `parent` is the index of an earlier segment of the same batch, or
    None."""

    start: int
    stop: int
    parent: int | None = None

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Batch:
    """One row of tokens.

    tokens: int32 `[tokens]`.
    positions: int32 `[tokens]`, counted from 0 within a sample; a child segment goes on after its parent.
    segments: cover the row without gap or overlap, in order; a parent stands before its children.
    predictors: int32 `[targets]`, the index of the token whose hidden state predicts `targets[i]`. An index
    may
        stand here several times: the last token of a shared prefix predicts the first token of each child.
    targets: int32 `[targets]`, the token ids that carry loss.
    """

    tokens: NDArray[np.int32]
    positions: NDArray[np.int32]
    segments: tuple[Segment, ...]
    predictors: NDArray[np.int32]
    targets: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.tokens)

    def ancestors(self, index: int) -> list[int]:
        """Indices of the segments that segment `index` sees besides itself, outermost first."""
        chain: list[int] = []
        parent = self.segments[index].parent
        while parent is not None:
            chain.append(parent)
            parent = self.segments[parent].parent
        return chain[::-1]
