"""A query's result → lines of a table that fit a width: what is cut ends in `…`, what is left out is said.

Knows no terminal; cells come as `cells.cell_text` shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from myna.cli.cells import cell_text, is_number

if TYPE_CHECKING:
    from rich.text import Text

    from myna.databases import Result

_GAP = "  "
_NARROWEST = 6
"""Characters that a column keeps when there is little room, unless it needs fewer."""


def table_lines(result: Result, *, width: int, rows: int | None = None) -> list[Text]:
    """Return the table's lines, with what is missing of it at the end.

    width: of the terminal, in its cells. rows: at most this many are shown; None shows all.
    """
    from rich.text import Text

    shown = result.rows if rows is None else result.rows[:rows]
    columns = [
        _Column.of(name, [row[place] for row in shown], [cell_text(row[place]) for row in shown])
        for place, name in enumerate(result.columns)
    ]
    widths = _fit([column.width for column in columns], width)
    columns, left_out = columns[: len(widths)], columns[len(widths) :]
    lines = []
    if shown:
        lines.append(Text(_GAP.join(each.line(each.name, size) for each, size in zip(columns, widths, strict=True))))
        lines[0].stylize("bold")
        lines.append(Text(_GAP.join("─" * size for size in widths), "dim"))
    for number in range(len(shown)):
        line = Text()
        for place, (column, size) in enumerate(zip(columns, widths, strict=True)):
            line.append(_GAP if place else "")
            line.append(column.line(column.texts[number], size), "dim italic" if column.cells[number] is None else "")
        lines.append(line)
    for line in lines:
        line.rstrip()
    return [*lines, *(Text(each, "dim") for each in _left_out(result, len(shown), left_out))]


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    cells: Sequence[Any]
    texts: Sequence[str]
    width: int
    is_number: bool

    @classmethod
    def of(cls, name: str, cells: Sequence[Any], texts: Sequence[str]) -> _Column:
        from rich.cells import cell_len

        shown = cell_text(name)
        numeric = all(cell is None or is_number(cell) for cell in cells) and any(cell is not None for cell in cells)
        return cls(shown, cells, texts, max(map(cell_len, [shown, *texts])) or 1, numeric)

    def line(self, text: str, size: int) -> str:
        """Return `text` in exactly `size` cells, cut visibly."""
        from rich.cells import cell_len, set_cell_size

        if cell_len(text) > size:
            text = set_cell_size(text, size - 1).rstrip() + "…"
        padding = " " * (size - cell_len(text))
        return padding + text if self.is_number else text + padding


def _fit(needed: Sequence[int], width: int) -> list[int]:
    """Return the widths of the columns that are shown: the widest give way first, then the last are left out."""
    least = [min(each, _NARROWEST) for each in needed]
    while len(least) > 1 and sum(least) + len(_GAP) * (len(least) - 1) > width:
        least.pop()
    needed = needed[: len(least)]
    room = max(width - len(_GAP) * (len(needed) - 1), len(needed))
    if sum(needed) <= room:
        return list(needed)
    cap = max(cap for cap in range(1, room + 1) if sum(min(each, cap) for each in needed) <= room)
    spare = room - sum(min(each, cap) for each in needed)
    widths = []
    for each in needed:
        more = each > cap and spare > 0
        widths.append(min(each, cap) + more)
        spare -= more
    return widths


def _left_out(result: Result, shown: int, columns: Sequence[_Column]) -> list[str]:
    """Say how many rows there are and what of them is not shown."""
    count = len(result.rows)
    lines = [
        f"({count:,} row{'' if count == 1 else 's'})" if count else f"(no rows; columns: {_names(result.columns)})"
    ]
    if result.truncated:
        lines[0] = f"(the first {count:,} rows; the query gives more than is taken)"
    if shown < count:
        lines.append(f"(… {count - shown:,} more rows are not shown; --json has all of them)")
    if columns:
        lines.append(f"(… {len(columns)} more columns don't fit: {_names([column.name for column in columns])})")
    return lines


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(cell_text, names))
