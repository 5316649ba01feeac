"""A sample: an example as token ids and a loss mask. Plain NumPy; knows no tokenizer and no engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from myna.data.example import Source


@dataclass(frozen=True, slots=True)
class Sample:
    """Token ids of one example and which of them are learnt.

    tokens: int32 `[tokens]`, BOS and end-of-turn included.
    trained: bool `[tokens]`; `trained[i]` says that token i is a target, predicted from the tokens before it.
        `trained[0]` is always False: nothing predicts the first token.
    source: where the example was read.
    """

    tokens: NDArray[np.int32]
    trained: NDArray[np.bool_]
    source: Source

    def __len__(self) -> int:
        return len(self.tokens)
