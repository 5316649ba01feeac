"""Segments laid out in calls: every token that matters is there once, and each sees exactly what it may."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.batching.batch import Batch, Segment

if importlib.util.find_spec("mlx") is None:
    pytest.skip("MLX has no wheel here, or is not installed: pip install 'myna[mlx]'", allow_module_level=True)

from myna.engines.mlx.attention import visible
from myna.engines.mlx.layout import plan


@st.composite
def batches(draw):
    """A row of segments, some with parents; any token but a segment's last may predict, and last ones for children."""
    count = draw(st.integers(1, 9))
    segments, positions, predictors, start = [], [], [], 0
    firsts = []
    for index in range(count):
        parent = draw(st.one_of(st.none(), st.integers(0, index - 1))) if index else None
        length = draw(st.integers(1, 12))
        first = 0 if parent is None else firsts[parent] + segments[parent].stop - segments[parent].start
        firsts.append(first)
        segments.append(Segment(start, start + length, parent))
        positions.extend(range(first, first + length))
        predictors.extend(place for place in range(start, start + length) if draw(st.booleans()))
        start += length
    predictors = np.array(draw(st.permutations(predictors)), np.int32)
    return Batch(
        tokens=np.arange(1, start + 1, dtype=np.int32),  # a token's number says where in the row it stood
        positions=np.array(positions, np.int32),
        segments=tuple(segments),
        predictors=predictors,
        targets=1000 + predictors,
    )


def computed(calls, above=None):
    """What each predictor sees in these calls: `{target: tokens it sees, itself included}`; numbers of their tokens."""
    found = {}
    for call in calls:
        rows, length = call.tokens.shape
        tokens = call.tokens
        if call.parents is not None:
            tokens = np.concatenate([above[call.parents], tokens], axis=1)
        assert call.keys.shape == tokens.shape
        queries = call.starts[:, None] + np.arange(length, dtype=np.int32)
        seen = visible(queries, call.keys, None)
        for predictor, target in zip(call.predictors, call.targets, strict=True):
            row, place = divmod(int(predictor), length)
            assert row < rows
            found[int(target)] = tokens[row][seen[row, place]].tolist()
        found |= computed(call.below, tokens)
    return found


@settings(max_examples=200, deadline=None)
@given(st.lists(batches(), min_size=1, max_size=3), st.integers(1, 60))
def test_every_predictor_is_computed_once_and_sees_its_segment_and_its_ancestors(rows, tokens_together):
    expected, offset, moved = {}, 0, []
    for row in rows:
        moved.append(
            Batch(row.tokens + offset, row.positions, row.segments, row.predictors, row.targets + 1000 * len(moved))
        )
        for predictor, target in zip(row.predictors, moved[-1].targets, strict=True):
            index = next(i for i, s in enumerate(row.segments) if s.start <= predictor < s.stop)
            chain = [*(row.segments[a] for a in row.ancestors(index)), row.segments[index]]
            places = [place for s in chain for place in range(s.start, min(s.stop, predictor + 1))]
            expected[int(target)] = [int(row.tokens[p]) + offset for p in places]
        offset += len(row)
    found = {}
    for calls in plan(moved, tokens_together):
        part = computed(calls)
        assert not part.keys() & found.keys()
        found |= part
        assert [t for call in calls for targets in call.all_targets for t in targets.tolist()] == list(part)
    assert found == expected


def whole(lengths):
    """Samples without parents, all of whose tokens predict."""
    stops = np.cumsum(lengths)
    places = np.arange(stops[-1], dtype=np.int32)
    starts = [0, *stops[:-1].tolist()]
    return Batch(
        tokens=places + 1,
        positions=np.concatenate([np.arange(n, dtype=np.int32) for n in lengths]),
        segments=tuple(Segment(a, int(b)) for a, b in zip(starts, stops, strict=True)),
        predictors=places,
        targets=places,
    )


def test_lengths_far_apart_are_calls_of_their_own_and_near_ones_one_call():
    (calls,) = plan([whole([10, 100, 11, 98, 9])], 4096)
    assert sorted(call.tokens.shape for call in calls) == [(2, 100), (3, 11)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=40))
def test_padding_and_calls_cost_no_more_than_one_call_for_all_or_for_each(lengths):
    (calls,) = plan([whole(lengths)], 10**6)
    cost = sum(call.tokens.size + 32 for call in calls)
    assert cost <= max(lengths) * len(lengths) + 32
    assert cost <= sum(lengths) + 32 * len(lengths)


def test_what_is_in_memory_together_stays_within_the_budget():
    for calls in plan([whole([40] * 10), whole([100, 7])], 90):
        assert sum(call.tokens.size for call in calls) <= 90 or len(calls[0].tokens) == 1


def test_tokens_after_the_last_predictor_and_segments_without_any_are_not_computed():
    row = whole([8, 5])
    only = Batch(row.tokens, row.positions, row.segments, np.array([2], np.int32), np.array([9], np.int32))
    ((call,),) = plan([only], 64)
    assert call.tokens.tolist() == [[1, 2, 3]]
