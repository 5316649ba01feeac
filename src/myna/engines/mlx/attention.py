"""Which keys the rows of a call may see, in models that know only a cache and a mask.

mlx-lm's layers take one mask for all layers of a kind, and several of its models leave sliding windows out. Here each
layer is given its own cache and mask through the cache it is called with, so that windows, parents and padding are
computed as the model's configuration says; the layers' own code stays as it is. Knows nothing of adapters or losses.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import mlx.core as mx
import numpy as np
from mlx import nn
from numpy.typing import NDArray

from myna.engines.mlx.layout import Call

Mask: TypeAlias = mx.array | Literal["causal"] | None


class LayerCache:
    """What one layer of a call is given in the place of a cache.

    offset: the position of each row's first token, for the rotary embedding: one for all, or `[rows]`. above: keys and
    values `[rows, heads, seen, head_dim]` of what stands before. enter: called before the layer is computed, and before
    it is computed again. After the call `keys` and `values` hold all the rows saw, `above` included; gradients flow
    through them.
    """

    def __init__(
        self,
        offset: int | mx.array,
        mask: Mask,
        above: tuple[mx.array, mx.array] | None = None,
        enter: Callable[[], None] = lambda: None,
    ) -> None:
        self.offset = offset
        self.mask = mask
        self.above = above
        self.enter = enter
        self.keys: mx.array | None = None
        self.values: mx.array | None = None

    def make_mask(self, *_args: Any, **_kwargs: Any) -> None:
        """mlx-lm asks one cache for the mask of many layers; each layer takes its own instead."""

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Take a layer's new keys and values `[rows, heads, tokens, head_dim]`; return all that the rows see."""
        if self.above is not None:
            keys = mx.concatenate([self.above[0], keys], axis=2)
            values = mx.concatenate([self.above[1], values], axis=2)
        self.keys, self.values = keys, values
        return keys, values

    def rows(self, parents: NDArray[np.int32]) -> tuple[mx.array, mx.array]:
        """Return keys and values of these rows, for the rows of a call below."""
        assert self.keys is not None
        assert self.values is not None
        if len(self.keys) == 1 and not parents.any():
            shape = (len(parents), *self.keys.shape[1:])
            return mx.broadcast_to(self.keys, shape), mx.broadcast_to(self.values, shape)
        index = mx.array(parents)
        return self.keys[index], self.values[index]


class Masks:
    """The masks of one call, made once for all layers of one window.

    by_array: whether the architecture understands arrays only. grouped: whether it has its query heads in groups, an
    axis more, where it applies the mask.
    """

    def __init__(self, call: Call, *, by_array: bool, grouped: bool) -> None:
        self._call = call
        self._by_array = by_array
        self._grouped = grouped
        self._made: dict[int | None, Mask] = {}

    def of(self, window: int | None) -> Mask:
        """Return the mask for layers that see the last `window` tokens, themselves included."""
        if window not in self._made:
            self._made[window] = self._make(window)
        return self._made[window]

    def _make(self, window: int | None) -> Mask:
        call = self._call
        length = call.tokens.shape[1]
        reaches = window is None or call.longest <= window
        if call.parents is None and reaches and not self._by_array:
            return None if length == 1 else "causal"
        allowed = visible((call.starts[:, None] + np.arange(length)).astype(np.int32), call.keys, window)
        if (allowed == allowed[0]).all():
            return None if allowed.all() and not self._by_array else mx.array(allowed[0])
        return mx.array(allowed[:, None, None] if self._grouped else allowed[:, None])


def visible(queries: NDArray[np.int32], keys: NDArray[np.int32], window: int | None) -> NDArray[np.bool_]:
    """Which keys each query sees, `[rows, queries, keys]`, from their positions; a key at −1 is seen by none."""
    query, key = queries[:, :, None], keys[:, None, :]
    seen = (key >= 0) & (key <= query)
    return seen if window is None else seen & (key > query - window)


class _OwnMask:
    """A decoder layer that takes its mask from the cache it is called with."""

    recompute = False

    def __call__(self, x: mx.array, mask: object = None, cache: LayerCache | None = None) -> mx.array:
        assert cache is not None
        cache.enter()
        if self.recompute:
            return _recomputed(self, super().__call__, x, cache)  # type: ignore[misc]
        out: mx.array = super().__call__(x, cache.mask, cache)  # type: ignore[misc]
        return out


@functools.cache
def _with_own_mask(layer: type[nn.Module]) -> type[nn.Module]:
    return type(layer.__name__, (_OwnMask, layer), {})


def take_masks_from_caches(model: nn.Module) -> None:
    """Let each decoder layer of a library model take its mask from its own cache."""
    for layer in model.layers:
        kind: Any = type(layer)
        layer.__class__ = _with_own_mask(kind)


def _recomputed(layer: Any, compute: Callable[..., mx.array], x: mx.array, cache: LayerCache) -> mx.array:
    """Keep of a layer only what goes in and out; all between is computed again in the backward pass."""
    parameters = layer.trainable_parameters()
    above = () if cache.above is None else cache.above

    def inner(trained: dict[str, Any], x: mx.array, above: tuple[mx.array, ...]) -> tuple[mx.array, ...]:
        cache.enter()
        layer.update(trained)
        own = LayerCache(cache.offset, cache.mask, None if not above else (above[0], above[1]))
        out = compute(x, own.mask, own)
        assert own.keys is not None
        assert own.values is not None
        return out, own.keys, own.values

    out, cache.keys, cache.values = mx.checkpoint(inner)(parameters, x, above)
    layer.update(parameters)
    return out
