"""What conditions may say in decoding constrained by content: the literals that the question names and a column has.

An equality takes a cell of its column that the question names; a comparison takes a number of the question, or the
first day of a year in it or of that year's months. A column that can't be so filled stands in no such condition. LIKE
takes any text. Limits nothing where the index can't know: columns that it has not, or not completely. Measured by
benchmarks/values.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from myna.databases import Schema
from myna.text2sql.grammar import Literal, Values
from myna.text2sql.values.index import ValueIndex
from myna.text2sql.words import dates, numbers

_YEARS = range(1000, 3000)
_FLAG_VALUES = 3
_ROWS_OF_A_FLAG = 20
"""A column of so few values in so many rows is a flag, which questions mean without saying its value: "married"."""


@dataclass(frozen=True, slots=True)
class Contents:
    """values: for `grammar.grammar`. free: nothing that the question says is in the database, so nothing is limited."""

    values: Values
    free: bool


def contents(index: ValueIndex, schema: Schema, question: str) -> Contents:
    """Return what the conditions of a query that answers `question` over `schema` may hold.

    schema: the tables and columns of the prompt, all or some of the database's.
    """
    named = [number.value for number in numbers(question)]
    compared: list[Literal] = list(dict.fromkeys([*named, *dates(question)]))
    shown = {(table.name, column.name): column for table in schema.tables for column in table.columns}
    tables = {table.name for table in schema.tables}
    indexed = [(place, index.columns[place]) for place in index.places_of(tables)]
    complete = {(column.table, column.name): column.complete for _, column in indexed}
    equal: dict[tuple[str, str], list[Literal]] = {}
    for name, shown_column in shown.items():
        if complete.get(name) or (name not in complete and shown_column.kind == "number"):
            equal[name] = [] if complete.get(name) else list(dict.fromkeys(named))
    for found in index.find(question, tables=tables):
        column = index.columns[found.column]
        if (name := (column.table, column.name)) in equal and found.value not in equal[name]:
            equal[name].append(found.value)
    if any(column.kind == "date" for column in shown.values()):
        compared += [day for year in named if year in _YEARS for day in _first_days(int(year))]
    if not compared and not any(equal.values()):
        return Contents(Values(), free=True)
    for place, each in indexed:
        if each.values <= _FLAG_VALUES and each.rows >= _ROWS_OF_A_FLAG and (name := (each.table, each.name)) in equal:
            equal[name] = list(dict.fromkeys([*equal[name], *index.values_of(place)]))
    return Contents(Values(equal, compared), free=False)


def _first_days(year: int) -> list[str]:
    """Return the days between which a year, and each of its months, lies: "in March 2014" is two comparisons."""
    return [f"{year:04}-{month:02}-01" for month in range(1, 13)] + [f"{year + 1:04}-01-01"]
