"""A query as a person would put it: which rows it is about, where each condition stands, what cannot be said safely.

`Query` and `Lexicon` in, `Things` and paths out; None wherever a question could mean two different answers. Both
languages start from here. Knows no words of a language.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import TypeAlias

from myna.builders.database.lexicon import Lexicon
from myna.builders.database.query import (
    Aggregate,
    Arithmetic,
    ColumnOf,
    Comparison,
    Condition,
    InQuery,
    Item,
    Missing,
    Query,
    Rows,
    columns_of,
)

Path: TypeAlias = tuple[tuple[str, str], ...]
"""Steps (child, parent) from the rows a question is about to a row they refer to; none to what is their own."""


@dataclass(frozen=True, slots=True)
class Located:
    """A condition, and the way to it from the things it is said of."""

    condition: Condition
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Things:
    """Rows of a table for which conditions hold: "students in Berlin". `owned`: "schools that have such students"."""

    table: str
    conditions: tuple[Located, ...] = ()
    any: bool = False
    owned: Things | None = None

    @property
    def plain(self) -> bool:
        """Whether these are all rows of the table."""
        return not self.conditions and self.owned is None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a query is about. `paths`: from the rows of `things` to the tables that are joined to them."""

    query: Query
    things: Things
    paths: Mapping[str, Path]

    def path(self, column: ColumnOf) -> Path:
        """The steps that lead to a column from the things."""
        return self.paths[column.table]


def read(query: Query, lexicon: Lexicon) -> Reading | None:
    """Return how to say `query`; None where its words would be ambiguous or there is no natural way."""
    if _unclear(query, lexicon):
        return None
    found = _paths(query, lexicon)
    if found is None or len(set(query.select)) < len(query.select):
        return None
    root, paths = found
    own = {table for table, path in paths.items() if not path}
    if _clash({each for each in columns_of(query) if each.table in own}, own, lexicon):
        return None
    return (
        _from_parent(query, root, paths) or _across_link(query, root, paths, lexicon) or _from_root(query, root, paths)
    )


def _unclear(query: Query, lexicon: Lexicon) -> bool:
    plain = [item for item in query.select if not isinstance(item, Aggregate)]
    return (
        any(lexicon.columns[each].ambiguous for each in columns_of(query))
        or any(lexicon.tables[table].ambiguous for table in query.tables)
        or (query.limit is not None and not query.order_by)  # any five rows: everybody would get others
        or (not query.group_by and (query.having is not None or 0 < len(plain) < len(query.select)))
    )


def _from_root(query: Query, root: str, paths: Mapping[str, Path]) -> Reading | None:
    if any(item.table != root for item in _flat(query.select) if isinstance(item, Rows)):
        return None
    where = query.where
    located = tuple(Located(each, paths[table_of(each)]) for each in where.conditions) if where else ()
    return Reading(query, Things(root, located, bool(where and where.any)), paths)


def _from_parent(query: Query, root: str, paths: Mapping[str, Path]) -> Reading | None:
    """Different values of a parent's columns: "schools that have students over 18", not each student's school."""
    tables = {item.table if isinstance(item, ColumnOf) else "" for item in query.select}
    only = next(iter(tables))
    if not query.distinct or len(tables) > 1 or not paths.get(only) or query.group_by or query.order_by:
        return None
    conditions = query.where.conditions if query.where else ()
    if query.where and query.where.any and len(conditions) > 1:
        return None
    way = paths[only]
    beyond = [each for each in conditions if paths[table_of(each)][: len(way)] == way]
    of_parent = tuple(Located(each, paths[table_of(each)][len(way) :]) for each in beyond)
    others = tuple(Located(each, paths[table_of(each)]) for each in conditions if each not in beyond)
    if len(way) > 1:
        # The rows between own nothing that a question would name: the owner is said to have what lies at the end.
        return None
    return Reading(query, Things(only, of_parent, owned=Things(root, others)), {only: ()})


def _across_link(query: Query, root: str, paths: Mapping[str, Path], lexicon: Lexicon) -> Reading | None:
    """Columns of what a table of nothing but keys links to something named: "films that have the category Drama"."""
    if any(each.profile.role not in ("key", "other") for each in lexicon.columns.values() if each.column.table == root):
        return None
    selected = {item.table for item in query.select if isinstance(item, ColumnOf)}
    conditions = query.where.conditions if query.where else ()
    if len(query.joins) != 2 or len(selected) != 1 or len(conditions) != 1 or query.group_by or query.order_by:
        return None
    (only,), (condition,) = selected, conditions
    other = table_of(condition)
    plain = all(isinstance(item, ColumnOf) for item in query.select) and not query.distinct
    named = isinstance(condition, Comparison) and condition.operator == "="
    if not plain or not named or len({only, other, root}) < 3 or max(len(paths[only]), len(paths[other])) > 1:
        return None
    return Reading(query, Things(only, owned=Things(other, (Located(condition),))), {only: ()})


def _paths(query: Query, lexicon: Lexicon) -> tuple[str, dict[str, Path]] | None:
    """The table whose rows are the rows of the join, and the ways to the others: each row has one row of them."""
    parents: dict[str, str] = {}
    for join in query.joins:
        found = lexicon.parent(join)
        if found is None or found[1] in parents:
            return None
        parents[found[1]] = found[0]
    roots = [table for table in query.tables if table not in parents]
    if len(roots) != 1:
        return None
    paths: dict[str, Path] = {}
    for table in query.tables:
        path: Path = ()
        at = table
        while at in parents:
            step = (parents[at], at)
            path, at = path if lexicon.is_same(*step) else (step, *path), parents[at]
        paths[table] = path
    return roots[0], paths


def _clash(columns: Set[ColumnOf], own: Set[str], lexicon: Lexicon) -> bool:
    """Whether a column shares a name with one of another table whose rows are the same things."""
    others = [each for each in lexicon.columns.values() if each.column.table in own]
    for column in columns if len(own) > 1 else ():
        words = lexicon.columns[column]
        names = {*words.english, *words.chinese}
        if any(each.column.table != column.table and names & {*each.english, *each.chinese} for each in others):
            return True
    return False


def table_of(condition: Condition) -> str:
    """Return the table whose column a condition restricts."""
    column = condition.column
    return column.left.table if isinstance(column, Arithmetic) else column.table


def _flat(items: tuple[Item, ...]) -> Iterator[ColumnOf | Rows]:
    for item in items:
        if isinstance(item, Aggregate):
            yield from _flat((item.argument,))
        elif isinstance(item, Arithmetic):
            yield from (item.left, item.right)
        else:
            yield item


def one_named(things: Things, lexicon: Lexicon) -> str | None:
    """Return the name by which the things are one: their only condition is what their naming column equals."""
    if len(things.conditions) != 1 or things.owned is not None:
        return None
    condition, path = things.conditions[0].condition, things.conditions[0].path
    if path or not isinstance(condition, Comparison) or condition.operator != "=":
        return None
    named = ColumnOf(things.table, lexicon.tables[things.table].naming or "")
    return condition.value if condition.column == named and isinstance(condition.value, str) else None


def inner_things(condition: InQuery, lexicon: Lexicon) -> tuple[str, Things] | None:
    """Return how an inner query relates to the rows: ("has", things), ("is", things) or ("shares", things).

    "has": its rows refer to these rows; "is": these rows refer to its rows; "shares": they have a value in common.
    """
    inner = read(condition.query, lexicon)
    selected = condition.query.select
    if inner is None or len(selected) != 1 or not isinstance(selected[0], ColumnOf) or condition.query.group_by:
        return None
    if selected[0].table != inner.things.table or condition.query.order_by or condition.query.set_operation:
        return None
    own = [each.condition for each in inner.things.conditions if not each.path]
    if any(each.column == selected[0] and not isinstance(each, Missing) for each in own):
        return None  # "departments that have no students whose department is English" are all but English
    things = _without_known(inner.things, selected[0])
    if lexicon.referred(selected[0]) == condition.column:
        return "has", things
    if lexicon.referred(condition.column) == selected[0]:
        return "is", things
    return "shares", things


def _without_known(things: Things, column: ColumnOf) -> Things:
    """Leave out that the selected column is known: a partner's key always is."""
    kept = tuple(
        each
        for each in things.conditions
        if not (isinstance(each.condition, Missing) and each.condition.negated and each.condition.column == column)
    )
    return Things(things.table, kept, things.any, things.owned)
