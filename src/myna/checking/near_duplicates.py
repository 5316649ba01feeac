"""Near-duplicates across splits: examples whose prompt and whose answer are both nearly those of a training example.

MinHash over shingles with banding (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3),
vectorised over many texts at a time. Each band holds signatures of the prompt and of the answer, because thousands of
examples may share a long schema and differ in the question, or share the answer "yes". What the signatures suggest is
verified on the texts. Memory grows with the held-out examples alone (about 0.7 KB each); training data streams by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from myna.checking.content import Content, same

SIMILAR = 0.8
"""Jaccard similarity of the shingles, of prompts and of answers."""

_SHINGLE = 5
"""Characters; in Chinese about three words, in English about one."""
_BANDS, _ROWS = 20, 4
"""A pair whose prompts and answers are both just `SIMILAR` shares a band of 2 · 4 rows with probability 0.975, one at
0.9 and 0.9 with 0.99998."""
_FUNCTIONS = _BANDS * _ROWS
_MAX_CHARACTERS = 20_000
"""More of a text is not compared."""
_BATCH_CHARACTERS = 200_000
"""Characters whose signatures are computed at once: some megabytes."""
_MAX_BUCKET = 32
"""So many held-out examples of one band are compared with a training example: bounds the time where all are alike."""
_SLACK = 0.15
"""How far 80 functions may underestimate a similarity of 0.8 (three standard deviations)."""

_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # splitmix64
_BASE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(slots=True)
class HeldOut:
    """The signatures of held-out examples and, for each, the most similar training example met so far.

    signatures: uint32 `[examples, 2, 80]`, of prompts and answers.
    """

    signatures: NDArray[np.uint32]
    best: NDArray[np.float32]
    train: NDArray[np.int64]
    _sorted: NDArray[np.uint64]
    _order: NDArray[np.int64]

    @classmethod
    def of(cls, contents: Iterable[Content]) -> HeldOut:
        """Compute the signatures of the held-out examples, in their order."""
        signatures = np.concatenate([*(_signatures(batch) for batch in _batches(contents)), _signatures([])])
        keys = _band_keys(signatures)
        order = np.argsort(keys, axis=0, kind="stable")
        count = len(signatures)
        return cls(
            signatures,
            np.zeros(count, np.float32),
            np.full(count, -1, np.int64),
            np.take_along_axis(keys, order, axis=0),
            order,
        )

    def compare(self, contents: Iterable[Content]) -> None:
        """Let the training examples stream by, in their order."""
        first = 0
        for batch in _batches(contents):
            signatures = _signatures(batch)
            train, held = self._candidates(_band_keys(signatures))
            # in pieces, because one batch may have hundreds of thousands of candidates
            for piece in range(0, len(train), 20_000):
                pair = slice(piece, piece + 20_000)
                self._remember(train[pair] + first, held[pair], signatures[train[pair]])
            first += len(batch)

    def _candidates(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the pairs that share a band, each once: rows of the batch, and held-out examples."""
        pairs = []
        for band in range(_BANDS):
            place = np.searchsorted(self._sorted[:, band], keys[:, band], "left")
            stop = np.searchsorted(self._sorted[:, band], keys[:, band], "right")
            counts = np.minimum(stop - place, _MAX_BUCKET)
            rows = np.repeat(np.arange(len(keys)), counts)
            within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
            held = self._order[np.repeat(place, counts) + within, band]
            pairs.append(rows * len(self.best) + held)
        together = np.unique(np.concatenate(pairs))
        return together // max(1, len(self.best)), together % max(1, len(self.best))

    def _remember(self, train: NDArray[np.int64], held: NDArray[np.int64], signatures: NDArray[np.uint32]) -> None:
        alike = (signatures == self.signatures[held]).mean(axis=2).min(axis=1).astype(np.float32)
        order = np.lexsort((-train, alike))  # the last one written stays: the most similar, the earliest of equals
        train, held, alike = train[order], held[order], alike[order]
        better = alike > self.best[held]
        self.best[held[better]] = alike[better]
        self.train[held[better]] = train[better]

    def suspects(self) -> NDArray[np.int64]:
        """Return the held-out examples whose most similar training example is worth reading, in order."""
        return np.flatnonzero(self.best >= SIMILAR - _SLACK)


def similarity(one: Content, other: Content) -> float:
    """Return the lesser Jaccard similarity of their prompts' and their answers' shingles, 0 … 1."""
    answers = _jaccard(one.answer, other.answer)
    return min(answers, _jaccard(one.prompt, other.prompt)) if answers else answers


def _jaccard(one: str, other: str) -> float:
    if one == other:
        return 1.0
    mine, theirs = _shingles(one), _shingles(other)
    return len(mine & theirs) / len(mine | theirs)


def _shingles(text: str) -> set[str]:
    shown = _compared(text)
    return {shown[place : place + _SHINGLE] for place in range(len(shown) - _SHINGLE + 1)}


def _compared(text: str) -> str:
    """Return what is compared of a text: as long as one shingle at least."""
    return same(text[:_MAX_CHARACTERS]).ljust(_SHINGLE)


def _batches(contents: Iterable[Content]) -> Iterator[Sequence[Content]]:
    batch, characters = list[Content](), 0
    for content in contents:
        batch.append(content)
        characters += sum(min(len(text), _MAX_CHARACTERS) for text in (content.prompt, content.answer))
        if characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _signatures(batch: Sequence[Content]) -> NDArray[np.uint32]:
    """Return the signatures of a batch, uint32 `[texts, 2, functions]`."""
    if not batch:
        return np.zeros((0, 2, _FUNCTIONS), np.uint32)
    texts = [_compared(text) for content in batch for text in (content.prompt, content.answer)]
    lengths = np.array([len(text) for text in texts])
    characters = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    begins = np.cumsum(lengths) - lengths
    # a shingle begins at every character but the last four of its text
    whole = np.ones(len(characters), np.bool_)
    ends = begins + lengths
    for back in range(1, _SHINGLE):
        whole[ends - back] = False
    hashes = _shingle_hashes(characters)[whole[: len(characters) - _SHINGLE + 1]]
    firsts = begins - np.arange(len(texts)) * (_SHINGLE - 1)
    return _minima(hashes, firsts).reshape(-1, 2, _FUNCTIONS)


def _shingle_hashes(characters: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a well-mixed hash of every five characters in a row, across the borders of texts too."""
    count = len(characters) - _SHINGLE + 1
    hashes = np.zeros(count, np.uint64)
    for place in range(_SHINGLE):
        hashes *= _BASE
        hashes += characters[place : place + count]
    hashes = (hashes ^ (hashes >> np.uint64(30))) * _MIX_1
    hashes = (hashes ^ (hashes >> np.uint64(27))) * _MIX_2
    mixed: NDArray[np.uint64] = hashes ^ (hashes >> np.uint64(31))
    return mixed


def _minima(hashes: NDArray[np.uint64], firsts: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return the least value of each hash function over each text's shingles, uint32 `[texts, functions]`."""
    least = np.empty((len(firsts), _FUNCTIONS), np.uint32)
    product = np.empty_like(hashes)
    for function, factor in enumerate(_factors()):
        np.multiply(hashes, factor, out=product)  # multiply-shift hashing (Dietzfelbinger et al. 1997)
        least[:, function] = np.minimum.reduceat(product, firsts) >> np.uint64(32)
    return least


def _factors() -> NDArray[np.uint64]:
    return np.random.default_rng(20_201).integers(0, 2**63, _FUNCTIONS, np.uint64) * np.uint64(2) + np.uint64(1)


def _band_keys(signatures: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Return one number for each band of each example, uint64 `[examples, bands]`."""
    bands = signatures.reshape(-1, 2, _BANDS, _ROWS).transpose(0, 2, 1, 3).reshape(-1, _BANDS, 2 * _ROWS)
    keys = np.zeros(bands.shape[:2], np.uint64)
    for row in range(2 * _ROWS):
        keys = (keys ^ bands[:, :, row].astype(np.uint64)) * _MIX_1
        keys ^= keys >> np.uint64(29)
    return keys
