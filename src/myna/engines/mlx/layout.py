"""How the segments of packed rows lie in the calls of an MLX model, in plain NumPy.

mlx-lm's models take `[rows, tokens]`, all of one length, and neither positions nor segments. So segments of about one
length become the rows of one call, filled up at the end, where padding is seen by nobody; and segments with a parent
are a call of their own below it, whose keys begin with the parent's. Which call a segment is in changes how fast it is
computed, never the result. Knows nothing of MLX.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from myna.batching.batch import Batch

CALL_TOKENS = 32
"""What another call costs, in tokens: one more pass through Python and smaller matrix products."""


@dataclass(frozen=True, slots=True)
class Call:
    """Segments that are computed together.

    tokens: int32 `[rows, length]`, zeros after a row's last. starts: int32 `[rows]`, the position of each row's first.
    parents: int32 `[rows]`, the row of the call above whose keys each row sees too; None in a call that is above all.
    keys: int32 `[rows, seen + length]`, the positions of the keys that each row may see, −1 for padding of the call
    above. predictors: int32 `[targets]`, counted through all rows of the call; targets: int32 `[targets]`.
    """

    tokens: NDArray[np.int32]
    starts: NDArray[np.int32]
    parents: NDArray[np.int32] | None
    keys: NDArray[np.int32]
    predictors: NDArray[np.int32]
    targets: NDArray[np.int32]
    below: tuple[Call, ...] = ()

    @property
    def all_targets(self) -> list[NDArray[np.int32]]:
        """Targets of this call and of those below it, in the order in which they are computed."""
        return [self.targets, *(targets for call in self.below for targets in call.all_targets)]

    @property
    def longest(self) -> int:
        """One more than the highest position of a token of this call."""
        return int(self.starts.max()) + self.tokens.shape[1]


def plan(batches: Sequence[Batch], tokens_together: int) -> list[tuple[Call, ...]]:
    """Return what is computed one after the other; each item's calls are held in memory together.

    tokens_together: how many tokens that may be; a sample that is longer alone is computed alone. Segments that carry
    no loss, and tokens after the last that predicts one, are left out: nothing depends on them.
    """
    roots = sorted((root for batch in batches for root in _trees(batch)), key=lambda root: root.size)
    groups: list[list[_Node]] = []
    room = 0
    for root in roots:
        if not groups or root.size > room:
            groups.append([])
            room = tokens_together
        groups[-1].append(root)
        room -= root.size
    return [tuple(_calls([(root, 0) for root in group], None)) for group in groups]


@dataclass(slots=True)
class _Node:
    """A segment and those that see it."""

    tokens: NDArray[np.int32]
    start: int
    predictors: NDArray[np.int32]
    targets: NDArray[np.int32]
    children: list[_Node] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.tokens) + sum((child.size for child in self.children), 0)


def _trees(batch: Batch) -> list[_Node]:
    """The segments that have no parent, each with its children, without what carries no loss."""
    begins = np.array([segment.start for segment in batch.segments])
    order = np.argsort(batch.predictors, kind="stable")
    predictors, targets = batch.predictors[order], batch.targets[order]
    bounds = np.searchsorted(predictors, [*begins, len(batch)])
    nodes: list[_Node] = []
    roots: list[_Node] = []
    for index, segment in enumerate(batch.segments):
        own = slice(bounds[index], bounds[index + 1])
        node = _Node(
            batch.tokens[segment.start : segment.stop],
            int(batch.positions[segment.start]),
            predictors[own] - np.int32(segment.start),
            targets[own],
        )
        nodes.append(node)
        (roots if segment.parent is None else nodes[segment.parent].children).append(node)
    return [root for root in roots if _needed(root)]


def _needed(node: _Node) -> bool:
    node.children = [child for child in node.children if _needed(child)]
    if not node.children:
        node.tokens = node.tokens[: int(node.predictors[-1]) + 1 if len(node.predictors) else 0]
    return len(node.tokens) > 0


def _calls(placed: Sequence[tuple[_Node, int]], above: NDArray[np.int32] | None) -> Iterator[Call]:
    """Lay segments out in calls. placed: each with the row of its parent; above: the `keys` of the call that is in."""
    for rows in _of_about_one_length(placed):
        length = max(len(node.tokens) for node, _ in rows)
        tokens = np.zeros((len(rows), length), np.int32)
        for row, (node, _) in enumerate(rows):
            tokens[row, : len(node.tokens)] = node.tokens
        starts = np.array([node.start for node, _ in rows], np.int32)
        keys = (starts[:, None] + np.arange(length)).astype(np.int32)
        parents = None
        if above is not None:
            parents = np.array([parent for _, parent in rows], np.int32)
            seen = above[parents]
            # A parent's own padding has the positions that its children begin with; they must not see it.
            keys = np.concatenate([np.where(seen < starts[:, None], seen, np.int32(-1)), keys], axis=1)
        below = [(child, row) for row, (node, _) in enumerate(rows) for child in node.children]
        yield Call(
            tokens,
            starts,
            parents,
            keys,
            np.concatenate([node.predictors + np.int32(row * length) for row, (node, _) in enumerate(rows)]),
            np.concatenate([node.targets for node, _ in rows]),
            tuple(_calls(below, keys)),
        )


def _of_about_one_length(placed: Sequence[tuple[_Node, int]]) -> Iterator[list[tuple[_Node, int]]]:
    """Put segments together so that padding and the number of calls cost least, both counted in tokens.

    Segments of a call are neighbours by length, so the best division is found exactly, from the shortest on.
    """
    ordered = sorted(placed, key=lambda each: len(each[0].tokens))
    lengths, counts = np.unique([len(node.tokens) for node, _ in ordered], return_counts=True)
    before = np.concatenate([[0], counts.cumsum()])
    cost = np.zeros(len(lengths) + 1)
    begin = np.zeros(len(lengths) + 1, np.int64)
    for end in range(1, len(lengths) + 1):
        costs = cost[:end] + (before[end] - before[:end]) * lengths[end - 1] + CALL_TOKENS
        begin[end] = costs.argmin()
        cost[end] = costs.min()
    end = len(lengths)
    while end > 0:
        yield ordered[before[begin[end]] : before[end]]
        end = int(begin[end])
