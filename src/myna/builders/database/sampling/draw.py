"""Weighted choices from one seeded source of chance, and what the sampler may choose of a profile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import TypeVar

from myna.builders.database.profile import ColumnProfile, Profile, TableProfile
from myna.builders.database.query import ColumnOf, Join, Query, columns_of
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
_LEFT_BEHIND, _AT_LEAST, _PREFERRED = 0.5, 8, 6.0
"""A column that is asked about less than half as often as its table's columns are on average, by more than chance, is
chosen so much more readily: else a phone number among fifteen columns is hardly ever asked for."""


class Draw:
    """A profile and a source of chance. tables: those that can be asked about."""

    def __init__(self, profile: Profile, random: Random) -> None:
        self.profile = profile
        self.random = random
        self.tables = [name for name, table in profile.tables.items() if _is_usable(table)]
        known = set(self.tables)
        self._joins = {
            name: [join for join in profile.tables[name].joins if join.pairs[0][1].table in known]
            for name in self.tables
        }
        self.referring = [name for name in self.tables if self._joins[name]]
        self._columns: dict[tuple[str, tuple[Role, ...]], list[tuple[ColumnOf, ColumnProfile]]] = {}
        self._keys = {(name, table.key) for name, table in profile.tables.items()}
        self._keys |= {
            (one.table, one.column) for joins in self._joins.values() for join in joins for one in join.pairs[0]
        }
        self._asked: Counter[ColumnOf] = Counter()
        self._asked_of: Counter[str] = Counter()

    def count(self, query: Query) -> None:
        """Take note of what a query that was given asks about."""
        columns = set(columns_of(query))
        self._asked.update(columns)
        self._asked_of.update(column.table for column in columns)

    def preference(self, column: ColumnOf) -> float:
        """How much more a column is to be chosen than its role says; keys, which people don't ask for, never."""
        if (column.table, column.column) in self._keys:
            return 1.0
        average = self._asked_of[column.table] / len(self.profile.tables[column.table].columns)
        return _PREFERRED if self._asked[column] + _AT_LEAST < _LEFT_BEHIND * average else 1.0

    def joins(self, table: str) -> list[Join]:
        """The joins of a table to others that can be asked about."""
        return self._joins.get(table, [])

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
        return [each for table in tables for each in self._of_table(table, roles)]

    def _of_table(self, table: str, roles: tuple[Role, ...]) -> list[tuple[ColumnOf, ColumnProfile]]:
        found = self._columns.get((table, roles))
        if found is None:
            columns = self.profile.tables[table].columns.items()
            found = [(ColumnOf(table, name), each) for name, each in columns if each.role in roles and each.distinct]
            self._columns[table, roles] = found
        return found


def _is_usable(table: TableProfile) -> bool:
    """Whether questions about a table or view can be answered: it has rows, and columns that say something."""
    roles = {column.role for column in table.columns.values()}
    return table.rows > 1 and bool(roles - {"other"})
