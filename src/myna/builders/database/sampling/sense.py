"""What makes a query one that nobody would ask, seen from its parts alone: `makes_sense` refuses it."""

from __future__ import annotations

from collections.abc import Iterator

from myna.builders.database.profile import ROWS_READ, Profile
from myna.builders.database.query import Aggregate, Arithmetic, ColumnOf, Comparison, Item, Query
from myna.builders.database.sampling.scope import linking

_ALONE = 0.7
"""Different values, as a share of the rows, from which on a group is hardly ever more than one row."""


def makes_sense(profile: Profile, query: Query) -> bool:
    """Whether a query asks for something that it does not say itself, and needs all its tables."""
    return (
        uses_its_joins(query)
        and not _answers_itself(query)
        and not _looks_at_one_row(profile, query)
        and not _lists_bare_keys(profile, query)
        and not _groups_single_rows(profile, query)
    )


def uses_its_joins(query: Query) -> bool:
    """Whether a query needs its subject and every table at an end of its joins: else a join is idle.

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
    return ends <= {table_of(item) for item in items if item not in between}


def table_of(item: Item) -> str:
    """The table of what is selected, counted or ordered by."""
    argument = item.argument if isinstance(item, Aggregate) else item
    return argument.left.table if isinstance(argument, Arithmetic) else argument.table


def _answers_itself(query: Query) -> bool:
    """Whether the one value of a column that is chosen, counted or measured stands in the question."""
    measured = {item.argument for item in query.select if isinstance(item, Aggregate)}
    same = {pair for join in query.joins for left, right in join.pairs for pair in ((left, right), (right, left))}
    if any(right in query.group_by for left, right in same if left in measured):
        return True
    if measured.intersection(_named(query)):
        return True
    if query.group_by and any(isinstance(item, Aggregate) for item in query.select):
        return any(column in query.group_by for column in _named(query))
    halves = [query, query.set_operation.right] if query.set_operation else [query]
    return any(column in half.select for half in halves for column in _named(half))


def _looks_at_one_row(profile: Profile, query: Query) -> bool:
    """Whether rows are counted, grouped or sorted of which a unique value leaves but one."""
    tables = {table_of(item) for item in query.select if isinstance(item, Aggregate)}
    tables |= {column.table for column in query.group_by}
    if query.order_by or query.distinct or query.set_operation:
        tables.add(query.table)
    return any(column.table in tables and profile.column(column).unique for column in _named(query))


def _lists_bare_keys(profile: Profile, query: Query) -> bool:
    """Whether nothing but keys is listed, of all rows."""
    columns = [item for item in query.select if isinstance(item, ColumnOf)]
    bare = len(columns) == len(query.select) and all(profile.column(column).role == "key" for column in columns)
    return bare and not (query.where or query.group_by or query.set_operation or query.distinct)


def _groups_single_rows(profile: Profile, query: Query) -> bool:
    """Whether a table is grouped by what nearly every row has for itself, as by its rows' names."""
    if query.joins:
        return False
    rows = min(profile.tables[query.table].rows, ROWS_READ)
    return any(profile.column(column).distinct > rows * _ALONE for column in query.group_by)


def _named(query: Query) -> Iterator[ColumnOf]:
    """The columns whose one value the question names."""
    if query.where is None or query.where.any:
        return
    for condition in query.where.conditions:
        if isinstance(condition, Comparison) and condition.operator == "=" and isinstance(condition.column, ColumnOf):
            yield condition.column
