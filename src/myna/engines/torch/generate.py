"""Generation: prompts packed into rows without padding, then one token for every sequence at a time.

The prefill is the training computation (same rows, same attention); its keys and values are kept per sequence in one
growing cache, and each further step is a row of one token per live sequence. Sampling is done in float64 NumPy with a
random stream per sequence, so that a sequence's text does not depend on its neighbours or on the engine.
Knows nothing of text: tokens in, tokens out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from myna.engines.base import Constraint, Sampling, TokenEvent
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


class _Chooser:
    """Chooses the next token of each sequence; keeps what repetition penalty and randomness need."""

    def __init__(self, prompts: Sequence[NDArray[np.int32]], sampling: Sampling, constraint: Constraint | None) -> None:
        self._sampling = sampling
        self._constraint = constraint
        self._seen = [np.unique(prompt) for prompt in prompts] if sampling.repetition_penalty != 1.0 else []
        self._random = [np.random.default_rng([sampling.seed, i]) for i in range(len(prompts))]

    def choose(self, sequences: Sequence[int], logits: Tensor) -> list[int]:
        """Return one token per row of `logits` `[sequences, vocabulary]`."""
        greedy = self._sampling.temperature == 0 and not self._seen
        best: list[int] = logits.argmax(dim=1).tolist() if greedy else []
        masks = None if self._constraint is None else self._constraint.allowed(sequences)
        if not greedy:
            tokens = self._drawn(sequences, logits, masks)
        else:
            tokens = best if masks is None else _best_allowed(best, logits, masks)
        if self._constraint is not None:
            self._constraint.taken(sequences, tokens)
        return tokens

    def _drawn(self, sequences: Sequence[int], logits: Tensor, masks: NDArray[np.uint32] | None) -> list[int]:
        rows = logits.cpu().numpy()
        tokens = []
        for row, sequence in enumerate(sequences):
            allowed = None if masks is None else _allowed(masks[row : row + 1], logits.shape[1])[1]
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


def _best_allowed(best: Sequence[int], logits: Tensor, masks: NDArray[np.uint32]) -> list[int]:
    """The likeliest allowed token of each row. Most often that is the likeliest of all, `best`, and nothing is done."""
    words = masks.shape[1]
    wrong = [
        row
        for row, token in enumerate(best)
        if token >= 32 * words or not int(masks[row, token >> 5]) >> (token & 31) & 1
    ]
    tokens = list(best)
    if wrong:
        rows, allowed = _allowed(masks[wrong], logits.shape[1])
        pairs = torch.from_numpy(np.stack([np.asarray(wrong)[rows], allowed])).to(logits.device)
        scores = logits[pairs[0], pairs[1]].float().cpu().numpy()
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
    chooser = _Chooser(prompts, sampling, constraint)
    cache = _Cache([len(prompt) for prompt in prompts], model.device)
    live = list(range(len(prompts)))
    logits = _prefill(model, prompts, cache)
    for generated in range(1, max_tokens + 1):
        tokens = chooser.choose(live, logits)
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
