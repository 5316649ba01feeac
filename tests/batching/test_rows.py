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
    samples = []
    for line in range(draw(st.integers(0, 12))):
        length = draw(st.integers(1, 30))
        trained = np.array([False, *draw(st.lists(st.booleans(), min_size=length - 1, max_size=length - 1))])
        tokens = np.array(draw(st.lists(st.integers(0, 99), min_size=length, max_size=length)), np.int32)
        samples.append(Sample(tokens, trained, Source("train.jsonl", line + 1)))
    return samples


def unpacked(batches: list[Batch]) -> list[tuple[int, list[int], list[bool]]]:
    """Read the samples back out of the rows: (line, tokens, trained)."""
    samples = []
    for batch in batches:
        assert len(batch.segments) == len(batch.sources)
        trained = np.zeros(len(batch), bool)
        trained[batch.predictors + 1] = True
        for segment, source in zip(batch.segments, batch.sources, strict=True):
            inside = slice(segment.start, segment.stop)
            samples.append((source.line, batch.tokens[inside].tolist(), trained[inside].tolist()))
    return samples


@given(lists_of_samples(), st.integers(1, 64))
def test_nothing_is_lost_doubled_or_cut(samples: list[Sample], budget: int) -> None:
    found = unpacked(pack(samples, tokens_per_row=budget))
    given_in = [(s.source.line, s.tokens.tolist(), s.trained.tolist()) for s in samples]
    assert sorted(found) == sorted(given_in)


@given(lists_of_samples(), st.integers(1, 64))
def test_a_row_keeps_the_budget_unless_one_sample_alone_exceeds_it(samples: list[Sample], budget: int) -> None:
    for batch in pack(samples, tokens_per_row=budget):
        assert len(batch) <= budget or len(batch.segments) == 1


@given(lists_of_samples(), st.integers(1, 64))
def test_segments_cover_the_row_and_positions_restart(samples: list[Sample], budget: int) -> None:
    for batch in pack(samples, tokens_per_row=budget):
        assert batch.segments[0].start == 0
        assert batch.segments[-1].stop == len(batch)
        for one, other in pairwise(batch.segments):
            assert one.stop == other.start
        for segment in batch.segments:
            assert segment.parent is None
            expected = np.arange(segment.stop - segment.start)
            assert batch.positions[segment.start : segment.stop].tolist() == expected.tolist()


@given(lists_of_samples(), st.integers(1, 64))
def test_a_target_is_predicted_from_the_token_before_it_in_its_own_segment(samples: list[Sample], budget: int) -> None:
    for batch in pack(samples, tokens_per_row=budget):
        assert batch.targets.tolist() == batch.tokens[batch.predictors + 1].tolist()
        segment_of = np.concatenate(
            [np.full(s.stop - s.start, i) for i, s in enumerate(batch.segments)],
        )
        assert (segment_of[batch.predictors] == segment_of[batch.predictors + 1]).all()
        for array in (batch.tokens, batch.positions, batch.predictors, batch.targets):
            assert array.dtype == np.int32


@given(lists_of_samples(), st.integers(1, 64))
def test_no_two_rows_fit_into_one(samples: list[Sample], budget: int) -> None:
    lengths = sorted(len(batch) for batch in pack(samples, tokens_per_row=budget))
    assert all(one + other > budget for one, other in pairwise(lengths))


def test_equal_samples_stay_in_the_order_given() -> None:
    samples = [
        Sample(np.arange(4, dtype=np.int32), np.array([False, True, True, True]), Source("t", n)) for n in range(6)
    ]
    rows = [[source.line for source in batch.sources] for batch in pack(samples, tokens_per_row=8)]
    assert rows == [[0, 1], [2, 3], [4, 5]]


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
