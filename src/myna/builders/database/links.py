"""Which table's rows refer to which: the foreign keys that are declared, and those that names and values show.

An undeclared key is taken for one when a column is called like another table's key (`student_id`, `studentId` or the
key's own name) and every value that was looked at is a value of that key. Where two ways lead from one table to another
(home team and away team), neither is followed: a question could not say which is meant. Runs one bounded query for each
possible key that the rows read so far don't decide.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from myna.builders.database.query import ColumnOf, Join, Value
from myna.builders.database.roles import words_of
from myna.databases.schema import Table

Contains = Callable[[ColumnOf, Sequence[Value]], bool]
"""Whether a table's column has all of the values."""

_GENERIC = {"id", "code", "key", "name", "no", "number", "编号"}


@dataclass(frozen=True)
class Seen:
    """What is known of a table when keys are looked for: its unique column, and values of its columns."""

    table: Table
    key: str | None
    values: Mapping[str, Sequence[Value]]


def links(seen: Sequence[Seen], contains: Contains) -> dict[str, tuple[Join, ...]]:
    """Return for each table the joins that lead from its rows to at most one row of another table."""
    found: dict[str, list[Join]] = {each.table.name: [] for each in seen}
    by_name = {each.table.name: each for each in seen}
    for each in seen:
        found[each.table.name] += _declared(each.table, by_name)
    for child, join in _inferred(seen, found, contains):
        found[child].append(join)
    return {name: tuple(_unambiguous(name, found)) for name in found}


def _declared(table: Table, tables: Mapping[str, Seen]) -> Iterator[Join]:
    for key in table.foreign_keys:
        parent = tables.get(key.table)
        if parent is None or key.table == table.name:
            continue
        referenced = key.referenced_columns or parent.table.primary_key
        own = [_column(table, name) for name in key.columns]
        theirs = [_column(parent.table, name) for name in referenced]
        pairs = tuple((left, right) for left, right in zip(own, theirs, strict=False) if left and right)
        if len(pairs) == len(own) == len(theirs) > 0:
            yield Join(pairs)


def _column(table: Table, name: str) -> ColumnOf | None:
    """The column that a key means: names in keys are written as loosely as anywhere in SQL."""
    exact = [column for column in table.columns if column.name == name]
    folded = [column for column in table.columns if column.name.casefold() == name.casefold()]
    return next((ColumnOf(table.name, column.name) for column in exact or folded), None)


def _inferred(
    seen: Sequence[Seen], declared: Mapping[str, Sequence[Join]], contains: Contains
) -> Iterator[tuple[str, Join]]:
    parents: dict[str, list[ColumnOf]] = defaultdict(list)
    for each in seen:
        if each.key is not None:
            for name in _called(each.table.name, each.key):
                parents[name].append(ColumnOf(each.table.name, each.key))
    kinds = {(each.table.name, column.name): column.kind for each in seen for column in each.table.columns}
    for child in seen:
        linked = {left.column for join in declared[child.table.name] for left, _ in join.pairs}
        for column in child.table.columns:
            if column.name in linked or child.table.primary_key == (column.name,) or child.table.is_view:
                continue
            targets = [t for t in parents.get(_folded(column.name), ()) if t.table != child.table.name]
            values = child.values.get(column.name, ())
            if len(targets) == 1 and values and kinds[targets[0].table, targets[0].column] == column.kind:
                own = ColumnOf(child.table.name, column.name)
                if contains(targets[0], values):
                    yield child.table.name, Join(((own, targets[0]),), inferred=True)


def _called(table: str, key: str) -> Iterator[str]:
    """How another table would name this table's key, folded."""
    if _folded(key) not in _GENERIC:
        yield _folded(key)
        return
    name = _folded(table.rsplit(".", 1)[-1])
    for stem in {name, name.removesuffix("s"), name.removesuffix("es"), name.removesuffix("ies") + "y"}:
        yield stem + _folded(key)


def _folded(name: str) -> str:
    return "".join(words_of(name)) or name.casefold()


def _unambiguous(table: str, found: Mapping[str, Sequence[Join]]) -> Iterator[Join]:
    for join in found[table]:
        other = join.pairs[0][1].table
        ways = [each for each in found[table] if each.pairs[0][1].table == other]
        back = [each for each in found[other] if each.pairs[0][1].table == table]
        if len(ways) == 1 and not back:
            yield join
