"""Chinese characters → pinyin, so that "wang junjian" and "王军建" find each other.

Each character alone, in its commonest reading and without tones: fast, and alike on both sides. Readings are pypinyin's
(https://github.com/mozillazg/python-pinyin), loaded with the first Chinese character.
"""

from __future__ import annotations

from functools import lru_cache

from myna.errors import MissingDependency
from myna.text2sql.words import has_han, is_han


def in_pinyin(text: str) -> str:
    """Return `text` with pinyin for each Chinese character. Raises `MissingDependency` without pypinyin."""
    return "".join(map(_reading, text)) if has_han(text) else text


@lru_cache(maxsize=32_768)
def _reading(character: str) -> str:
    if not is_han(character):
        return character
    try:
        from pypinyin import Style, lazy_pinyin
    except ImportError as error:
        raise MissingDependency("Chinese values are looked up with pypinyin: pip install 'myna[sql]'") from error
    return str(lazy_pinyin(character, style=Style.NORMAL)[0])
