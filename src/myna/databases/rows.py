"""Rows of a database driver → the rows of a `Result`: as many whole rows as the row and byte caps allow.

Every backend gathers its rows here, one at a time, so that no query's answer is ever held whole. Knows no driver.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from myna.databases.query import Limits


def collect(rows: Iterable[Sequence[Any]], limits: Limits) -> tuple[tuple[tuple[Any, ...], ...], bool]:
    """Return the first rows within the caps, and whether there were more. A row that goes over a cap is left out."""
    kept: list[tuple[Any, ...]] = []
    left = limits.bytes
    for row in rows:
        cells = tuple(row)
        left -= memory_of(cells)
        if len(kept) == limits.rows or left < 0:
            return tuple(kept), True
        kept.append(cells)
    return tuple(kept), False


def memory_of(cells: tuple[Any, ...]) -> int:
    """Return the bytes of memory that a row takes, its cells and their places in it."""
    return sys.getsizeof(cells) + sum(map(sys.getsizeof, cells))
