"""Whether two results are the same answer: the published rule of Spider's test-suite evaluator.

Two `Result`s go in, yes or no comes out. Knows no database, no question and no model.

The rule (Zhong, Yu and Klein 2020, "Semantic Evaluation for Text-to-SQL with Distilled Test Suites", and the evaluator
that the authors publish with it):

- Column names don't matter, and the predicted columns may stand in another order: one order for all rows.
- Rows compare as a multiset, or as a list when the gold query's outermost part has an ORDER BY.
- Two results without rows are the same, whatever their columns.
- Cells compare by value: 1 is 1.0 and true is 1, a number is never a text, a text is never bytes, letter case counts.
  There is **no numeric tolerance**: neither Spider's evaluators nor WikiSQL's has one. NULL is NULL, NaN is NaN.

Results that were cut at a limit (`Result.truncated`) are the same only when both were cut and what was kept is the
same; what lies beyond the limit is not seen. Give scoring limits that its gold results stay below.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from sqlglot import exp

from myna.databases.query import Result
from myna.text2sql.syntax import parse_query

_Matrix: TypeAlias = list[tuple[int, ...]]
"""Rows of cells, each cell as a number that equal cells share: `[rows][columns]`."""


def is_ordered(sql: str, dialect: str) -> bool:
    """Whether `sql` says the order of its rows: an ORDER BY in its outermost part, not only in a part of it.

    dialect: sqlglot's name of it. Raises `QueryError` (syntax).
    """
    tree = parse_query(sql, dialect)
    while isinstance(tree, exp.Subquery | exp.Paren) and tree.args.get("order") is None:
        tree = tree.this
    return tree.args.get("order") is not None


def same_result(gold: Result, predicted: Result, *, ordered: bool) -> bool:
    """Whether `predicted` is the answer that `gold` is, by the rule above.

    ordered: whether the gold query says the order of its rows (`is_ordered`).
    """
    if gold.truncated != predicted.truncated or len(gold.rows) != len(predicted.rows):
        return False
    if not gold.rows:
        return True
    if len(gold.rows[0]) != len(predicted.rows[0]):
        return False
    numbers: dict[Hashable, int] = {}
    left, right = _numbered(gold.rows, numbers), _numbered(predicted.rows, numbers)
    if ordered:
        return Counter(zip(*left, strict=True)) == Counter(zip(*right, strict=True))
    return Counter(left) == Counter(right) or _same_in_some_column_order(left, right)


def _numbered(rows: Iterable[Sequence[Any]], numbers: dict[Hashable, int]) -> _Matrix:
    """Replace every cell by a number, the same for cells that are equal."""
    return [tuple(numbers.setdefault(_key(cell), len(numbers)) for cell in row) for row in rows]


def _key(cell: Any) -> Hashable:
    """Return what equal cells share, and no others. Python's own equality is the evaluators' rule."""
    if isinstance(cell, list | tuple):
        return ("list", *(_key(item) for item in cell))
    if isinstance(cell, set | frozenset):
        return ("set", frozenset(_key(item) for item in cell))
    if isinstance(cell, Mapping):
        return ("mapping", frozenset((_key(name), _key(value)) for name, value in cell.items()))
    if isinstance(cell, bytearray | memoryview):
        return bytes(cell)
    if (isinstance(cell, float) and math.isnan(cell)) or (isinstance(cell, Decimal) and cell.is_nan()):
        return ("not a number",)
    return cell if isinstance(cell, Hashable) else (type(cell).__name__, repr(cell))


# Rows as a multiset under some order of columns. Trying all orders costs columns! (the published evaluator thins that
# out by sampling rows). Here rows and columns are coloured by what they hold until the colours are stable; where a
# colour is shared by several columns one of them is told apart and the colouring goes on. Every choice is tried, so the
# answer is exact; a second choice is needed only where the contents are so symmetric that colours say nothing.


def _same_in_some_column_order(left: _Matrix, right: _Matrix) -> bool:
    width = len(left[0])
    return _match(left, right, [0] * width, [0] * width)


def _match(left: _Matrix, right: _Matrix, left_colours: list[int], right_colours: list[int]) -> bool:
    """Whether some order of columns that keeps their colours makes the multisets of rows equal."""
    refined = _refine(left, right, left_colours, right_colours)
    if refined is None:
        return False
    left_colours, right_colours = refined
    places: defaultdict[int, list[int]] = defaultdict(list)
    for column, colour in enumerate(right_colours):
        places[colour].append(column)
    shared = [colour for colour in left_colours if len(places[colour]) > 1]
    if not shared:
        order = [places[colour][0] for colour in left_colours]
        return Counter(left) == Counter(tuple(row[column] for column in order) for row in right)
    colour = min(shared, key=lambda each: len(places[each]))
    chosen = left_colours.index(colour)
    told_apart = [*left_colours]
    told_apart[chosen] = -1
    tried: set[tuple[int, ...]] = set()
    for column in places[colour]:
        content = tuple(row[column] for row in right)
        if content in tried:  # columns with the same cells are interchangeable
            continue
        tried.add(content)
        candidate = [*right_colours]
        candidate[column] = -1
        if _match(left, right, told_apart, candidate):
            return True
    return False


def _refine(
    left: _Matrix, right: _Matrix, left_colours: list[int], right_colours: list[int]
) -> tuple[list[int], list[int]] | None:
    """Colour columns by their cells and the colours of the rows these stand in, until nothing changes.

    None when the two sides' colours differ: then no order of columns makes them equal.
    """
    left_turned, right_turned = list(zip(*left, strict=True)), list(zip(*right, strict=True))
    distinct = 0
    while True:
        names: dict[Hashable, int] = {}
        left_rows, right_rows = _colours(left, left_colours, names), _colours(right, right_colours, names)
        if Counter(left_rows) != Counter(right_rows):
            return None
        names = {}
        left_colours = _colours(left_turned, left_rows, names, left_colours)
        right_colours = _colours(right_turned, right_rows, names, right_colours)
        if Counter(left_colours) != Counter(right_colours):
            return None
        if len(names) == distinct:
            return left_colours, right_colours
        distinct = len(names)


def _colours(
    lines: Sequence[tuple[int, ...]],
    across: Sequence[int],
    names: dict[Hashable, int],
    before: Sequence[int] | None = None,
) -> list[int]:
    """Colour each line by the multiset of its cells with the colours of what crosses the line there."""
    found = []
    for number, line in enumerate(lines):
        content = tuple(sorted(zip(across, line, strict=True)))
        signature = (before[number] if before is not None else 0, content)
        found.append(names.setdefault(signature, len(names)))
    return found
