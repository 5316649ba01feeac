"""Generation: prompts packed into rows without padding, then one token for every sequence at a time.

The prefill is the training computation (same rows, same attention); its keys and values are kept per sequence in one
growing cache, and each further step is a row of one token per live sequence. Knows nothing of text: tokens in, tokens
out; which one is taken is `engines.choosing`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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


class _Cache:
    """Keys and values of all live sequences, per layer `[sequences, heads, capacity, head_dim]`, left-aligned.

    It stands where transformers' cache stands: `update` takes a layer's new keys and returns those to attend to.
    """

    def __init__(self, prompt_lengths: Sequence[int], device: torch.device) -> None:
        self.lengths = torch.tensor(prompt_lengths, device=device)
        self.capacity = max(prompt_lengths)
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}
        self._rows: list[tuple[int, int, int]] | None = None

    def prefill(self, rows: list[tuple[int, int, int]]) -> None:
        """Announce a packed row: `(sequence, start, stop)` for each of its segments."""
        self._rows = rows

    def decode(self) -> None:
        """Announce a row of one token for each sequence."""
        self._rows = None
        if int(self.lengths.max()) + 1 > self.capacity:
            self._grow()

    def update(self, key: Tensor, value: Tensor, layer: int, *_args: Any, **_kwargs: Any) -> tuple[Tensor, Tensor]:
        """Store `[1, heads, tokens, head_dim]`; return what the row's queries may see."""
        if layer not in self.layers:
            shape = (len(self.lengths), key.shape[1], self.capacity, key.shape[3])
            self.layers[layer] = (key.new_zeros(shape), value.new_zeros(shape))
        keys, values = self.layers[layer]
        if self._rows is not None:
            for sequence, start, stop in self._rows:
                keys[sequence, :, : stop - start] = key[0, :, start:stop]
                values[sequence, :, : stop - start] = value[0, :, start:stop]
            return key, value
        each = torch.arange(len(self.lengths), device=key.device)
        keys[each, :, self.lengths] = key[0].transpose(0, 1)
        values[each, :, self.lengths] = value[0].transpose(0, 1)
        return keys, values

    def layout(self) -> DecodeLayout:
        """Which cached tokens the next token of each sequence sees: its own, itself included."""
        positions = torch.arange(self.capacity, device=self.lengths.device)[None, :]
        mask = positions <= self.lengths[:, None]
        return DecodeLayout(mask[:, None, None, :], positions, self.lengths)

    def keep(self, sequences: list[int]) -> None:
        """Drop finished sequences."""
        index = torch.tensor(sequences, device=self.lengths.device)
        self.lengths = self.lengths[index]
        self.layers = {layer: (k[index], v[index]) for layer, (k, v) in self.layers.items()}

    def _grow(self) -> None:
        more = max(_GROWTH, self.capacity // 2)
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
) -> Iterator[TokenEvent]:
    """See `engines.base.Model.generate`. Raises `PromptError` for an empty prompt."""
    if any(len(prompt) == 0 for prompt in prompts):
        raise PromptError("a prompt has no tokens")
    if max_tokens < 1 or not prompts:
        return
    chooser = Chooser(prompts, sampling, constraint)
    cache = _Cache([len(prompt) for prompt in prompts], model.device)
    live = list(range(len(prompts)))
    logits = _prefill(model, prompts, cache)
    for generated in range(1, max_tokens + 1):
        tokens = chooser.choose(live, _TorchLogits(logits))
        kept = []
        for row, (sequence, token) in enumerate(zip(live, tokens, strict=True)):
            stopped: Literal["end", "limit"] | None = (
                "end" if token in end_tokens else "limit" if generated == max_tokens else None
            )
            if stopped is None:
                kept.append(row)
            yield TokenEvent(sequence, token, stopped)
        if not kept:
            return
        if len(kept) < len(live):
            cache.keep(kept)
            live, tokens = [live[row] for row in kept], [tokens[row] for row in kept]
        logits = _decode(model, tokens, cache)


def _prefill(model: TorchModel, prompts: Sequence[NDArray[np.int32]], cache: _Cache) -> Tensor:
    """Compute all prompts; return the logits `[sequences, vocabulary]` after their last tokens."""
    from myna.engines.torch.model import single_row

    last: list[Tensor] = []
    for group in _groups(prompts):
        batch = single_row([prompts[i] for i in group])
        cache.prefill([(i, s.start, s.stop) for i, s in zip(group, batch.segments, strict=True)])
        states = _run(model, batch.tokens, batch.positions, Layout(batch, model.device), cache)
        last.append(states[[segment.stop - 1 for segment in batch.segments]])
    return model.project(torch.cat(last))


def _decode(model: TorchModel, tokens: list[int], cache: _Cache) -> Tensor:
    """Compute one token of each sequence; return the logits after it."""
    cache.decode()
    positions = cache.lengths.cpu().numpy().astype(np.int32)
    states = _run(model, np.array(tokens, np.int32), positions, cache.layout(), cache)
    cache.lengths = cache.lengths + 1
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


def _groups(prompts: Sequence[NDArray[np.int32]]) -> Iterator[list[int]]:
    """Consecutive prompts whose tokens fit in one row."""
    group: list[int] = []
    tokens = 0
    for i, prompt in enumerate(prompts):
        if group and tokens + len(prompt) > _PREFILL_TOKENS:
            yield group
            group, tokens = [], 0
        group.append(i)
        tokens += len(prompt)
    yield group
