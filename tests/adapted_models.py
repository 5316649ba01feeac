"""What the tests of engines have in common: rows of random samples, tiny models with an adapter, how near is near."""

import numpy as np

from myna.batching.batch import Batch, Segment
from myna.batching.rows import pack
from myna.data.example import Source
from myna.engines import choose
from myna.engines.base import Sampling
from myna.models.adapters import initial_tensors, resolve
from myna.models.files import find
from myna.prompts.sample import Sample
from tiny_models import random_tokens

# Float32 keeps 24 bits, 6e-8 of a number. A gradient of these models goes through some 60 products and normalisations
# one after another, each summed in another order by the other engine: 2e-6 to 8e-6 of a tensor's largest entry was
# measured, over architectures and seeds. A wrong mask, position, scale or soft-cap is off by 1e-2 or more.
TOLERANCE = 3e-5


def samples(count, seed=0):
    """Random samples whose first half is a prompt; every other begins like the first."""
    rng = np.random.default_rng(seed)
    prefix = random_tokens(rng, 17)
    made = []
    for i in range(count):
        tokens = random_tokens(rng, int(rng.integers(6, 20)))
        tokens = np.concatenate([prefix, tokens]) if i % 2 else tokens
        made.append(Sample(tokens, np.arange(len(tokens)) >= len(tokens) // 2, Source("train.jsonl", i + 1)))
    return made


def rows(count, seed=0):
    """Samples packed into short rows, with shared prefixes."""
    return pack(samples(count, seed), tokens_per_row=96)


def family(rng):
    """A row in which a segment's parent has a parent itself, and children of unequal parents stand side by side."""
    lengths, parents = (9, 6, 5, 11, 4, 3), (None, 0, 1, None, 3, 3)
    segments, positions, start = [], [], 0
    first = []
    for length, parent in zip(lengths, parents, strict=True):
        first.append(0 if parent is None else first[parent] + lengths[parent])
        segments.append(Segment(start, start + length, parent))
        positions.append(np.arange(first[-1], first[-1] + length, dtype=np.int32))
        start += length
    tokens = random_tokens(rng, start)
    predictors = [place for s in segments for place in range(s.start, s.stop - 1)]
    joints = [(segments[s.parent].stop - 1, s.start) for s in segments if s.parent is not None]
    return Batch(
        tokens=tokens,
        positions=np.concatenate(positions),
        segments=tuple(segments),
        predictors=np.array([*predictors, *(end for end, _ in joints)], np.int32),
        targets=tokens[[*(place + 1 for place in predictors), *(begin for _, begin in joints)]],
    )


def adapted(engine, folder, kind="lora", dropout=0.0):
    """The model on one engine, with the adapter that both begin with, moved away from B = 0 where A has no gradient."""
    files = find(str(folder))
    spec = resolve(files, kind=kind, keys=None, num_layers=-1, rank=4, scale=2.0, dropout=dropout)
    model = choose(engine).load(files, adapter=spec, dtype="float32", device="cpu")
    rng = np.random.default_rng(5)
    start = initial_tensors(spec, files, 0)
    moved = {name: t + 0.1 * rng.standard_normal(t.shape).astype(np.float32) for name, t in sorted(start.items())}
    model.load_trainable(moved)
    return model


def assert_near(found, expected, tolerance=TOLERANCE):
    """Each tensor is within `tolerance` of its largest entry."""
    assert found.keys() == expected.keys()
    for name, reference in expected.items():
        scale = np.abs(reference).max()
        assert scale > 0, name
        assert np.abs(found[name] - reference).max() <= tolerance * scale, name


def generated(model, prompts, **settings):
    """Token lists per prompt."""
    texts = [[] for _ in prompts]
    settings = {"max_tokens": 20, "end_tokens": frozenset(), "sampling": Sampling(), **settings}
    for event in model.generate(prompts, **settings):
        texts[event.sequence].append(event.token)
    return texts
