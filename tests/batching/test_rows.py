from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from myna.batching.batch import Batch, Segment
from myna.batching.rows import pack
from myna.data.example import Source
from myna.prompts.sample import Sample


@st.composite
def lists_of_samples(draw: st.DrawFn) -> list[Sample]:
    """Samples of which some begin alike."""
    samples = []
    beginnings = draw(st.lists(st.lists(st.integers(0, 99), min_size=16, max_size=24), max_size=2))
    for line in range(draw(st.integers(0, 12))):
        beginning = draw(st.sampled_from([[], *beginnings]))
        tokens = [*beginning, *draw(st.lists(st.integers(0, 99), min_size=1, max_size=30))]
        trained = [False, *draw(st.lists(st.booleans(), min_size=len(tokens) - 1, max_size=len(tokens) - 1))]
        samples.append(Sample(np.array(tokens, np.int32), np.array(trained), Source("train.jsonl", line + 1)))
    return samples


def paths(batch: Batch) -> list[list[int]]:
    """Return the places of each sample's tokens in the row: those of its segment and of the parents of this."""
    is_parent = {segment.parent for segment in batch.segments}
    leaves = [index for index in range(len(batch.segments)) if index not in is_parent]
    chains = [[*batch.ancestors(leaf), leaf] for leaf in leaves]
    return [[p for i in chain for p in range(batch.segments[i].start, batch.segments[i].stop)] for chain in chains]


def losses(batches: list[Batch]) -> Counter[tuple[tuple[int, ...], int]]:
    """Count what is learnt: a token, and the tokens that it is predicted from."""
    found = Counter[tuple[tuple[int, ...], int]]()
    for batch in batches:
        context = {}
        for path in paths(batch):
            seen = [int(batch.tokens[place]) for place in path]
            context.update({place: tuple(seen[: number + 1]) for number, place in enumerate(path)})
        found.update((context[int(p)], int(t)) for p, t in zip(batch.predictors, batch.targets, strict=True))
    return found


@given(lists_of_samples(), st.integers(1, 200), st.booleans())
def test_every_learnt_token_is_predicted_from_all_that_stands_before_it_in_its_sample(
    samples: list[Sample], budget: int, share: bool
) -> None:
    expected = Counter(
        (tuple(sample.tokens[:place].tolist()), int(sample.tokens[place]))
        for sample in samples
        for place in np.flatnonzero(sample.trained)
    )
    assert losses(pack(samples, tokens_per_row=budget, share=share)) == expected


@given(lists_of_samples(), st.integers(1, 200), st.booleans())
def test_nothing_is_lost_doubled_or_cut(samples: list[Sample], budget: int, share: bool) -> None:
    batches = pack(samples, tokens_per_row=budget, share=share)
    found = [batch.tokens[path].tolist() for batch in batches for path in paths(batch)]
    assert sorted(found) == sorted(sample.tokens.tolist() for sample in samples)


@given(lists_of_samples(), st.integers(1, 200), st.booleans())
def test_a_row_keeps_the_budget_unless_one_sample_alone_exceeds_it(
    samples: list[Sample], budget: int, share: bool
) -> None:
    for batch in pack(samples, tokens_per_row=budget, share=share):
        assert len(batch) <= budget or len(batch.segments) == 1


@given(lists_of_samples(), st.integers(1, 200), st.booleans())
def test_segments_cover_the_row_and_positions_count_within_a_sample(
    samples: list[Sample], budget: int, share: bool
) -> None:
    for batch in pack(samples, tokens_per_row=budget, share=share):
        assert batch.segments[0].start == 0
        assert batch.segments[-1].stop == len(batch)
        for one, other in pairwise(batch.segments):
            assert one.stop == other.start
        for path in paths(batch):
            assert batch.positions[path].tolist() == list(range(len(path)))
        for array in (batch.tokens, batch.positions, batch.predictors, batch.targets):
            assert array.dtype == np.int32


@given(st.integers(16, 40), st.integers(2, 8))
def test_a_common_prefix_is_computed_once(prefix: int, count: int) -> None:
    samples = [
        Sample(
            np.array([*range(prefix), 100 + n, 7], np.int32), np.array([False] * (prefix + 1) + [True]), Source("t", n)
        )
        for n in range(count)
    ]
    (batch,) = pack(samples, tokens_per_row=1000)
    assert len(batch) == prefix + 2 * count
    (apart,) = pack(samples, tokens_per_row=1000, share=False)
    assert len(apart) == (prefix + 2) * count


@given(lists_of_samples(), st.integers(1, 64))
def test_no_two_rows_fit_into_one(samples: list[Sample], budget: int) -> None:
    lengths = sorted(len(batch) for batch in pack(samples, tokens_per_row=budget, share=False))
    assert all(one + other > budget for one, other in pairwise(lengths))


def test_samples_of_one_length_stay_in_the_order_given() -> None:
    samples = [
        Sample(np.full(4, 9 - n, np.int32), np.array([False, True, True, True]), Source("t", n)) for n in range(6)
    ]
    rows = [batch.tokens[::4].tolist() for batch in pack(samples, tokens_per_row=8)]
    assert rows == [[9, 8], [7, 6], [5, 4]]


def test_a_row_reads_as_it_should() -> None:
    long = Sample(np.array([5, 6, 7, 8], np.int32), np.array([False, False, True, True]), Source("t", 1))
    short = Sample(np.array([1, 2], np.int32), np.array([False, True]), Source("t", 2))
    (batch,) = pack([short, long], tokens_per_row=6)
    assert batch.tokens.tolist() == [5, 6, 7, 8, 1, 2]
    assert batch.positions.tolist() == [0, 1, 2, 3, 0, 1]
    assert batch.segments == (Segment(0, 4), Segment(4, 6))
    assert batch.predictors.tolist() == [1, 2, 4]
    assert batch.targets.tolist() == [7, 8, 2]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(50, 100))
def test_rows_are_few(lengths: list[int], budget: int) -> None:
    samples = [Sample(np.zeros(n, np.int32), np.zeros(n, bool), Source("t", line)) for line, n in enumerate(lengths)]
    at_least = -(-sum(lengths) // budget)
    assert Counter(len(b) > budget for b in pack(samples, tokens_per_row=budget))[True] == 0
    # No row but the last can be half empty while another is: at most twice the volume bound, plus one.
    assert len(pack(samples, tokens_per_row=budget)) <= 2 * at_least + 1
