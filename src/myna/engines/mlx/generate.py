"""Generation: prompts in rows of about one length, then one token for every sequence at a time.

The prefill is the training computation; its keys and values are kept in one cache for all sequences, right-aligned, so
that each further step writes one column. Knows nothing of text: tokens in, tokens out; which one is taken is
`engines.choosing`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from myna.batching.rows import pack_prompts
from myna.engines.base import Constraint, Sampling, TokenEvent
from myna.engines.choosing import Chooser
from myna.engines.mlx.attention import LayerCache, Mask, visible
from myna.engines.mlx.layout import plan
from myna.errors import PromptError

if TYPE_CHECKING:
    from myna.engines.mlx.model import MlxModel

_PREFILL_TOKENS = 4096
"""Prompt tokens computed together."""
_GROWTH = 64
"""The cache grows by at least this many tokens at a time."""


class _GrowingCache(LayerCache):
    """Keys and values of one layer for all sequences, `[sequences, heads, capacity, head_dim]`, right-aligned in the
    first `used` columns."""

    def __init__(self, keys: mx.array, values: mx.array) -> None:
        super().__init__(0, None)
        self.keys, self.values = keys, values
        self.used = keys.shape[2]

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Write a column; return all that are used."""
        assert self.keys is not None
        assert self.values is not None
        if self.used == self.keys.shape[2]:
            more = max(_GROWTH, self.used // 2)
            self.keys, self.values = _longer(self.keys, more), _longer(self.values, more)
        self.keys[:, :, self.used : self.used + 1] = keys
        self.values[:, :, self.used : self.used + 1] = values
        self.used += 1
        return self.keys[:, :, : self.used], self.values[:, :, : self.used]

    def keep(self, sequences: mx.array, unneeded: int) -> None:
        """Drop finished sequences, and the first columns where nobody has anything."""
        assert self.keys is not None
        assert self.values is not None
        self.keys = self.keys[sequences, :, unneeded:]
        self.values = self.values[sequences, :, unneeded:]
        self.used -= unneeded


def _longer(cached: mx.array, more: int) -> mx.array:
    return mx.pad(cached, [(0, 0), (0, 0), (0, more), (0, 0)])


class _Caches:
    """The caches of all layers, and how long each sequence is."""

    def __init__(self, model: MlxModel, layers: list[_GrowingCache], lengths: NDArray[np.int32]) -> None:
        self._model = model
        self.layers = layers
        self.lengths = lengths

    def step(self, tokens: Sequence[int]) -> mx.array:
        """Compute one token of each sequence; return hidden states `[sequences, width]`."""
        offset = mx.array(self.lengths)
        self._model.reach(int(self.lengths.max()) + 1)
        used = self.layers[0].used + 1
        keys = np.arange(used, dtype=np.int32) - (used - 1 - self.lengths)[:, None]
        masks: dict[int | None, Mask] = {window: self._mask(keys, window) for window in set(self._model.windows)}
        for layer, window in zip(self.layers, self._model.windows, strict=True):
            layer.offset, layer.mask = offset, masks[window]
        hidden: mx.array = self._model.decoder(mx.array(list(tokens))[:, None], self.layers)
        self.lengths = self.lengths + 1
        return hidden[:, 0]

    def _mask(self, keys: NDArray[np.int32], window: int | None) -> Mask:
        """Keys are positions here, negative where a shorter sequence has nothing."""
        allowed = visible(self.lengths[:, None], keys, window)
        if allowed.all() and not self._model.masks_by_array:
            return None
        return mx.array(allowed[:, None, None] if self._model.masks_grouped else allowed[:, None])

    def keep(self, rows: Sequence[int]) -> None:
        """Drop finished sequences."""
        self.lengths = self.lengths[list(rows)]
        unneeded = self.layers[0].used - int(self.lengths.max())
        index = mx.array(list(rows))
        for layer in self.layers:
            layer.keep(index, unneeded)


class _MlxLogits:
    """`choosing.Logits` of an array `[sequences, vocabulary]`."""

    def __init__(self, values: mx.array) -> None:
        self._values = values
        self.vocabulary = values.shape[1]

    def best(self) -> list[int]:
        """See `choosing.Logits`."""
        best: list[int] = mx.argmax(self._values, axis=1).tolist()  # type: ignore[assignment]
        return best

    def rows(self) -> NDArray[np.float32]:
        """See `choosing.Logits`."""
        return np.array(self._values)

    def at(self, rows: NDArray[np.intp], tokens: NDArray[np.intp]) -> NDArray[np.float32]:
        """See `choosing.Logits`."""
        return np.array(self._values[mx.array(rows), mx.array(tokens)])


def generate(
    model: MlxModel,
    prompts: Sequence[NDArray[np.int32]],
    *,
    max_tokens: int,
    end_tokens: frozenset[int],
    sampling: Sampling,
    constraint: Constraint | None,
    together: int | None = None,
) -> Iterator[TokenEvent]:
    """See `engines.base.Model.generate`. Raises `PromptError` for an empty prompt."""
    if any(len(prompt) == 0 for prompt in prompts):
        raise PromptError("a prompt has no tokens")
    if max_tokens < 1 or not prompts:
        return
    chooser = Chooser(prompts, sampling, constraint)
    at_a_time = together or len(prompts)
    for start in range(0, len(prompts), at_a_time):
        live = list(range(start, min(start + at_a_time, len(prompts))))
        caches, hidden = _prefill(model, [prompts[sequence] for sequence in live])
        for generated in range(1, max_tokens + 1):
            tokens = chooser.choose(live, _MlxLogits(model.head.logits(hidden)))
            kept = []
            for row, (sequence, token) in enumerate(zip(live, tokens, strict=True)):
                stopped: Literal["end", "limit"] | None = (
                    "end" if token in end_tokens else "limit" if generated == max_tokens else None
                )
                if stopped is None:
                    kept.append(row)
                yield TokenEvent(sequence, token, stopped)
            if not kept:
                break
            if len(kept) < len(live):
                caches.keep(kept)
                live, tokens = [live[row] for row in kept], [tokens[row] for row in kept]
            hidden = caches.step(tokens)


def _prefill(model: MlxModel, prompts: Sequence[NDArray[np.int32]]) -> tuple[_Caches, mx.array]:
    """Compute all prompts; return their caches and the hidden states `[sequences, width]` of their last tokens."""
    lengths = np.array([len(prompt) for prompt in prompts], np.int32)
    longest = int(lengths.max())
    last: list[mx.array] = []
    found: list[list[tuple[mx.array, mx.array]]] = []
    order: list[int] = []
    # Without sharing: a sequence's keys and values stand in one call.
    batches = pack_prompts(prompts, tokens_per_row=_PREFILL_TOKENS, share=False)
    for call in (call for together in plan(batches, _PREFILL_TOKENS) for call in together):
        caches = model.caches(call)
        hidden = model.decoder(mx.array(call.tokens), caches)
        last.append(hidden.reshape(-1, hidden.shape[-1])[mx.array(call.predictors)])
        rows = [_right_aligned(cache, lengths[call.targets], longest) for cache in caches]
        mx.eval(last[-1], rows)
        found.append(rows)
        order.extend(call.targets.tolist())
    back = mx.array(np.argsort(order))
    layers = [
        _GrowingCache(*(mx.concatenate([rows[layer][part] for rows in found])[back] for part in (0, 1)))
        for layer in range(len(model.windows))
    ]
    return _Caches(model, layers, lengths), mx.concatenate(last)[back]


def _right_aligned(cache: LayerCache, lengths: NDArray[np.int32], longest: int) -> tuple[mx.array, mx.array]:
    """Move each row's keys and values to the end of `longest` columns; what stands before is seen by nobody."""
    assert cache.keys is not None
    assert cache.values is not None
    places = np.arange(longest) - (longest - lengths)[:, None]
    index = mx.array(np.clip(places, 0, cache.keys.shape[2] - 1))[:, None, :, None]
    return mx.take_along_axis(cache.keys, index, axis=2), mx.take_along_axis(cache.values, index, axis=2)
