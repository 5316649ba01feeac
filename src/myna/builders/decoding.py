"""Which encoding a file of text is in: UTF-8, what a byte order mark says, or GB18030 as Chinese editors leave it.

Bytes or a path go in; the text, a codec's name, or why there is neither comes out. Knows nothing of what it means.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, TextIO, TypeAlias, cast

from myna.errors import DataError

_Blocks: TypeAlias = Callable[[], Iterator[bytes]]
"""Gives the bytes of a file from its beginning, as often as it is called."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with UTF-16's mark, so it comes first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GZIP_MAGIC = b"\x1f\x8b"
_BLOCK_BYTES = 2**16
_SAMPLE_CHARACTERS = 2**16
_EVERYDAY_SHARE = 0.9
"""GB18030 decodes nearly any bytes; but of real Chinese text nearly everything is in GB2312's small table."""


def decode(content: bytes, name: str) -> str:
    """Return the text in `content`. Raises `DataError`, beginning with `name`, when it is in no encoding we know."""
    return content.decode(_encoding(lambda: iter((content,)), name))


@contextmanager
def open_text(path: Path, *, newline: Literal["", "\n"] = "") -> Iterator[TextIO]:
    """Open a file of text, packed with gzip or not, in the encoding it is in; line ends stay as they are.

    newline: what ends a line: a line feed, a carriage return or both (`""`), or a line feed alone. The file is read
    once before to find the encoding, a block at a time. Raises `DataError` when it can't be read, is a damaged gzip
    file, or is in no encoding we know.
    """
    try:
        codec = _encoding(lambda: _blocks(path), str(path))
        packed = _open(path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged or truncated gzip file ({error}); fetch or pack it again") from error
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror or error})") from error
    with packed, io.TextIOWrapper(packed, encoding=codec, newline=newline) as file:
        yield file


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP_MAGIC
    return cast("BinaryIO", gzip.open(path, "rb")) if packed else path.open("rb")


def _blocks(path: Path) -> Iterator[bytes]:
    with _open(path) as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _encoding(blocks: _Blocks, name: str) -> str:
    first = next(blocks(), b"")
    codec = next((codec for mark, codec in _MARKS if first.startswith(mark)), "utf-8")
    wrong = _first_wrong_byte(blocks(), codec)
    if codec == "utf-8" and b"\0" in first:
        raise DataError(f"{name}: holds zero bytes, so it is no text; expected UTF-8")
    if wrong is None:
        return codec
    if codec == "utf-8" and _reads_as_chinese(blocks()):
        return "gb18030"
    also = " and the file is not GB18030 either" if codec == "utf-8" else ""
    raise DataError(
        f"{name}: byte {wrong + 1:,} is not {codec.removesuffix('-sig').upper()},{also}; save it as UTF-8 "
        "(iconv -f OLD-ENCODING -t UTF-8 old > new)"
    )


def _first_wrong_byte(blocks: Iterator[bytes], codec: str) -> int | None:
    decoder = codecs.getincrementaldecoder(codec)()
    position = 0
    for block in _with_end(blocks):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            return max(0, position - pending) + error.start
        position += len(block)
    return None


def _with_end(blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield from blocks
    yield b""


def _reads_as_chinese(blocks: Iterator[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("gb18030")()
    others: list[str] = []
    for block in _with_end(blocks):
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError:
            return False
        if len(others) < _SAMPLE_CHARACTERS:
            others += [character for character in text if not character.isascii()]
    everyday = sum(1 for character in others if _in_gb2312(character))
    return bool(others) and everyday >= _EVERYDAY_SHARE * len(others)


def _in_gb2312(character: str) -> bool:
    try:
        character.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True
