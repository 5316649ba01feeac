"""An article's Markdown → its title and the text worth learning, as written.

Left out: front matter, images and badges, comments, link farms, tables of contents, navigation, rules, lines about
author and date, the title (it is asked for), common endings, headings with nothing below them; white space at line
ends and in the columns of tables, and blank lines beyond one. Everything else stays word for word. Knows no tokens
and no other article, but for the endings it is told of.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace

from myna.builders.articles.markdown import Block, Inline, fence_edges, parse, read_inline

_INVISIBLE = re.compile("[\0\ufeff\u200b\u2060]")
_FRONT_MATTER = {"---": ("---", "..."), "+++": ("+++",)}
_LONGEST_FRONT_MATTER = 200
_FRONT_MATTER_TITLE = re.compile(r"""^title\s*[:=]\s*(?:"(?P<double>.*)"|'(?P<single>.*)'|(?P<plain>.*?))\s*$""")
_FRONT_MATTER_LINE = re.compile(r"""^(?:[\w"'.-]+\s*[:=]|[\s#\]}[-]|$)""")

# Bounded repeats: a text made to be slow must not make this slow. Code comes first, so that it is left alone.
_PARENTHESES = r"\((?:[^()]|\([^()]{0,500}\)){0,2000}\)"
_IMAGE = rf"!\[[^\]]{{0,1000}}\](?:{_PARENTHESES}|\[[^\]]{{0,200}}\])"
_NOT_TEXT = re.compile(
    r"(?P<code>(?<!`)(?P<ticks>`+)(?!`).{1,3000}?(?<!`)(?P=ticks)(?!`))"
    rf"|\[\s*{_IMAGE}\s*\](?:{_PARENTHESES}|\[[^\]]{{0,200}}\])"
    rf"|{_IMAGE}"
    r"|<(?:img|source|/?picture)\b[^>]{0,2000}>"
    r"|<a\s[^>]{0,1000}>\s*</a>"
    r"|<!--.{0,5000}?-->",
    re.DOTALL | re.IGNORECASE,
)
_TAG = re.compile(r"</?[a-zA-Z][^>]{0,2000}>")
_ONLY_MARKS = re.compile(r"^[>\s]*(?:[-*+]|\d{1,9}[.)])?\s*$")
_PADDING = re.compile(r"(?<=\|)[ \t]{2,}|(?<=\S)[ \t]{2,}(?=\|)")
_DASHES = re.compile(r"(?m)(?<=[|:\s])-{4,}(?=[|:\s]|$)")
_CONTENTS = re.compile(r"^(?:\[\[?_?toc_?\]?\]|\{:toc\}|@\[toc\].*)$", re.IGNORECASE)
_ABOUT_THE_TEXT = frozenset({"作者", "日期", "标签", "author", "authors", "date", "tags"})
_LONGEST_METADATA = 400
_LONGEST_LEAD_IN = 80
_LAST_PARAGRAPHS = 8


@dataclass(frozen=True, slots=True)
class CleanArticle:
    """What is left of an article. `blocks` stand on `lines`."""

    title: str
    lines: tuple[str, ...]
    blocks: tuple[Block, ...]
    text: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", "\n".join(self.lines))

    def called(self, title: str) -> CleanArticle:
        """Return the article under another title."""
        return replace(self, title=title)


def clean(text: str, *, title: str | None, name: str, endings: Container[bytes] = frozenset()) -> CleanArticle:
    """Return the article in `text`.

    title: what an index calls it; otherwise front matter, its first heading or, at last, `name` says it.
    endings: digests of paragraphs that end many articles (`last_paragraphs`).
    """
    lines, own_title = _without_front_matter(_normal_lines(text))
    lines = _without_images(lines)
    blocks = parse(lines)
    title = title or own_title or _first_heading(blocks) or name
    kept = _without_title(blocks, title)
    kept = _without_metadata(kept)
    kept = _without_link_farms(kept)
    kept = _without_ending(kept, lines, endings)
    kept = _without_empty_sections(kept)
    left = _join(kept, lines)
    return CleanArticle(title, tuple(left), tuple(parse(left)))


def last_paragraphs(text: str) -> Iterator[bytes]:
    """Yield digests of the last few paragraphs, so that those which end many articles can be told."""
    paragraphs = [part for part in re.split(r"\n\s*\n", "\n".join(_normal_lines(text[-20_000:]))) if part.strip()]
    for part in set(paragraphs[-_LAST_PARAGRAPHS:]):
        yield _digest(part)


def _normal_lines(text: str) -> list[str]:
    text = _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return [line.rstrip() for line in text.split("\n")]


def _without_front_matter(lines: list[str]) -> tuple[list[str], str | None]:
    """Return the lines after YAML or TOML front matter, and the title in it."""
    if not lines or lines[0] not in _FRONT_MATTER:
        return lines, None
    marks = _FRONT_MATTER[lines[0]]
    end = next((at for at, line in enumerate(lines[1 : _LONGEST_FRONT_MATTER + 1], 1) if line in marks), None)
    inside = lines[1:end] if end else []
    # Two rules with prose between them look alike at first sight.
    if not inside or not all(_FRONT_MATTER_LINE.match(line) for line in inside):
        return lines, None
    found = next((match for line in inside if (match := _FRONT_MATTER_TITLE.match(line))), None)
    title = next((part for part in found.groups() if part), "").strip() if found else ""
    return lines[(end or 0) + 1 :], title or None


def _without_images(lines: list[str]) -> list[str]:
    """Take images, comments and empty anchors out of everything but code."""
    left: list[str | None] = list(lines)
    literal = [False] * len(lines)
    for block in (leaf for top in parse(lines) for leaf in top.leaves()):
        if block.kind in ("fence", "code"):
            literal[block.start : block.end] = [True] * (block.end - block.start)
        elif block.kind == "html":
            text = "\n".join(lines[block.start : block.end])
            stripped = _NOT_TEXT.sub(_keep_code, text)
            if not _TAG.sub("", stripped).strip():
                left[block.start : block.end] = [None] * (block.end - block.start)
            elif stripped != text:
                _replace(left, block, stripped)
        elif block.kind != "rule":
            text = "\n".join(lines[block.start : block.end])
            stripped = _NOT_TEXT.sub(_keep_code, text)
            if block.kind == "table":
                stripped = _DASHES.sub("---", _PADDING.sub(" ", stripped))
            if stripped != text:
                _replace(left, block, stripped)
    return _single_blanks(left, literal)


def _keep_code(match: re.Match[str]) -> str:
    return match["code"] or ""


def _replace(left: list[str | None], block: Block, stripped: str) -> None:
    """Put what is left of a block on its lines; lines that hold nothing any more go."""
    lines = [line.rstrip() for line in stripped.split("\n")]
    below = next((line for line in left[block.end :] if line), "") or ""
    for at in range(block.end - block.start):
        line = lines[at] if at < len(lines) else ""
        marks = _ONLY_MARKS.match(line)
        # "1." still opens its item when more of it follows
        opens = line.strip() and _indent(below) > _indent(line)
        left[block.start + at] = None if marks and not opens else line


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _single_blanks(lines: Sequence[str | None], literal: Sequence[bool]) -> list[str]:
    single: list[str] = []
    for line, is_literal in zip(lines, literal, strict=True):
        if line is None or (not line and not is_literal and single and not single[-1]):
            continue
        single.append(line)
    return single


def _first_heading(blocks: Sequence[Block]) -> str | None:
    """Return the text of the first top heading, or of the heading that the article begins with."""
    headings = [block for block in blocks if block.kind == "heading"]
    first = next((block for block in headings if block.level == 1), None)
    if first is None and headings and headings[0] is blocks[0]:
        first = headings[0]
    return bare_title(read_inline(first.content).text) or None if first else None


def bare_title(text: str) -> str:
    """Return a title without the marks 《》 around all of it, and in one line."""
    text = " ".join(text.split())
    if text.startswith("《") and text.endswith("》"):
        inside, depth = text[1:-1], 0
        for character in inside:
            depth += (character == "《") - (character == "》")
            if depth < 0:
                return text
        return inside.strip() if depth == 0 else text
    return text


def same_title(one: str, other: str) -> bool:
    """Whether two titles differ in nothing but marks, case and white space."""
    return _letters(one) == _letters(other)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def _without_title(blocks: Sequence[Block], title: str) -> list[Block]:
    """Leave out the first heading when it is the title: the title is what is asked."""
    for at, block in enumerate(blocks):
        if block.kind == "heading":
            if same_title(read_inline(block.content).text, title):
                return [*blocks[:at], *blocks[at + 1 :]]
            break
    return list(blocks)


def _without_metadata(blocks: Sequence[Block]) -> list[Block]:
    """Leave out the sections at the top that only name author, date and tags."""
    at = 0
    while at < len(blocks) and blocks[at].kind == "heading":
        if read_inline(blocks[at].content).text.casefold() not in _ABOUT_THE_TEXT:
            break
        end = at + 1
        while end < len(blocks) and blocks[end].kind == "paragraph":
            end += 1
        if sum(len(block.content) for block in blocks[at + 1 : end]) > _LONGEST_METADATA:
            break
        at = end
    return list(blocks[at:])


def _without_link_farms(blocks: Sequence[Block]) -> list[Block]:
    """Leave out lists of nothing but links with the line that announces them, navigation, rules, definitions."""
    kept: list[Block] = []
    for block in blocks:
        if block.kind == "list" and _is_link_farm(block):
            if kept and _announces(kept[-1]):
                kept.pop()
        elif block.kind in ("rule", "definition") or (block.kind == "heading" and not read_inline(block.content).text):
            continue
        elif not (block.kind == "paragraph" and (_CONTENTS.match(block.content) or _is_navigation(block))):
            kept.append(block)
    return kept


def _is_link_farm(block: Block) -> bool:
    leaves = list(block.leaves())
    return all(leaf.kind == "paragraph" and _only_links(read_inline(leaf.content)) for leaf in leaves)


def _is_navigation(block: Block) -> bool:
    inline = read_inline(block.content)
    return inline.links > 1 and _only_links(inline)


def _only_links(inline: Inline) -> bool:
    return inline.links > 0 and not any(character.isalpha() for character in inline.unlinked)


def _announces(block: Block) -> bool:
    content = block.content.rstrip("*_ ")
    return block.kind == "paragraph" and content.endswith((":", "：")) and len(content) <= _LONGEST_LEAD_IN


def _without_ending(blocks: list[Block], lines: Sequence[str], endings: Container[bytes]) -> list[Block]:
    """Leave out, from the end, what ends many articles, and a last link such as "back to the top"."""
    while blocks and blocks[-1].kind in ("paragraph", "heading"):
        last = blocks[-1]
        is_link = "](" in last.content and _only_links(read_inline(last.content))
        if not (is_link or _digest("\n".join(lines[last.start : last.end])) in endings):
            break
        blocks = blocks[:-1]
    return blocks


def _digest(paragraph: str) -> bytes:
    return hashlib.blake2b(" ".join(paragraph.split()).encode(), digest_size=8).digest()


def _without_empty_sections(blocks: Sequence[Block]) -> list[Block]:
    """Leave out headings that no text belongs to."""
    kept: list[Block] = []
    above_text = 0  # the highest heading (smallest level) since the text nearest below; 0 before any text
    for block in reversed(blocks):
        if block.kind != "heading":
            above_text = 7
        elif block.level >= above_text:
            continue
        else:
            above_text = block.level
        kept.append(block)
    return kept[::-1]


def _join(blocks: Sequence[Block], lines: Sequence[str]) -> list[str]:
    """Return the lines of these blocks; those that stood apart or lost a neighbour get one blank line between."""
    left: list[str] = []
    for at, block in enumerate(blocks):
        if at and blocks[at - 1].end != block.start:
            left.append("")
        left += _closed(block, lines)
    return left


def _closed(block: Block, lines: Sequence[str]) -> list[str]:
    """Return a block's lines; a fence that only the end of what it stands in closes gets its closing line."""
    closed, place = list[str](), block.start
    for leaf in block.leaves():
        if leaf.kind == "fence":
            _, closing, is_closed = fence_edges(leaf, lines)
            if not is_closed:
                closed += [*lines[place : leaf.end], closing]
                place = leaf.end
    return closed + list(lines[place : block.end])
