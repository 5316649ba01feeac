"""Attention over a packed row: which keys may each segment see.

Library models call `segment_attention` through transformers' attention interface; the row's `Layout` travels as a
keyword argument of the model's forward, so there is no global state. Knows nothing of adapters, losses or data.

Every variant that a supported architecture needs is honoured: scaling, grouped query heads, sliding windows, logit
soft-capping and dropout. What it does not know is refused, never ignored.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from myna.batching.batch import Batch, Segment
from myna.errors import ModelError

IMPLEMENTATION = "myna_segments"
"""The name under which transformers finds `segment_attention`."""

_IGNORED_ARGUMENTS = frozenset(
    {
        "position_ids",
        "use_cache",
        "is_causal",
        "output_attentions",
        "cache_position",
        "output_hidden_states",
        "return_dict",
    }
)


class Layout:
    """The segments of one row and, per segment, the row indices of the keys it sees.

    Masks and index tensors are made once per row and shared by all layers.
    """

    def __init__(self, batch: Batch, device: torch.device) -> None:
        self.segments: tuple[Segment, ...] = batch.segments
        self.device = device
        self._ancestors = [list(batch.ancestors(i)) for i in range(len(batch.segments))]
        self._masks: dict[tuple[int, int | None], Tensor | None] = {}
        self._lengths: tuple[Tensor, Tensor, int, int, Tensor | None] | None = None

    def split(self, row: Tensor) -> tuple[Tensor, ...]:
        """Cut `[1, heads, tokens, head_dim]` into the segments'. One cut has one gradient; slices have as many as they
        are, each of the whole row's size."""
        return torch.split(row, [len(segment) for segment in self.segments], dim=2)

    def seen(self, index: int, pieces: Sequence[Tensor]) -> Tensor:
        """Join what segment `index` sees of the segments' keys or values."""
        before = [pieces[i] for i in self._ancestors[index]]
        return torch.cat([*before, pieces[index]], dim=2) if before else pieces[index]

    def mask(self, index: int, window: int | None) -> Tensor | None:
        """Boolean mask `[queries, keys]` of segment `index`; None where plain causal attention is the same."""
        known = self._masks.get((index, window))
        if known is not None or (index, window) in self._masks:
            return known
        own = len(self.segments[index])
        before = sum(len(self.segments[i]) for i in self._ancestors[index])
        mask = None
        if before or (window is not None and own > window):
            mask = causal_mask(own, before + own, window, self.device)
        self._masks[index, window] = mask
        return mask

    def variable_lengths(self) -> tuple[Tensor, Tensor, int, int, Tensor | None]:
        """Cumulative query and key lengths `[segments + 1]`, the longest of each, and the row indices of the keys.

        The indices are None when no segment has a parent: then keys are the row itself.
        """
        if self._lengths is None:
            queries = [len(segment) for segment in self.segments]
            chains = [[self.segments[a] for a in (*self._ancestors[i], i)] for i in range(len(self.segments))]
            keys = [sum(map(len, chain)) for chain in chains]
            index = None
            if keys != queries:
                index = torch.cat([torch.arange(s.start, s.stop) for chain in chains for s in chain]).to(self.device)
            self._lengths = (
                _cumulative(queries, self.device),
                _cumulative(keys, self.device),
                max(queries),
                max(keys),
                index,
            )
        return self._lengths


class DecodeLayout:
    """One new token for each of several sequences, whose earlier keys lie in a cache.

    mask: boolean `[sequences, 1, 1, cached tokens]`, which cached keys belong to the sequence.
    positions: `[sequences]`, the position of the new token, for sliding windows.
    """

    def __init__(self, mask: Tensor, key_positions: Tensor, positions: Tensor) -> None:
        self._mask = mask
        self._key_positions = key_positions
        self._positions = positions

    def mask(self, window: int | None) -> Tensor:
        """The keys each sequence's token sees `[sequences, 1, 1, cached tokens]`."""
        if window is None:
            return self._mask
        near = self._key_positions > (self._positions[:, None] - window)
        return self._mask & near[:, None, None, :]


def causal_mask(queries: int, keys: int, window: int | None, device: torch.device) -> Tensor:
    """Boolean mask `[queries, keys]` of queries that stand at the end of the keys; `window` counts the token itself."""
    query = torch.arange(keys - queries, keys, device=device)[:, None]
    key = torch.arange(keys, device=device)[None, :]
    mask = key <= query
    return mask if window is None else mask & (key > query - window)


def segment_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    layout: Layout | DecodeLayout,
    scaling: float,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend within segments and to their parents: `[1, heads, tokens, head_dim]` → `[1, tokens, heads, head_dim]`.

    When decoding, key and value are the cache's `[sequences, heads, cached tokens, head_dim]` and the row holds
    one token of each sequence.
    Raises `ModelError` for an argument of the model's that this function would have to ignore.
    """
    unknown = [name for name, given in kwargs.items() if given is not None and name not in _IGNORED_ARGUMENTS]
    if unknown or attention_mask is not None:
        names = ", ".join(unknown) or "attention_mask"
        raise ModelError(f"the attention of {type(module).__name__} asks for {names}, which Myna can't compute")
    if isinstance(layout, DecodeLayout):
        rows = query.transpose(0, 2)  # one token per sequence: the row's tokens become the batch
        out = _attend(rows, key, value, layout.mask(sliding_window), scaling, 0.0, softcap)
        return out.permute(2, 0, 1, 3), None
    if softcap is None and query.is_cuda and _variable_length_fits(query):
        return _variable_length(query, key, value, layout, scaling, sliding_window, dropout), None
    return _one_by_one(query, key, value, layout, scaling, sliding_window, dropout, softcap).transpose(1, 2), None


def _one_by_one(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    scaling: float,
    window: int | None,
    dropout: float,
    softcap: float | None,
) -> Tensor:
    queries, keys, values = layout.split(query), layout.split(key), layout.split(value)
    return torch.cat(
        [
            _attend(q, layout.seen(i, keys), layout.seen(i, values), layout.mask(i, window), scaling, dropout, softcap)
            for i, q in enumerate(queries)
        ],
        dim=2,
    )


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float,
    dropout: float,
    softcap: float | None,
) -> Tensor:
    """Plain attention of one segment; a missing mask means causal."""
    if softcap is None:
        grouped = query.shape[1] != key.shape[1]
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=dropout,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=grouped,
        )
    repeats = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeats, dim=1), value.repeat_interleave(repeats, dim=1)
    if mask is None:
        mask = causal_mask(query.shape[2], key.shape[2], None, query.device)
    # Gemma 2 (arXiv 2408.00118, section 2): logits ← cap · tanh(logits / cap), before the mask.
    weights = softcap * torch.tanh(query @ key.transpose(2, 3) * scaling / softcap)
    weights = weights.masked_fill(~mask, float("-inf")).softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    return F.dropout(weights, p=dropout) @ value


def _variable_length_fits(query: Tensor) -> bool:
    return (
        query.dtype in (torch.float16, torch.bfloat16)
        and query.shape[-1] <= 256
        and _variable_length_works(query.device)
    )


def _variable_length(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    scaling: float,
    window: int | None,
    dropout: float,
) -> Tensor:
    """All segments in one call of torch's variable-length flash attention (CUDA)."""
    from torch.nn.attention.varlen import varlen_attn

    if dropout:
        raise ModelError(
            "attention dropout is not available with variable-length attention; set attention_dropout to 0"
        )
    queries, keys, longest_query, longest_key, index = layout.variable_lengths()
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    if index is not None:
        k, v = k[index], v[index]
    out = varlen_attn(
        q.contiguous(), k.contiguous(), v.contiguous(), queries, keys, longest_query, longest_key,
        scale=scaling, window_size=(-1 if window is None else window - 1, 0), enable_gqa=q.shape[1] != k.shape[1],
    )  # fmt: skip
    assert isinstance(out, Tensor)
    return out[None]


@functools.cache
def _variable_length_works(device: torch.device) -> bool:
    """Try the variable-length kernel once on small data, forward and backward, against the plain computation.

    It is young and does not run on every card; where it fails or differs, segments are computed one by one.
    """
    try:
        generator = torch.Generator().manual_seed(0)
        row = [torch.randn(1, heads, 24, 32, generator=generator).to(device, torch.bfloat16) for heads in (4, 2, 2)]
        pieces = (Segment(0, 8), Segment(8, 15, parent=0), Segment(15, 24))
        layout = Layout.__new__(Layout)
        layout.segments, layout.device, layout._masks, layout._lengths = pieces, device, {}, None
        layout._ancestors = [[], [0], []]
        results = []
        for plain in (True, False):
            q, k, v = (t.clone().requires_grad_() for t in row)
            if plain:
                out = _one_by_one(q, k, v, layout, 0.2, 5, 0.0, None).transpose(1, 2)
            else:
                out = _variable_length(q, k, v, layout, 0.2, 5, 0.0)
            results.append((out, *torch.autograd.grad(out.float().square().sum(), (q, k, v))))
        return all(torch.allclose(a.float(), b.float(), atol=0.05, rtol=0.05) for a, b in zip(*results, strict=True))
    except (RuntimeError, TypeError, ImportError, NotImplementedError):
        return False


def _cumulative(lengths: list[int], device: torch.device) -> Tensor:
    return torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32).to(device)


@functools.cache
def register() -> None:
    """Make `segment_attention` known to transformers, which builds no mask for an attention it has no mask for."""
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(IMPLEMENTATION, segment_attention)
