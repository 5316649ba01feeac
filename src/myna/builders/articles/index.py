"""A blog's README index, or a folder of Markdown → which articles there are, under what titles.

An index line is a heading or list item that ends with one link: `##### 202410/1.md   [《Title》](202410/1.md)`. Only
regular files inside of the index's folder are ever opened. Knows nothing of what is in an article.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from myna.builders.articles.cleaning import bare_title
from myna.builders.articles.markdown import read_inline
from myna.builders.decoding import decode
from myna.errors import DataError, excerpt

SUFFIXES = (".md", ".markdown", ".mdx", ".mkd")
USUAL_MARKERS = ("所有文档如下",)
"""What stands above the list of all articles in the blogs we know."""

_MAX_INDEX_BYTES = 64 * 2**20
_LINE = re.compile(
    r"^\s{0,12}(?:\#{1,6}|[-*+]|\d{1,9}[.)])\s.*?"
    r"\[(?P<title>.+)\]\(\s*(?:<(?P<bracketed>[^<>]*)>|(?P<bare>(?:[^()\s]|\([^()]*\))*))"
    r"(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)\s*$"
)
_LINE_END = re.compile(r"\r\n|\n|\r")  # CommonMark, section 2.1
_ELSEWHERE = re.compile(r"^(?:[a-zA-Z][a-zA-Z0-9+.-]+:|//)")


@dataclass(frozen=True, slots=True)
class Listed:
    """An article: its file, its name (path in the folder, `/` between) and its title where an index gives one."""

    file: Path
    name: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An index entry or file that is not read: its path as named, where it was named, why, and its title."""

    name: str
    where: str
    reason: str
    title: str | None = None


def list_articles(source: Path, marker: str | None) -> Iterator[Listed | LeftOut]:
    """Yield the articles of an index or a folder, each file once, and what is left out.

    marker: text of the line after which the index begins; None takes one of the usual markers, or all of the file.
    Raises `DataError` when `source` is missing, is no index, or has no line with `marker`.
    """
    if source.is_dir():
        if marker is not None:
            raise DataError(f"{source}: is a folder; a marker needs an index file, such as its README.md")
        return _without_repeats(_of_folder(source))
    if not source.exists():
        raise DataError(f"{source}: no such file or folder; expected a README index or a folder of Markdown")
    return _without_repeats(_of_index(source, marker))


def _without_repeats(found: Iterator[Listed | LeftOut]) -> Iterator[Listed | LeftOut]:
    seen: set[str] = set()
    for article in found:
        if isinstance(article, Listed):
            if article.name in seen:
                yield LeftOut(article.name, "", "listed twice", article.title)
                continue
            seen.add(article.name)
        yield article


def _of_folder(folder: Path) -> Iterator[Listed | LeftOut]:
    found = False
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "node_modules")
        for name in sorted(names):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                found = True
                yield _inside(folder, Path(parent, name).relative_to(folder).as_posix(), "", None)
    if not found:
        raise DataError(f"{folder}: no Markdown in it (files ending in {', '.join(SUFFIXES)})")


def _of_index(index: Path, marker: str | None) -> Iterator[Listed | LeftOut]:
    lines = _index_lines(index)
    entries = [(number, match) for number, line in _after_marker(lines, index, marker) if (match := _LINE.match(line))]
    if not entries:
        raise DataError(
            f"{index}: no index entry in it, expected lines such as `##### path.md   [《title》](path.md)`; "
            f"for all Markdown files below it give the folder: {index.parent}"
        )
    for number, match in entries:
        target = match["bracketed"] if match["bracketed"] is not None else match["bare"]
        where = f"{index.name}:{number}"
        if not target or target.startswith("#"):
            continue
        title = bare_title(read_inline(match["title"]).text) or None
        if _ELSEWHERE.match(target):
            yield LeftOut(target, where, "the index links to another site", title)
        else:
            yield _inside(index.parent, _path_of(index.parent, target), where, title)


def _index_lines(index: Path) -> list[str]:
    try:
        if not index.is_file():
            raise DataError(f"{index}: is no regular file; expected a README index or a folder of Markdown")
        if index.stat().st_size > _MAX_INDEX_BYTES:
            raise DataError(f"{index}: over {_MAX_INDEX_BYTES // 2**20} MiB, which is no index of articles")
        return _LINE_END.split(decode(index.read_bytes(), str(index)))
    except OSError as error:
        raise DataError(f"{index}: can't be read ({error.strerror or error})") from error


def _after_marker(lines: list[str], index: Path, marker: str | None) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines that the index is in."""
    markers = (marker,) if marker is not None else USUAL_MARKERS
    at = next((at for at, line in enumerate(lines) if any(text in line for text in markers)), None)
    if at is None and marker is not None:
        raise DataError(
            f"{index}: no line holds the marker {excerpt(marker)}; give the text of the line above the index"
        )
    start = 0 if at is None else at + 1
    return iter(list(enumerate(lines, start=1))[start:])


def _path_of(folder: Path, target: str) -> str:
    """Return the path that a link means: URL escapes undone, unless the file is really called so."""
    readings: tuple[Callable[[str], str], ...] = (
        unquote,
        str,
        lambda text: unquote(text.partition("#")[0].partition("?")[0]),
    )
    paths = [reading(target) for reading in readings]
    return next((path for path in paths if _exists(folder / path)), paths[-1])


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        return False


def _inside(folder: Path, path: str, where: str, title: str | None) -> Listed | LeftOut:
    """Return the article at `path` if it is a file that lies, links followed, in the folder."""
    try:
        root, file = folder.resolve(), (folder / path).resolve()
        if not file.is_relative_to(root) or Path(path).is_absolute():
            return LeftOut(path, where, "the path leads out of the folder", title)
        if not file.exists():
            return LeftOut(path, where, "the file is missing", title)
        if not file.is_file():
            return LeftOut(path, where, "the path is no file", title)
    except (OSError, ValueError, RuntimeError):  # too long for a name, a zero byte, links in a circle
        return LeftOut(path, where, "the path is no file's name", title)
    return Listed(file, file.relative_to(root).as_posix(), title)
