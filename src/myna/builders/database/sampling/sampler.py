"""Queries one after another, each construct as often as people ask for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

from myna.builders.database.profile import Profile
from myna.builders.database.query import (
    Aggregate,
    Arithmetic,
    Item,
    Query,
)
from myna.builders.database.sampling.draw import Draw
from myna.builders.database.sampling.grouping import bounded_groups, per_group, top_groups
from myna.builders.database.sampling.listing import counting, everything, listing, measuring
from myna.builders.database.sampling.nesting import calculated, combined, partners
from myna.builders.database.sampling.scope import linking

_Make = Callable[[Draw], Query | None]

_CONSTRUCTS: Mapping[_Make, float] = {
    listing: 36,
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
    draw = Draw(profile, random.Random(seed))
    given: set[Query] = set()
    failures = 0
    while failures < _PATIENCE and (count is None or len(given) < count):
        query = draw.weighted(_CONSTRUCTS)(draw)
        if query is None or query in given or not _uses_its_joins(query):
            failures += 1
            continue
        failures = 0
        given.add(query)
        yield query


def _uses_its_joins(query: Query) -> bool:
    """Whether the query needs its subject and every table at an end of its joins: else a join is idle.

    A column that a join compares needs only one of the two tables. What is counted as rows needs its table.
    """
    if not query.joins:
        return True
    ends = set(query.tables) - {join.pairs[0][0].table for join in query.joins[1:]} | {query.table}
    items: list[Item] = [*query.select, *query.group_by, *(order.item for order in query.order_by)]
    if query.having:
        items.append(query.having.aggregate)
    if query.where:
        items += [each.column for each in query.where.conditions]
    between = linking(query.joins)
    return ends <= {_table(item) for item in items if item not in between}


def _table(item: Item) -> str:
    argument = item.argument if isinstance(item, Aggregate) else item
    return argument.left.table if isinstance(argument, Arithmetic) else argument.table
