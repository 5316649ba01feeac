"""Queries one after another, each construct as often as people ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random

from myna.builders.database.profile import Profile
from myna.builders.database.query import Query
from myna.builders.database.sampling.draw import Draw
from myna.builders.database.sampling.grouping import bounded_groups, per_group, top_groups
from myna.builders.database.sampling.listing import counting, everything, listing, looking_up, measuring
from myna.builders.database.sampling.nesting import calculated, combined, partners
from myna.builders.database.sampling.sense import makes_sense

_Make = Callable[[Draw], Query | None]

_CONSTRUCTS: Mapping[_Make, float] = {
    listing: 36,
    looking_up: 8,
    everything: 2,
    counting: 12,
    measuring: 9,
    per_group: 10,
    top_groups: 11,
    bounded_groups: 7,
    partners: 7,
    combined: 10,
    calculated: 2,
}
_PATIENCE = 400
"""Attempts without a new query after which there is none left to find."""


def sample_queries(profile: Profile, *, seed: int = 0, count: int | None = None) -> Iterator[Query]:
    """Give different queries that are meaningful over a profile, `count` of them or until no new one is found.

    The same profile and seed give the same queries. None at all come from a database without rows.
    """
    draw = Draw(profile, Random(seed))
    given: set[Query] = set()
    failures = 0
    while failures < _PATIENCE and (count is None or len(given) < count):
        query = draw.weighted(_CONSTRUCTS)(draw)
        if query is None or query in given or not makes_sense(profile, query):
            failures += 1
            continue
        failures = 0
        given.add(query)
        draw.count(query)
        yield query
