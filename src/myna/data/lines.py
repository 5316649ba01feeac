"""The lines of one JSONL file, plain or gzip, read as a stream: the file is never held in memory.

A path goes in; numbered lines with their place in the file come out, and any of them can be read again by
that place. Byte order marks and CRLF are accepted. Knows nothing of what the lines mean.

Only a newline ends a line, here and in `split_lines`. `str.splitlines` and text files opened with universal newlines
also end one at a carriage return, U+0085, U+2028 and others, which JSON strings and SQL may hold as they are.
"""

from __future__ import annotations

import codecs
import gzip
import os
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from myna.data.example import Source
from myna.data.records import RecordError, read_record
from myna.errors import DataError, ResourceError

MAX_LINE_BYTES = 16 * 2**20
"""No example is this long; a longer line is a file that is not JSONL, and would fill the memory."""

_GZIP_MAGIC = b"\x1f\x8b"
_CONVERT = 'python -c "import json,sys; [print(json.dumps(x, ensure_ascii=False)) for x in json.load(sys.stdin)]"'


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its 1-based number, where it lies in the unpacked file, and its bytes without the line end.

    `content` is None for a line over `MAX_LINE_BYTES`; `length` still says how long it is.
    """

    number: int
    start: int
    length: int
    content: bytes | None


class LineFile:
    """A JSONL file on disk.

    Gzip is recognised by its first bytes and unpacked once, as a stream, into a temporary file that goes when
    this object does. Raises `DataError` when the file is empty, is UTF-16, or is one JSON array, and
    `ResourceError` when there is no room to unpack it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unpacked = path
        try:
            with path.open("rb") as file:
                head = file.read(2)
            if head == _GZIP_MAGIC:
                self._unpacked = _unpack(path)
                weakref.finalize(self, _remove, str(self._unpacked))
            self._begin = self._check_beginning()
        except OSError as error:
            raise DataError(f"{path}: can't be read ({error.strerror or error})") from error

    def scan(self) -> Iterator[Line]:
        """Yield every line that is not blank, in order, holding one at a time."""
        with self._unpacked.open("rb") as file:
            file.seek(self._begin)
            start, number = self._begin, 0
            while raw := file.readline(MAX_LINE_BYTES + 2):
                number += 1
                length = len(raw)
                if length > MAX_LINE_BYTES and not raw.endswith(b"\n"):
                    length += _skip_line(file)
                    yield Line(number, start, length, None)
                elif content := raw.strip(b" \t\r\n"):
                    yield Line(number, start, length, content)
                start += length

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes of one line that `scan` found, without line end."""
        with self._unpacked.open("rb") as file:
            file.seek(start)
            return file.read(length).strip(b" \t\r\n")

    def read_many(self, places: Iterator[tuple[int, int]]) -> Iterator[bytes]:
        """Yield the lines at these places (start, length), opening the file once."""
        with self._unpacked.open("rb") as file:
            for start, length in places:
                file.seek(start)
                yield file.read(length).strip(b" \t\r\n")

    def _check_beginning(self) -> int:
        """Return where the first line begins, after a byte order mark; raise for what is no JSONL file."""
        with self._unpacked.open("rb") as file:
            head = file.read(4)
            if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise DataError(f"{self.path}: the file is UTF-16, expected UTF-8; save it as UTF-8")
            begin = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
            file.seek(begin)
            number = 1
            while block := file.read(65536):
                if text := block.lstrip(b" \t\r\n"):
                    number += block[: len(block) - len(text)].count(b"\n")
                    if text.startswith(b"["):
                        raise DataError(
                            f"{self.path}:{number}: this is a JSON array, expected JSONL: one object a line, "
                            f"no brackets and commas around them; convert it with: {_CONVERT} < old > new"
                        )
                    return begin
                number += block.count(b"\n")
        raise DataError(f"{self.path}: the file is empty, expected one JSON object a line")


def read_objects(path: Path) -> Iterator[tuple[Source, dict[str, Any]]]:
    """Yield the JSON objects of a JSONL file, each with its file and line.

    Raises `DataError` for a file that can't be read, is empty or is no JSONL, and for a line that is too long or holds
    no JSON object.
    """
    for line in LineFile(path).scan():
        source = Source(str(path), line.number)
        try:
            yield source, read_record(line_content(line, source))
        except RecordError as error:
            raise DataError(f"{source}: {error}") from error


def line_content(line: Line, source: Source) -> bytes:
    """Return the bytes of a line. Raises `DataError` when it is over `MAX_LINE_BYTES`."""
    if line.content is None:
        raise DataError(
            f"{source}: the line has {line.length:,} bytes, expected at most {MAX_LINE_BYTES:,}; "
            "is this one JSON document instead of one object a line? Split a long text into several examples"
        )
    return line.content


def split_lines(text: str) -> list[str]:
    """Return the lines of a text without their ends, `\\n` or `\\r\\n`; after the last end no line begins."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _skip_line(file: BinaryIO) -> int:
    """Read to the end of an over-long line in pieces; return how many bytes that were."""
    skipped = 0
    while rest := file.readline(2**20):
        skipped += len(rest)
        if rest.endswith(b"\n"):
            break
    return skipped


def _unpack(path: Path) -> Path:
    descriptor, name = tempfile.mkstemp(prefix="myna-", suffix=".jsonl")
    try:
        with gzip.open(path, "rb") as packed, os.fdopen(descriptor, "wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 2**20)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        _remove(name)
        raise DataError(f"{path}: damaged or truncated gzip file ({error}); fetch or pack it again") from error
    except OSError as error:
        _remove(name)
        raise ResourceError(
            f"{path}: can't be unpacked into {tempfile.gettempdir()} ({error.strerror}); "
            "free some space there or set TMPDIR to a larger disk"
        ) from error
    return Path(name)


def _remove(name: str) -> None:
    Path(name).unlink(missing_ok=True)
