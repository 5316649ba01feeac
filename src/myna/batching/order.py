"""In which order samples are learnt: a pure function of a seed and the number of the step.

Every sample comes once per epoch, each epoch in a fresh order, or all as the file has them. Nothing has to be saved to
go on at any step, and the order depends on no worker, device or engine. Knows nothing of what is in a sample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Order:
    """Deals `count` samples to steps of `examples_per_step`.

    The epochs' permutations stand one after another in one endless line; step k takes the k-th stretch of it,
    so a step may end one epoch and begin the next. Epoch e is sorted by the raw output of PCG64 seeded with
    `[seed, e]`: NumPy keeps that output the same in all versions, which it does not promise for its own
    shuffling (NEP 19).
    """

    def __init__(self, count: int, examples_per_step: int, seed: int, *, shuffled: bool = True) -> None:
        if count < 1 or examples_per_step < 1:
            raise ValueError(f"count ({count}) and examples_per_step ({examples_per_step}) must be at least 1")
        self.count = count
        self.examples_per_step = examples_per_step
        self.seed = seed
        self.shuffled = shuffled
        self._epoch = -1
        self._permutation: NDArray[np.int64] = np.empty(0, np.int64) if shuffled else np.arange(count)

    def step(self, k: int) -> NDArray[np.int64]:
        """Return the indices `[examples_per_step]` of the samples of the 0-based optimizer step `k`.

        Costs O(examples_per_step), and a permutation where an epoch begins.
        """
        if k < 0:
            raise ValueError(f"steps count from 0, not {k}")
        position = k * self.examples_per_step
        stretches = []
        wanted = self.examples_per_step
        while wanted:
            epoch, offset = divmod(position, self.count)
            stretch = self._permuted(epoch)[offset : offset + wanted]
            stretches.append(stretch)
            position += len(stretch)
            wanted -= len(stretch)
        return np.concatenate(stretches)

    def _permuted(self, epoch: int) -> NDArray[np.int64]:
        if self.shuffled and epoch != self._epoch:
            bits = np.random.PCG64(np.random.SeedSequence([self.seed, epoch]))
            self._permutation = np.argsort(bits.random_raw(self.count), kind="stable")
            self._epoch = epoch
        return self._permutation
