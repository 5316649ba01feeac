"""Generation: prompts packed into rows without padding, then one token for every sequence at a time.

The prefill is the training computation (same rows, same attention, prefixes in common computed once); its keys and
values are kept per sequence in one growing cache, and each further step is a row of one token per live sequence. Where
more prompts wait than may live at a time, they take the places of sequences that end. Knows nothing of text: tokens in,
tokens out; which one is taken is `engines.choosing`'s business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from myna.batching.batch import Segment
from myna.batching.rows import pack_prompts
from myna.engines.base import Constraint, Sampling, TokenEvent
from myna.engines.choosing import Chooser
from myna.engines.torch.attention import DecodeLayout, Layout
from myna.errors import PromptError

if TYPE_CHECKING:
    from myna.engines.torch.model import TorchModel

_PREFILL_TOKENS = 4096
"""Prompt tokens computed in one row."""
_GROWTH = 64
"""The cache grows by at least this many tokens at a time."""
_REFILLS = 8
"""New prompts are computed when one in so many sequences has ended: several together cost less than each alone."""


class _Cache:
    """Keys and values of all live sequences, per layer `[sequences, heads, capacity, head_dim]`, left-aligned; the live
    ones are the first `count`.

    It stands where transformers' cache stands: `update` takes a layer's new keys and returns those to attend to.
    """

    def __init__(self, sequences: int, device: torch.device) -> None:
        """sequences: that may live at a time."""
        self.count = 0
        self.lengths: NDArray[np.int64] = np.zeros(sequences, np.int64)
        self.capacity = 0
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}
        self._device = device
        self._places = torch.empty(0)
        self._pieces: list[tuple[int, int, Segment]] | None = None

    @property
    def room(self) -> int:
        """How many more sequences may live."""
        return len(self.lengths) - self.count

    def begin(self, prompts: Sequence[NDArray[np.int32]]) -> None:
        """Make room for prompts, which become the last of the live sequences."""
        self.lengths[self.count : self.count + len(prompts)] = [len(prompt) for prompt in prompts]
        self.count += len(prompts)
        self._reach(max(map(len, prompts)))

    def prefill(self, pieces: list[tuple[int, int, Segment]]) -> None:
        """Announce a packed row: `(sequence, position, segment)` for each segment that a sequence begins with."""
        self._pieces = pieces

    def decode(self) -> None:
        """Announce a row of one token for each live sequence."""
        self._pieces = None
        self._places = torch.from_numpy(self.lengths[: self.count].copy()).to(self._device)
        self._reach(self.used)

    @property
    def used(self) -> int:
        """Columns in use once every live sequence has one token more."""
        return int(self.lengths[: self.count].max()) + 1

    def update(self, key: Tensor, value: Tensor, layer: int, *_args: Any, **_kwargs: Any) -> tuple[Tensor, Tensor]:
        """Store `[1, heads, tokens, head_dim]`; return what the row's queries may see."""
        if layer not in self.layers:
            shape = (len(self.lengths), key.shape[1], self.capacity, key.shape[3])
            self.layers[layer] = (key.new_zeros(shape), value.new_zeros(shape))
        keys, values = self.layers[layer]
        if self._pieces is not None:
            for sequence, position, segment in self._pieces:
                into, of = slice(position, position + len(segment)), slice(segment.start, segment.stop)
                keys[sequence, :, into] = key[0, :, of]
                values[sequence, :, into] = value[0, :, of]
            return key, value
        each = torch.arange(self.count, device=key.device)
        keys[each, :, self._places] = key[0].transpose(0, 1)
        values[each, :, self._places] = value[0].transpose(0, 1)
        return keys[: self.count, :, : self.used], values[: self.count, :, : self.used]

    def layout(self) -> DecodeLayout:
        """Which cached tokens the next token of each sequence sees: its own, itself included."""
        positions = torch.arange(self.used, device=self._device)[None, :]
        mask = positions <= self._places[:, None]
        return DecodeLayout(mask[:, None, None, :], positions, self._places)

    def drop(self, sequence: int) -> None:
        """End a sequence; the last live one takes its place."""
        self.count -= 1
        if sequence == self.count:
            return
        self.lengths[sequence] = length = self.lengths[self.count]
        for keys, values in self.layers.values():
            keys[sequence, :, :length] = keys[self.count, :, :length]
            values[sequence, :, :length] = values[self.count, :, :length]

    def _reach(self, length: int) -> None:
        """Have columns for `length` tokens of each sequence."""
        if length <= self.capacity:
            return
        more = max(length - self.capacity, min(_GROWTH, length), self.capacity // 2)
        self.capacity += more
        for layer, (k, v) in self.layers.items():
            self.layers[layer] = (_longer(k, more), _longer(v, more))


def _longer(cached: Tensor, more: int) -> Tensor:
    return torch.cat([cached, cached.new_zeros(*cached.shape[:2], more, cached.shape[3])], dim=2)


class _TorchLogits:
    """`choosing.Logits` of a tensor `[sequences, vocabulary]`."""

    def __init__(self, values: Tensor) -> None:
        self._values = values
        self.vocabulary = values.shape[1]

    def best(self) -> list[int]:
        """See `choosing.Logits`."""
        best: list[int] = self._values.argmax(dim=1).tolist()
        return best

    def rows(self) -> NDArray[np.float32]:
        """See `choosing.Logits`."""
        rows: NDArray[np.float32] = self._values.cpu().numpy()
        return rows

    def at(self, rows: NDArray[np.intp], tokens: NDArray[np.intp]) -> NDArray[np.float32]:
        """See `choosing.Logits`."""
        pairs = torch.from_numpy(np.stack([rows, tokens])).to(self._values.device)
        scores: NDArray[np.float32] = self._values[pairs[0], pairs[1]].float().cpu().numpy()
        return scores


@torch.no_grad()
def generate(
    model: TorchModel,
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
    cache = _Cache(min(together or len(prompts), len(prompts)), model.device)
    enough = max(1, len(cache.lengths) // _REFILLS)
    waiting = deque(range(len(prompts)))
    live: list[int] = []
    tokens: list[int] = []
    generated = [0] * len(prompts)
    while live or waiting:
        logits = [_decode(model, tokens, cache)] if live else []
        if cache.room >= min(enough, len(waiting)) > 0:
            joining = [waiting.popleft() for _ in range(min(cache.room, len(waiting)))]
            live += joining
            logits.append(_prefill(model, [prompts[sequence] for sequence in joining], cache))
        tokens = chooser.choose(live, _TorchLogits(torch.cat(logits)))
        ended = []
        for row, (sequence, token) in enumerate(zip(live, tokens, strict=True)):
            generated[sequence] += 1
            stopped: Literal["end", "limit"] | None = (
                "end" if token in end_tokens else "limit" if generated[sequence] == max_tokens else None
            )
            if stopped is not None:
                ended.append(row)
            yield TokenEvent(sequence, token, stopped)
        for row in reversed(ended):
            cache.drop(row)
            live[row], tokens[row] = live[-1], tokens[-1]
            del live[-1], tokens[-1]


def _prefill(model: TorchModel, prompts: Sequence[NDArray[np.int32]], cache: _Cache) -> Tensor:
    """Compute prompts, what they begin with in common once; return the logits `[prompts, vocabulary]` after them."""
    first = cache.count
    cache.begin(prompts)
    states: list[Tensor] = []
    order: list[NDArray[np.int32]] = []
    for batch in pack_prompts(prompts, tokens_per_row=_PREFILL_TOKENS):
        stops = [segment.stop for segment in batch.segments]
        own = np.searchsorted(stops, batch.predictors, side="right").tolist()
        pieces = []
        for sequence, index in zip((first + batch.targets).tolist(), own, strict=True):
            position = 0
            for each in (*batch.ancestors(index), index):
                pieces.append((sequence, position, batch.segments[each]))
                position += len(batch.segments[each])
        cache.prefill(pieces)
        row = _run(model, batch.tokens, batch.positions, Layout(batch, model.device), cache)
        states.append(row[torch.from_numpy(batch.predictors).long().to(model.device)])
        order.append(batch.targets)
    back = torch.from_numpy(np.argsort(np.concatenate(order))).to(model.device)
    return model.project(torch.cat(states)[back])


def _decode(model: TorchModel, tokens: list[int], cache: _Cache) -> Tensor:
    """Compute one token of each live sequence; return the logits after it."""
    cache.decode()
    positions = cache.lengths[: cache.count].astype(np.int32)
    states = _run(model, np.array(tokens, np.int32), positions, cache.layout(), cache)
    cache.lengths[: cache.count] += 1
    return model.project(states)


def _run(
    model: TorchModel,
    tokens: NDArray[np.int32],
    positions: NDArray[np.int32],
    layout: Layout | DecodeLayout,
    cache: _Cache,
) -> Tensor:
    with model.autocast():
        output = model.decoder(
            input_ids=torch.from_numpy(tokens).long().to(model.device)[None],
            position_ids=torch.from_numpy(positions).long().to(model.device)[None],
            layout=layout,
            past_key_values=cache,
            use_cache=True,
        )
    states: Tensor = output.last_hidden_state[0]
    return states.to(model.compute)
