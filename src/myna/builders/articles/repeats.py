"""Texts that were seen before: the same ones, and near-identical ones of other articles.

Texts come in one at a time; of each only a sketch stays in memory (about 1 KB): the smallest hashes of all its runs
of eight characters. The share of smallest hashes that two texts have in common estimates the share of runs that they
have in common (Broder, "On the resemblance and containment of documents", 1997).
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SAME_SHARE = 0.9
"""Texts that share more of their runs than this are near-identical."""

_RUN = 8
_SKETCH = 64
_LOOKED_UP = 4
_MOST_CANDIDATES = 32
_SHORTEST = 200
"""Below this many letters one changed number is a good part of the text: only the same text is a repeat."""
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(slots=True)
class Repeats:
    """What has been seen so far."""

    _exact: set[bytes] = field(default_factory=set)
    _sketches: list[tuple[int, NDArray[np.uint64]]] = field(default_factory=list)
    _by_hash: dict[int, list[int]] = field(default_factory=dict)

    def first_time(self, text: str, article: int) -> bool:
        """Remember `text` of the article numbered `article`; return whether nothing like it came before.

        White space, case and Unicode's different forms of a character make no difference.
        """
        letters = "".join(unicodedata.normalize("NFKC", text).casefold().split())
        digest = hashlib.blake2b(letters.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest in self._exact:
            return False
        self._exact.add(digest)
        if len(letters) < _SHORTEST:
            return True
        sketch = _sketch(letters)
        looked_up = [int(value) for value in sketch[:_LOOKED_UP]]
        candidates = {number for value in looked_up for number in self._by_hash.get(value, ())}
        for number in candidates:
            other_article, other = self._sketches[number]
            if other_article != article and _resemblance(sketch, other) > SAME_SHARE:
                return False
        for value in looked_up:
            if len(known := self._by_hash.setdefault(value, [])) < _MOST_CANDIDATES:
                known.append(len(self._sketches))
        self._sketches.append((article, sketch))
        return True


def _sketch(letters: str) -> NDArray[np.uint64]:
    """Return the smallest distinct hashes of all runs of `_RUN` characters, in order: uint64 `[<= _SKETCH]`."""
    codes = np.frombuffer(letters.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    hashes = np.zeros(len(codes) - _RUN + 1, np.uint64)
    for place in range(_RUN):
        hashes = (hashes + codes[place : place + len(hashes)]) * _MULTIPLIER
        hashes ^= hashes >> np.uint64(29)
    return np.unique(hashes)[:_SKETCH]


def _resemblance(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    """Return the estimated share of runs in both among the runs in either."""
    smallest = np.union1d(one, other)[:_SKETCH]
    return float(np.isin(smallest, one).astype(int) @ np.isin(smallest, other).astype(int)) / len(smallest)
