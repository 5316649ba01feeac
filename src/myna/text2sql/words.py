"""Text → what is compared when a question is held against names and cells: folded words, numbers, keys.

Folding takes away case, width (as NFKC does) and accents. A Chinese character is a word of its own. A key is words
without what stands between them, so that `Wang Junjian`, `wang-junjian` and full-width letters have the same. Knows no
schema and no database.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HAN_CHARACTER = re.compile(f"[{_HAN}]")
_NUMBER = r"[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?"
_WORD = re.compile(rf"(?P<number>{_NUMBER})|[{_HAN}]|(?:(?![{_HAN}])[^\W\d_])+|[^\W_]")
_NAME_PARTS = re.compile(
    rf"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[{_HAN}]|[^\W\d_]+?(?=[{_HAN}]|\b|_)"
)
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_MONTH_NUMBERS = {month[:3].casefold(): number for number, month in enumerate(MONTHS, 1)}
_MONTH = "(?:" + "|".join(f"{month[:3]}(?:{month[3:]})?" for month in MONTHS) + r")\b\.?"
_DATES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![0-9])(?P<year>[0-9]{4})(?:-|年)(?P<month>[0-9]{1,2})(?:-|月)(?P<day>[0-9]{1,2})(?![0-9])",
        rf"(?<![0-9])(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<month>{_MONTH}),? (?P<year>[0-9]{{4}})(?![0-9])",
        rf"\b(?P<month>{_MONTH}) (?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?,? (?P<year>[0-9]{{4}})(?![0-9])",
    )
]
"""2020-01-31, 2020年1月31日, 31 January 2020, Jan 31st, 2020."""
_STOP_WORDS_IN_ENGLISH = (
    "a about after all also am an and any are as at be been before being both but by can could did do does each "
    "every few find for from get give had has have he her here him his how i if in into is it its just least less "
    "list many me more most much my no nor not of off on one only or other our out over per please same she show "
    "so some such tell than that the their them then there these they this those to too under until up us was we "
    "were what when where which while who whom whose why will with without would you your s t"
)
_STOP_WORDS_IN_CHINESE = "名个位的是在有和与或了吗呢谁哪几多少什么这那请我你他她它们中里上下为所及把给被从到"
_COMPARING = re.compile("[高低大小多少早晚等]于")
_STOP_WORDS = frozenset([*_STOP_WORDS_IN_ENGLISH.split(), *_STOP_WORDS_IN_CHINESE])
_CARDINALS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_ORDINALS = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_SMALL = {word: n for listed in (_CARDINALS, _ORDINALS) for n, word in enumerate(listed.split())}
_TEN_NAMES = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * n for n, word in enumerate(_TEN_NAMES.split(), 2)}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_CHINESE_DIGITS = {"零": 0, "〇": 0, "两": 2, **{digit: n for n, digit in enumerate("一二三四五六七八九", 1)}}
_CHINESE_SCALES = {"十": 10, "百": 100, "千": 1_000, "万": 10_000, "亿": 100_000_000}
_CHINESE_NUMBER = re.compile(f"[{''.join(_CHINESE_DIGITS)}{''.join(_CHINESE_SCALES)}]+")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text, folded; `start` and `stop` are its place in the text as it was."""

    text: str
    start: int
    stop: int
    is_number: bool = False

    @property
    def is_stop_word(self) -> bool:
        """Whether it says nothing by itself."""
        return self.text in _STOP_WORDS


@dataclass(frozen=True, slots=True)
class Number:
    """A number that a text names, and its place in it."""

    value: int | float
    start: int
    stop: int


def folded(text: str) -> str:
    """Return `text` without case, width and accents."""
    if text.isascii():
        return text.lower()
    return "".join(filter(_carries, unicodedata.normalize("NFKD", text).casefold()))


def words(text: str) -> list[Word]:
    """Return the words of a text in order."""
    plain, places = text.lower(), None
    if not text.isascii():
        # Folding works on each character alone, so that the places of the original are known.
        pieces = [folded(character) for character in text]
        plain = "".join(pieces)
        places = [place for place, piece in enumerate(pieces) for _ in piece]
    found = []
    for match in _WORD.finditer(plain):
        start, stop = match.start(), match.end() - 1
        if places is not None:
            start, stop = places[start], places[stop]
        number = match["number"]
        found.append(Word(_plain_number(number) if number else match[0], start, stop + 1, bool(number)))
    return found


def key(parts: Sequence[Word]) -> str:
    """Return what all spellings of these words share. Numbers side by side stay apart: 3-2 is not 32."""
    return next(iter(deque(keys(parts), maxlen=1)), "")


def keys(parts: Sequence[Word]) -> Iterator[str]:
    """Yield the key of the first word, of the first two, and so on."""
    written, after_number = "", False
    for word in parts:
        written += f" {word.text}" if after_number and word.is_number else word.text
        after_number = word.is_number
        yield written


def key_of(text: str) -> str:
    """Return the key of a whole text; of one without any words what it is but for its spaces."""
    plain = folded(text)
    together = "".join(plain.split())
    if together.isalpha():
        return together
    return key(words(plain)) or together


def name_words(name: str) -> list[str]:
    """Return the words of an identifier or comment, folded and without plural: `maxSpeedsKmh` → max, speed, kmh."""
    plain = "".join(filter(_carries, unicodedata.normalize("NFKD", name))).replace("_", " ")
    return [singular(part.casefold()) for part in _NAME_PARTS.findall(plain)]


def singular(word: str) -> str:
    """Return an English word without a plural's ending; others as they are."""
    if len(word) > 3 and word.isascii():
        if word.endswith("ies"):
            return word[:-3] + "y"
        if word.endswith(("sses", "shes", "ches", "xes")):
            return word[:-2]
        if word.endswith("s") and not word.endswith(("ss", "us", "is")):
            return word[:-1]
    return word


def is_han(character: str) -> bool:
    """Return whether it is a Chinese character."""
    return _HAN_CHARACTER.match(character) is not None


def is_comparing(text: str) -> bool:
    """Return whether a Chinese text is a word of comparison and nothing else: 高于 is nobody's name."""
    return _COMPARING.fullmatch(text) is not None


def has_han(text: str) -> bool:
    """Return whether there is a Chinese character in it."""
    return not text.isascii() and _HAN_CHARACTER.search(text) is not None


def numbers(text: str) -> list[Number]:
    """Return the numbers that a text names: in digits, in English words, in Chinese ones; ordinals too.

    A number behind a hyphen counts twice, with and without a minus; so does one before "thousand", "million" …
    """
    found = words(text)
    named = []
    for place, word in enumerate(found):
        if word.is_number:
            value = as_number(word.text)
            named.append(Number(value, word.start, word.stop))
            before = text[max(word.start - 2, 0) : word.start]
            if before[-1:] in ("-", "−") and not before[:-1].strip():
                named.append(Number(-value, word.start - 1, word.stop))
            following = found[place + 1] if place + 1 < len(found) else word
            if following.text in _SCALES:
                named.append(Number(value * _SCALES[following.text], word.start, following.stop))
    named += _in_english(found)
    named += [Number(_in_chinese(match[0]), *match.span()) for match in _CHINESE_NUMBER.finditer(text)]
    return named


def dates(text: str) -> list[str]:
    """Return the days that a text names, in English, in Chinese or as ISO 8601 does, in that form: 2020-01-31."""
    found = []
    for match in sorted((match for pattern in _DATES for match in pattern.finditer(text)), key=re.Match.start):
        name = match["month"]
        month = int(name) if name.isdecimal() else _MONTH_NUMBERS[name[:3].casefold()]
        with suppress(ValueError):  # the 31st of February is no day
            found.append(date(int(match["year"]), month, int(match["day"])).isoformat())
    return list(dict.fromkeys(found))


def as_number(digits: str) -> int | float:
    """Return the value of digits as `Word.text` has them."""
    return float(digits) if "." in digits else int(digits[:4000])


def _carries(character: str) -> bool:
    return not unicodedata.combining(character)


def _plain_number(digits: str) -> str:
    """Write a number in one form: 1,234.50 → 1234.5, 2.0 → 2, 007 → 7."""
    whole, _, fraction = digits.replace(",", "").partition(".")
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def _in_english(found: Sequence[Word]) -> Iterator[Number]:
    """Read "ninth", "twenty five", "three hundred and five", "two thousand"."""
    total = current = 0
    first = last = None
    for word in found:
        text = word.text
        if text in _TENS or text in _SMALL:
            current += _TENS.get(text, _SMALL.get(text, 0))
        elif first is not None and text == "hundred":
            current *= 100
        elif first is not None and text in _SCALES:
            total, current = total + current * _SCALES[text], 0
        elif first is not None and text == "and" and (total or current >= 100):
            continue
        else:
            if first is not None and last is not None:
                yield Number(total + current, first.start, last.stop)
            total, current, first = 0, 0, None
            continue
        first, last = first or word, word
    if first is not None and last is not None:
        yield Number(total + current, first.start, last.stop)


def _in_chinese(text: str) -> int:
    """Read 九, 十二, 三百零五, 两万, and digits in a row: 二〇二〇."""
    if not any(character in _CHINESE_SCALES for character in text):
        return int("".join(str(_CHINESE_DIGITS[character]) for character in text[:4000]))
    total = section = digit = 0
    for character in text:
        if character in _CHINESE_DIGITS:
            digit = _CHINESE_DIGITS[character]
        elif (scale := _CHINESE_SCALES[character]) >= 10_000:
            total, section, digit = total + (section + digit or 1) * scale, 0, 0
        else:
            section, digit = section + (digit or 1) * scale, 0
    return total + section + digit
