"""Weighted choices from one seeded source of chance, and what the sampler may choose of a profile."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from myna.builders.database.profile import ColumnProfile, Profile, TableProfile
from myna.builders.database.query import ColumnOf, Join
from myna.builders.database.roles import Role

_T = TypeVar("_T")

SELECTED: Mapping[Role, float] = {
    "name": 6.0,
    "category": 2.5,
    "measure": 2.5,
    "date": 1.5,
    "text": 1.5,
    "flag": 0.4,
    "key": 0.6,
}
"""How much people want to see columns of a role."""


@dataclass(frozen=True)
class Draw:
    """A profile and a source of chance."""

    profile: Profile
    random: random.Random

    def chance(self, probability: float) -> bool:
        """True as often as `probability` says."""
        return self.random.random() < probability

    def one(self, items: Sequence[_T]) -> _T:
        """One of the items, each as likely. There must be one."""
        return items[self.random.randrange(len(items))]

    def weighted(self, weights: Mapping[_T, float]) -> _T:
        """One of the keys. There must be one."""
        return self.random.choices(list(weights), list(weights.values()))[0]

    def several(self, weights: Mapping[_T, float], count: int) -> list[_T]:
        """Up to `count` different keys."""
        left = {item: weight for item, weight in weights.items() if weight > 0}
        chosen: list[_T] = []
        while left and len(chosen) < count:
            chosen.append(self.weighted(left))
            del left[chosen[-1]]
        return chosen

    def columns(self, tables: Iterable[str], *roles: Role) -> list[tuple[ColumnOf, ColumnProfile]]:
        """The columns of the tables that have one of the roles, and any values at all."""
        return [
            (ColumnOf(table, name), column)
            for table in tables
            for name, column in self.profile.tables[table].columns.items()
            if column.role in roles and column.distinct
        ]


def usable(table: TableProfile) -> bool:
    """Whether questions about the table can be answered: it has rows, and a view can be read as a whole."""
    return (
        table.rows > 1
        and (table.exact or not table.is_view)
        and any(column.role != "other" for column in table.columns.values())
    )


def usable_joins(profile: Profile, table: str) -> list[Join]:
    """The joins of a table that lead to usable ones."""
    return [
        join
        for join in profile.tables[table].joins
        if join.pairs[0][1].table in profile.tables and usable(profile.tables[join.pairs[0][1].table])
    ]
