"""Markdown → a tree of blocks with the lines they stand on, so that text can be cut without being rewritten.

Block structure is CommonMark (https://spec.commonmark.org) with tables, read by markdown-it-py. Knows nothing of
what is worth keeping.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

Kind: TypeAlias = Literal[
    "heading",
    "paragraph",
    "fence",
    "code",  # indented
    "list",
    "item",
    "quote",
    "table",
    "container",  # `:::note` to `:::`, as many documentation tools write it
    "html",
    "rule",
    "definition",  # `[name]: address` and whatever else shows nothing
]

_KINDS: dict[str, Kind] = {
    "heading_open": "heading",
    "paragraph_open": "paragraph",
    "fence": "fence",
    "code_block": "code",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "list_item_open": "item",
    "blockquote_open": "quote",
    "table_open": "table",
    "html_block": "html",
    "hr": "rule",
}
_ADDRESS = re.compile(r"(?:https?|ftp)://[^\s<>，。；、）】」》]+")


@dataclass(frozen=True, slots=True)
class Block:
    """A block on the lines `[start, end)`, counted from 0, without blank lines at its end."""

    kind: Kind
    start: int
    end: int
    level: int = 0
    """Of a heading, 1 to 6."""
    markup: str = ""
    """Of a fence: the characters that open it."""
    content: str = ""
    """Of a heading or a paragraph: its inline text, as written. Of HTML: all of it."""
    children: tuple[Block, ...] = ()

    def leaves(self) -> Iterator[Block]:
        """Yield the blocks in it that hold no others, itself if it is one."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


@dataclass(frozen=True, slots=True)
class Inline:
    """A line of text as a reader sees it."""

    text: str
    """Without marks, addresses and images; code keeps its backticks."""
    unlinked: str
    """What of it is in no link; bare addresses count as links."""
    links: int


def parse(lines: Sequence[str]) -> list[Block]:
    """Return the top-level blocks. All lines that are not blank are in one of them."""
    tokens = iter(_parser().parse("\n".join(lines)))
    return _with_containers(list(_siblings(tokens, lines, 0, len(lines))), lines)


def _with_containers(blocks: Sequence[Block], lines: Sequence[str]) -> list[Block]:
    """Put what stands between `:::note` and its `:::` into one block; CommonMark knows nothing of it."""
    grouped: list[Block] = []
    opened: list[Block] = []
    depth = 0
    for block in blocks:
        if block.kind == "paragraph":
            marks = [line.strip() for line in lines[block.start : block.end] if line.lstrip().startswith(":::")]
            depth = max(0, depth + sum(-1 if not mark.strip(":") else 1 for mark in marks))
        if depth or opened:
            opened.append(block)
        else:
            grouped.append(block)
        if not depth and opened:
            start, end = opened[0].start, opened[-1].end
            grouped.append(Block("container", start, end, children=tuple(opened)))
            opened = []
    return grouped + opened


def _siblings(tokens: Iterator[Token], lines: Sequence[str], start: int, end: int) -> Iterator[Block]:
    """Yield the blocks up to the token that closes what they stand in, on lines `[start, end)`.

    Lines between blocks that belong to none of them (link definitions) become a block of their own.
    """
    place = start
    for token in tokens:
        if token.nesting < 0:
            break
        kind = _KINDS.get(token.type)
        if kind is None or token.map is None:
            continue
        first, last = max(place, token.map[0]), min(end, token.map[1])
        yield from _definition(lines, place, first)
        block = _block(kind, token, tokens, lines, first, last)
        place = max(place, block.end)
        if block.end > block.start:
            yield block
    yield from _definition(lines, place, end)


def _block(kind: Kind, token: Token, tokens: Iterator[Token], lines: Sequence[str], start: int, end: int) -> Block:
    while end > start and not lines[end - 1].strip():
        end -= 1
    if kind in ("list", "item", "quote"):
        return Block(kind, start, end, children=tuple(_siblings(tokens, lines, start, end)))
    content = token.content if kind == "html" else ""
    if token.nesting > 0:
        content = _inline_content(tokens, token.level)
    level = int(token.tag[1:]) if kind == "heading" else 0
    return Block(kind, start, end, level, token.markup if kind == "fence" else "", content)


def _inline_content(tokens: Iterator[Token], level: int) -> str:
    """Read to the end of a heading, paragraph or table; return its text."""
    contents = []
    for token in tokens:
        if token.nesting < 0 and token.level == level:
            break
        if token.type == "inline":
            contents.append(token.content)
    return "\n".join(contents)


def _definition(lines: Sequence[str], start: int, end: int) -> Iterator[Block]:
    while start < end and not lines[start].strip():
        start += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    if start < end:
        yield Block("definition", start, end)


def fence_edges(block: Block, lines: Sequence[str]) -> tuple[str, str, bool]:
    """Return the lines that open and close a fence where it stands, and whether the closing one is there.

    In a list or a quote both begin as the fence's lines do: a list's mark, which opens an item, becomes spaces.
    """
    first, last = lines[block.start], lines[block.end - 1]
    indent, mark, info = first.partition(block.markup)
    indent = re.sub(r"[^>\s]", " ", indent)
    bare = last.lstrip("> \t").rstrip()
    closed = block.end - block.start > 1 and bare.startswith(block.markup) and not bare.strip(block.markup[0])
    return indent + mark + info, indent + block.markup, closed


def read_inline(content: str) -> Inline:
    """Return what a reader sees of a heading's or paragraph's text."""
    seen, unlinked, links, depth = [], [], 0, 0
    for token in _inline_parser().parseInline(content)[0].children or ():
        if token.type in ("link_open", "link_close"):
            depth += token.nesting
            links += token.nesting > 0
            continue
        text = _visible(token)
        seen.append(text)
        if depth == 0:
            unlinked.append(text)
    outside, bare = _ADDRESS.subn("", "".join(unlinked))
    return Inline(" ".join("".join(seen).split()), outside, links + bare)


def _visible(token: Token) -> str:
    if token.type in ("text", "text_special"):
        return token.content
    if token.type == "code_inline":
        return f"`{token.content}`"
    return " " if token.type in ("softbreak", "hardbreak") else ""


@cache
def _parser() -> MarkdownIt:
    """Blocks alone: what is inside of a paragraph is read only where somebody asks."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table").disable("inline")


@cache
def _inline_parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark")
