from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.batching.order import Order

counts = st.integers(1, 40)
per_step = st.integers(1, 60)
seeds = st.integers(0, 2**40)


@given(counts, per_step, seeds, st.integers(1, 5))
def test_every_sample_comes_once_per_epoch(count: int, examples: int, seed: int, epochs: int) -> None:
    order = Order(count, examples, seed)
    steps = -(-count * epochs // examples)
    dealt = np.concatenate([order.step(k) for k in range(steps)])
    for epoch in range(epochs):
        assert sorted(dealt[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(counts, per_step, seeds, st.permutations(range(8)))
def test_a_step_is_the_same_whatever_was_asked_before(count: int, examples: int, seed: int, asked: list[int]) -> None:
    order = Order(count, examples, seed)
    in_any_order = {k: order.step(k).tolist() for k in asked}
    for k, indices in in_any_order.items():
        assert Order(count, examples, seed).step(k).tolist() == indices
        assert len(indices) == examples


def test_the_order_is_pinned_so_that_old_runs_can_be_resumed() -> None:
    order = Order(10, 4, seed=7)
    assert [order.step(k).tolist() for k in range(3)] == [[6, 3, 4, 9], [0, 2, 8, 7], [5, 1, 1, 3]]


def test_epochs_and_seeds_differ() -> None:
    first, second = Order(100, 100, 0).step(0).tolist(), Order(100, 100, 0).step(1).tolist()
    assert first != second
    assert first != Order(100, 100, 1).step(0).tolist()


def test_an_epoch_is_shuffled_once() -> None:
    order = Order(100_000, 4, 0)
    order.step(0)
    shuffled = order._permutation
    order.step(1000)
    assert order._permutation is shuffled


@pytest.mark.parametrize(("count", "examples"), [(0, 1), (1, 0), (-1, 1)])
def test_an_order_of_nothing_is_refused(count: int, examples: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Order(count, examples, 0)


def test_a_negative_step_is_refused() -> None:
    with pytest.raises(ValueError, match="count from 0"):
        Order(3, 1, 0).step(-1)


def test_without_shuffling_samples_come_as_they_are_given_epoch_after_epoch() -> None:
    order = Order(5, 3, seed=1, shuffled=False)
    assert [order.step(k).tolist() for k in range(4)] == [[0, 1, 2], [3, 4, 0], [1, 2, 3], [4, 0, 1]]
