"""A clean article → pieces that fit: whole if it can be, else by headings, then blocks, then lines, then sentences.

Pieces are spans of the article's text, in order, so nothing is lost or doubled. Only what a piece says otherwise is
outside of the spans: headings, which its path names, and the fence or table header around a block that is cut. Knows
tokens only as a function that says what a text costs.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeAlias

from myna.builders.articles.cleaning import CleanArticle
from myna.builders.articles.markdown import Block, fence_edges, read_inline

HeadingPath: TypeAlias = tuple[str, ...]
"""The article's title and the headings above a piece."""
Cost: TypeAlias = Callable[[HeadingPath, str], int]
"""(path, text) → tokens of the example they make."""

_SMALL_PART = 8
"""An introduction of fewer characters than this part of the limit goes with what it introduces."""
_MOST_CHARACTERS = 16
"""A text of so many characters for each token of the limit isn't counted before it is cut."""
_LONGEST_ANNOUNCEMENT = 200
_ENDS = (
    re.compile(r"(?<=[。！？；])|(?<=[.!?;])(?=\s)"),  # of sentences
    re.compile(r"(?=\s)"),  # of words
)


@dataclass(frozen=True, slots=True)
class Piece:
    """`text` is `before`, the article's text on `[start, end)`, and `after`, moved left to where it begins."""

    path: HeadingPath
    start: int
    end: int
    before: str
    after: str
    text: str


@dataclass(frozen=True, slots=True)
class _Unit:
    """A span that is not cut. A piece that begins (ends) with it needs `before` (`after`)."""

    start: int
    end: int
    before: str = ""
    after: str = ""
    announces: bool = False
    """Whether it belongs with the next one, as "For example:" does."""


def cut(article: CleanArticle, cost: Cost, limit: int) -> list[Piece]:
    """Return the pieces of `article`, each of which costs at most `limit` if one character with its path does."""
    if not article.blocks:
        return []
    cutter = _Cutter(article, cost, limit)
    return cutter.with_introductions(list(cutter.section(0, len(article.blocks), (article.title,))))


class _Cutter:
    def __init__(self, article: CleanArticle, cost: Cost, limit: int) -> None:
        self._text, self._lines, self._blocks = article.text, article.lines, article.blocks
        self._offsets = list(accumulate((len(line) + 1 for line in article.lines), initial=0))
        self._paths = _paths(article)
        leaves = (leaf for block in article.blocks for leaf in block.leaves() if leaf.kind == "code")
        self._code = {self._offsets[line] for leaf in leaves for line in range(leaf.start, leaf.end)}
        self._cost, self._limit = cost, limit
        self._bare: dict[HeadingPath, int] = {}

    def section(self, first: int, last: int, path: HeadingPath) -> Iterator[Piece]:
        """Yield the pieces of the blocks `[first, last)`, which stand below the headings in `path`."""
        whole = self._piece(path, [self._unit(self._blocks[first].start, self._blocks[last - 1].end)])
        if self._fits(whole):
            yield whole
            return
        levels = [block.level for block in self._blocks[first:last] if block.kind == "heading"]
        if not levels:
            units = [unit for block in self._blocks[first:last] for unit in self._units(block, path)]
            yield from self._packed(units, path)
            return
        starts = [at for at in range(first, last) if self._blocks[at].level == min(levels)]
        if starts[0] > first:
            yield from self.section(first, starts[0], path)
        for at, following in pairwise([*starts, last]):
            if at + 1 < following:
                yield from self.section(at + 1, following, self._paths[at])

    def with_introductions(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Join what is too little for a question of its own with the subsection that it introduces."""
        joined: list[Piece] = []
        for piece in pieces:
            if joined and self._introduces(joined[-1], piece):
                before = joined[-1]
                both = self._piece(before.path, [_Unit(before.start, piece.end, before.before, piece.after)])
                if self._fits(both):
                    joined[-1] = both
                    continue
            joined.append(piece)
        return joined

    def _introduces(self, piece: Piece, following: Piece) -> bool:
        return following.path[: len(piece.path)] == piece.path and len(piece.text) < self._limit // _SMALL_PART

    def _units(self, block: Block, path: HeadingPath) -> Iterator[_Unit]:
        """Yield the largest spans of `block` that fit by themselves."""
        unit = self._unit(block.start, block.end, announces=_announces(block))
        if self._fits(self._piece(path, [unit])):
            yield unit
        elif block.children:
            for child in block.children:
                yield from self._units(child, path)
        else:
            before, first, last, after = self._frame(block)
            if 2 * (self._cost(path, before + after) - self._empty(path)) > self._limit - self._empty(path):
                before, first, last, after = "", block.start, block.end, ""
            for line in range(first, last):
                yield from self._parts(self._unit(line, line + 1, before, after), path, 0)

    def _frame(self, block: Block) -> tuple[str, int, int, str]:
        """Return what every part of a block needs before it, its first and last line, and what is needed after."""
        if block.kind == "fence":
            opening, closing, closed = fence_edges(block, self._lines)
            return f"{opening}\n", block.start + 1, block.end - closed, f"\n{closing}"
        if block.kind == "table":
            header = self._lines[block.start : block.start + 2]
            return "".join(f"{line}\n" for line in header), block.start + 2, block.end, ""
        return "", block.start, block.end, ""

    def _parts(self, unit: _Unit, path: HeadingPath, fineness: int) -> Iterator[_Unit]:
        """Yield a line, or its sentences, its words, its halves, whichever fits."""
        if unit.end - unit.start < 2 or self._fits(self._piece(path, [unit])):
            yield unit
            return
        if fineness < len(_ENDS):
            ends = [match.start() for match in _ENDS[fineness].finditer(self._text, unit.start + 1, unit.end)]
        else:
            ends = [(unit.start + unit.end) // 2]
        before = unit.before
        for start, end in pairwise([unit.start, *ends, unit.end]):
            if start < end:
                yield from self._parts(_Unit(start, end, before, unit.after), path, fineness + 1)
            if before.endswith("\n"):  # what begins within a line stands where the line began
                before += before[: len(before) - len(before.lstrip("> "))]

    def _packed(self, units: Sequence[_Unit], path: HeadingPath) -> Iterator[Piece]:
        """Yield as few pieces as hold all units, of about the same size."""
        sizes = [len(self._piece(path, [unit]).text.encode()) + 1 for unit in units]
        sums = list(accumulate(sizes, initial=0))
        room = self._limit - self._empty(path)
        bytes_per_token = sums[-1] / max(1, self._cost(path, self._piece(path, units).text) - self._empty(path))
        most = int(room * bytes_per_token)
        fewest = self._filled(units, sums, path, most)
        for share in (1.05, 1.15, 1.3):
            even = self._filled(units, sums, path, min(most, int(share * sums[-1] / len(fewest))))
            if len(even) == len(fewest):
                yield from even
                return
        yield from fewest

    def _filled(self, units: Sequence[_Unit], sums: Sequence[int], path: HeadingPath, room: int) -> list[Piece]:
        """Return pieces of units that take about `room` bytes each by the sums of their sizes, and fit."""
        pieces: list[Piece] = []
        start = 0
        while start < len(units):
            end = max(start + 1, bisect_right(sums, sums[start] + room) - 1)
            while end - start > 1 and not self._fits(self._piece(path, units[start:end])):
                end -= 1
            while end - start > 1 and end < len(units) and units[end - 1].announces:
                end -= 1
            pieces.append(self._piece(path, units[start:end]))
            start = end
        return pieces

    def _unit(self, start: int, end: int, before: str = "", after: str = "", *, announces: bool = False) -> _Unit:
        """Return the unit on the lines `[start, end)`."""
        return _Unit(self._offsets[start], self._offsets[end] - 1, before, after, announces)

    def _piece(self, path: HeadingPath, units: Sequence[_Unit]) -> Piece:
        first, last = units[0], units[-1]
        text = first.before + self._text[first.start : last.end] + last.after
        return Piece(
            path, first.start, last.end, first.before, last.after, _moved_left(text, first.start in self._code)
        )

    def _fits(self, piece: Piece) -> bool:
        if len(piece.text) > _MOST_CHARACTERS * self._limit:
            return False
        # no tokenizer makes more tokens than bytes, so most need not be counted
        surely = self._empty(piece.path) + len(piece.text.encode()) <= self._limit
        return surely or self._cost(piece.path, piece.text) <= self._limit

    def _empty(self, path: HeadingPath) -> int:
        """Return what an example costs that answers next to nothing."""
        if path not in self._bare:
            self._bare[path] = self._cost(path, "x")
        return self._bare[path]


def _paths(article: CleanArticle) -> list[HeadingPath]:
    """Return for each block the title and the headings above it, its own included."""
    paths: list[HeadingPath] = []
    above: list[tuple[int, str]] = []
    for block in article.blocks:
        if block.kind == "heading":
            above = [heading for heading in above if heading[0] < block.level]
            above.append((block.level, read_inline(block.content).text))
        paths.append((article.title, *(text for _, text in above)))
    return paths


def _announces(block: Block) -> bool:
    content = block.content.rstrip("*_ ")
    return block.kind == "paragraph" and content.endswith((":", "：")) and len(content) <= _LONGEST_ANNOUNCEMENT


def _moved_left(text: str, is_code: bool) -> str:
    """Take the first line's indent from all lines up to one with less: what a list held stands alone now.

    Indented code keeps the four spaces that it needs.
    """
    text = text.strip("\n")
    indent = len(text) - len(text.lstrip(" ")) - 4 * is_code
    if indent <= 0:
        return text
    lines = text.split("\n")
    end = next((at for at, line in enumerate(lines) if line.strip() and not line.startswith(" " * indent)), len(lines))
    return "\n".join([*(line[indent:] for line in lines[:end]), *lines[end:]])
