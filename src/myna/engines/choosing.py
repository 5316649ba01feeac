"""Choosing the next token, for every engine: greedy or sampled, within what a constraint allows.

Sampling is done in float64 NumPy with a random stream per sequence, so that a sequence's text depends neither on its
neighbours nor on the engine. In: an engine's logits, through the little that is asked of them. Out: tokens. Knows no
tensor library.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from myna.engines.base import Constraint, Sampling


class Logits(Protocol):
    """Next-token logits `[sequences, vocabulary]`, wherever they lie."""

    vocabulary: int

    def best(self) -> list[int]:
        """Return the token with the highest logit of each sequence."""

    def rows(self) -> NDArray[np.float32]:
        """Return all of them `[sequences, vocabulary]`."""

    def at(self, rows: NDArray[np.intp], tokens: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return those of `tokens` in `rows`, `[tokens]`."""


class Chooser:
    """Chooses the next token of each sequence; keeps what repetition penalty and randomness need."""

    def __init__(self, prompts: Sequence[NDArray[np.int32]], sampling: Sampling, constraint: Constraint | None) -> None:
        self._sampling = sampling
        self._constraint = constraint
        self._seen = [np.unique(prompt) for prompt in prompts] if sampling.repetition_penalty != 1.0 else []
        self._random = [np.random.default_rng([sampling.seed, i]) for i in range(len(prompts))]

    def choose(self, sequences: Sequence[int], logits: Logits) -> list[int]:
        """Return one token for each of `sequences`, which are the rows of `logits`."""
        greedy = self._sampling.temperature == 0 and not self._seen
        best = logits.best() if greedy else []
        masks = None if self._constraint is None else self._constraint.allowed(sequences)
        if not greedy:
            tokens = self._drawn(sequences, logits, masks)
        else:
            tokens = best if masks is None else _best_allowed(best, logits, masks)
        if self._constraint is not None:
            self._constraint.taken(sequences, tokens)
        return tokens

    def _drawn(self, sequences: Sequence[int], logits: Logits, masks: NDArray[np.uint32] | None) -> list[int]:
        rows = logits.rows()
        tokens = []
        for row, sequence in enumerate(sequences):
            allowed = None if masks is None else _allowed(masks[row : row + 1], logits.vocabulary)[1]
            tokens.append(self._draw(sequence, rows[row], allowed))
        return tokens

    def _draw(self, sequence: int, logits: NDArray[np.float32], allowed: NDArray[np.intp] | None) -> int:
        scores = logits.astype(np.float64)
        if self._seen:
            seen, penalty = self._seen[sequence], self._sampling.repetition_penalty
            scores[seen] = np.where(scores[seen] > 0, scores[seen] / penalty, scores[seen] * penalty)
        if allowed is None:
            token = sample(scores, self._sampling, self._random[sequence])
        else:
            token = int(allowed[sample(scores[allowed], self._sampling, self._random[sequence])])
        if self._seen:
            self._seen[sequence] = np.union1d(self._seen[sequence], [token])
        return token


def _best_allowed(best: Sequence[int], logits: Logits, masks: NDArray[np.uint32]) -> list[int]:
    """The likeliest allowed token of each row. Most often that is the likeliest of all, `best`, and nothing is done."""
    words = masks.shape[1]
    wrong = [
        row
        for row, token in enumerate(best)
        if token >= 32 * words or not int(masks[row, token >> 5]) >> (token & 31) & 1
    ]
    tokens = list(best)
    if wrong:
        rows, allowed = _allowed(masks[wrong], logits.vocabulary)
        scores = logits.at(np.asarray(wrong)[rows], allowed)
        starts = np.searchsorted(rows, np.arange(len(wrong) + 1))
        for i, row in enumerate(wrong):
            tokens[row] = int(allowed[starts[i] + scores[starts[i] : starts[i + 1]].argmax()])
    return tokens


def _allowed(masks: NDArray[np.uint32], vocabulary: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The set bits of masks `[rows, words]` as row numbers and tokens, ascending; empty words are skipped, as a grammar
    allows few tokens at most places."""
    rows, words = np.nonzero(masks)
    bits = np.unpackbits(masks[rows, words].astype("<u4").view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
    which, bit = np.nonzero(bits)
    tokens = 32 * words[which] + bit
    within = tokens < vocabulary
    return rows[which[within]], tokens[within]


def sample(scores: NDArray[np.float64], sampling: Sampling, random: np.random.Generator) -> int:
    """Choose one token from `[vocabulary]` logits: temperature, then top-k, top-p and min-p, then one uniform draw.

    Top-p is nucleus sampling (Holtzman et al. 2020, arXiv 1904.09751), min-p is Nguyen et al. 2024 (arXiv 2407.01082).
    """
    if sampling.temperature == 0:
        return int(scores.argmax())
    scores = scores / sampling.temperature
    order = np.argsort(-scores, kind="stable")
    if sampling.top_k > 0:
        order = order[: sampling.top_k]
    probabilities = np.exp(scores[order] - scores[order[0]])
    probabilities /= probabilities.sum()
    keep = probabilities >= sampling.min_p * probabilities[0]
    keep &= np.concatenate([[0.0], probabilities.cumsum()[:-1]]) < sampling.top_p
    cumulative = (probabilities * keep).cumsum()
    return int(order[np.searchsorted(cumulative, random.random() * cumulative[-1], side="right")])
