"""Characters that tell of a text gone wrong on its way: lost, decoded with the wrong table, invisible, or not as meant.

A text goes in; kind and place of the first character of each kind come out. Knows no examples.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
"""C0 and C1 but for tab, line ends (NEL too) and the form feed of old text files."""
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""What makes a text look otherwise than it is (Unicode Technical Report 36; Boucher and Anderson 2021)."""
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff\ufff9-\ufffb]")
"""Without the joiners and direction marks, which Persian, Indic and Hebrew texts and emoji are written with."""
_FULL_WIDTH = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uff9d]")
"""Letters and digits as wide as Chinese characters, and katakana half as wide; punctuation is as it should be."""
_TYPICAL = re.compile("锟斤拷|烫烫烫|屯屯屯|锘|ï»¿")
"""What U+FFFD, uninitialised memory and a byte order mark look like after a detour through GBK or Latin-1."""
_UTF8_AS_WESTERN = re.compile(
    # a first byte of two (Latin-1 and Cyrillic), three or four, and the rest, as Windows-1252 or Latin-1 show them
    "(?:[\u00c2\u00c3][{0}]|(?:[\u00d0\u00d1][{0}]){{2}}|[\u00e0-\u00ef][{0}]{{2}}|\u00f0[{0}]{{3}})".format(
        "\u0080-\u00bf"
        + "".join(bytes([byte]).decode("cp1252", "ignore") for byte in range(0x80, 0xA0)).replace("-", "")
    )
)


def odd_characters(text: str) -> Iterator[tuple[str, int]]:
    """Yield kind and place of the first character of each kind of oddity in `text`."""
    looks = _ASCII_LOOKS if text.isascii() else _LOOKS
    for kind, look in looks.items():
        if (place := look(text)) is not None:
            yield kind, place


def _first(pattern: re.Pattern[str]) -> Callable[[str], int | None]:
    def look(text: str) -> int | None:
        found = pattern.search(text)
        return found.start() if found else None

    return look


def _replacement(text: str) -> int | None:
    place = text.find("\ufffd")
    return None if place < 0 else place


def _mojibake(text: str) -> int | None:
    typical = _TYPICAL.search(text)
    if typical:
        return typical.start()
    return next((found.start() for found in _UTF8_AS_WESTERN.finditer(text) if _was_utf8(found[0])), None)


def _was_utf8(text: str) -> bool:
    """Tell whether these characters are one or two others whose UTF-8 was read as Windows-1252 or Latin-1."""
    original = b"".join(_western_byte(character) for character in text)
    try:
        meant = original.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(unicodedata.category(character)[0] in "LPSN" for character in meant) or meant == "\u00a0"


def _western_byte(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1")


def _not_composed(text: str) -> int | None:
    """Return where a text leaves NFC (Unicode Annex 15), the form that keyboards give and tokenizers know."""
    if unicodedata.is_normalized("NFC", text):
        return None
    composed = unicodedata.normalize("NFC", text)
    return next((place for place, pair in enumerate(zip(text, composed, strict=False)) if pair[0] != pair[1]), 0)


def _mixed_width(text: str) -> int | None:
    wide = _FULL_WIDTH.search(text)
    return wide.start() if wide else None


_ASCII_LOOKS: dict[str, Callable[[str], int | None]] = {"control characters": _first(_CONTROL)}
_LOOKS: dict[str, Callable[[str], int | None]] = {
    "lost characters": _replacement,
    "wrongly decoded text": _mojibake,
    **_ASCII_LOOKS,
    "bidirectional controls": _first(_BIDI),
    "invisible characters": _first(_INVISIBLE),
    "full-width letters": _mixed_width,
    "not in NFC": _not_composed,
}
