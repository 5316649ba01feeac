"""Names of columns and tables → words: parts of identifiers, abbreviations, units, plurals, articles, numerals.

`Student_maxSpeedKmh` → ("student", "maximum", "speed") and the unit km/h. Texts go in and out. Knows no schema and no
sentences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


_PARTS = re.compile(
    r"(?<![A-Za-z])[A-Za-z]{1,2}\d+(?![A-Za-z\d])"  # d3, Q1: one word
    r"|IDs(?![a-z])|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+s?(?![a-z])|\d+|[^\W\d_]+"
)
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_ACRONYMS = word_set(
    "id ids gpa url isbn ssn iban vat gdp ip api dna cpu gpu ram pin uuid hr zip fifa gps usb tv icao iata sku vin pdf "
    "xml html sms utc"
)

_ABBREVIATIONS = {
    "acc": "account",
    "acct": "account",
    "addr": "address",
    "amt": "amount",
    "apt": "apartment",
    "attr": "attribute",
    "avg": "average",
    "cat": "category",
    "cnt": "count",
    "cred": "credits",
    "crs": "course",
    "ctry": "country",
    "cust": "customer",
    "dept": "department",
    "desc": "description",
    "dob": "date of birth",
    "emp": "employee",
    "fac": "faculty",
    "fname": "first name",
    "lname": "last name",
    "lang": "language",
    "lat": "latitude",
    "lng": "longitude",
    "loc": "location",
    "max": "maximum",
    "mfr": "manufacturer",
    "mgr": "manager",
    "min": "minimum",
    "msg": "message",
    "nbr": "number",
    "no": "number",
    "num": "number",
    "org": "organization",
    "pct": "percentage",
    "prod": "product",
    "prof": "professor",
    "pwd": "password",
    "qty": "quantity",
    "ref": "reference",
    "stu": "student",
    "tel": "telephone",
    "tot": "total",
    "temp": "temperature",
    "uid": "user ID",
    "univ": "university",
    "yr": "year",
}


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number counts, as written behind it."""

    english: str
    chinese: str


_UNITS = {
    "kmh": Unit("km/h", "公里/小时"),
    "kph": Unit("km/h", "公里/小时"),
    "km/h": Unit("km/h", "公里/小时"),
    "mph": Unit("mph", "英里/小时"),
    "mm": Unit("mm", "毫米"),
    "cm": Unit("cm", "厘米"),
    "厘米": Unit("cm", "厘米"),
    "米": Unit("m", "米"),
    "km": Unit("km", "公里"),
    "公里": Unit("km", "公里"),
    "ft": Unit("feet", "英尺"),
    "feet": Unit("feet", "英尺"),
    "meters": Unit("meters", "米"),
    "metres": Unit("metres", "米"),
    "m": Unit("m", "米"),
    "kg": Unit("kg", "公斤"),
    "公斤": Unit("kg", "公斤"),
    "千克": Unit("kg", "千克"),
    "lb": Unit("pounds", "磅"),
    "lbs": Unit("pounds", "磅"),
    "dollar": Unit("dollars", "美元"),
    "dollars": Unit("dollars", "美元"),
    "usd": Unit("US dollars", "美元"),
    "eur": Unit("euros", "欧元"),
    "cny": Unit("yuan", "元"),
    "rmb": Unit("yuan", "元"),
    "yuan": Unit("yuan", "元"),
    "元": Unit("yuan", "元"),
    "岁": Unit("years", "岁"),
    "ms": Unit("ms", "毫秒"),
    "milliseconds": Unit("milliseconds", "毫秒"),
    "sec": Unit("seconds", "秒"),
    "secs": Unit("seconds", "秒"),
    "seconds": Unit("seconds", "秒"),
    "mins": Unit("minutes", "分钟"),
    "minutes": Unit("minutes", "分钟"),
    "hrs": Unit("hours", "小时"),
    "hours": Unit("hours", "小时"),
    "days": Unit("days", "天"),
    "celsius": Unit("°C", "摄氏度"),
    "fahrenheit": Unit("°F", "华氏度"),
    "mb": Unit("MB", "MB"),
    "gb": Unit("GB", "GB"),
    "kw": Unit("kW", "千瓦"),
    "sqm": Unit("m²", "平方米"),
    "sqft": Unit("square feet", "平方英尺"),
    "billion": Unit("billion", "十亿"),
    "billions": Unit("billion", "十亿"),
    "million": Unit("million", "百万"),
    "millions": Unit("million", "百万"),
}
_ONLY_IN_BRACKETS = frozenset(("m", "mb"))
"""Too short to be a unit at the end of an identifier: `section_m`."""
_BRACKETED = re.compile(r"\s*[(（\[]\s*([^()（）\[\]]{1,12})\s*[)）\]]\s*$")

_DOERS = {
    "created": "creator",
    "designed": "designer",
    "directed": "director",
    "made": "maker",
    "managed": "manager",
    "manufactured": "manufacturer",
    "owned": "owner",
    "produced": "producer",
    "published": "publisher",
    "written": "writer",
}
"""`directed_by` holds a director."""
_NAME_INITIALS = {"f": "first", "l": "last", "m": "middle"}
_MOMENTS = frozenset(("start", "end", "begin", "finish"))
_MOMENT_PARTS = {"min": "minute", "hr": "hour", "sec": "second"}
"""`start_min` is no minimum."""
_SPOKEN = {
    "date from": "start date",
    "date to": "end date",
    "from date": "start date",
    "to date": "end date",
    "state province": "state or province",
    "certification expires": "certification expiry date",
    "expires": "expiry date",
    "dno": "department number",
    "spent": "amount spent",
    "sec ID": "section ID",
    "sec number": "section number",
}
"""Names whose words are in an order, or short in a way, that nobody says."""
_NO_VOWEL = re.compile(r"(?!(?:st|nd|rd|th|vs|mr|mrs|dr|tbl?)$)[b-df-hj-np-tv-xz]{2,4}")
"""Letters that are read out one by one."""
_PREPOSITIONS = word_set("of in per to for at on from by with")

_IRREGULAR = {
    "person": "people",
    "child": "children",
    "man": "men",
    "woman": "women",
    "foot": "feet",
    "tooth": "teeth",
    "mouse": "mice",
    "criterion": "criteria",
    "medium": "media",
    "bus": "buses",
    "status": "statuses",
    "quiz": "quizzes",
    "movie": "movies",
    "cookie": "cookies",
    "calorie": "calories",
    "half": "halves",
    "shelf": "shelves",
    "wife": "wives",
}
_SINGULAR = {plural: singular for singular, plural in _IRREGULAR.items()}
_UNCHANGED = word_set(
    "aircraft data details equipment faculty furniture information news notes postseason series settings "
    "species staff statistics sales weather maintenance attendance fielding batting pitching "
    "people"
)
_SOUNDS_LIKE_YOU = re.compile(r"(?:uni(?!n)|use|usu|euro|one\b|once|ubi|u[rt]i)", re.IGNORECASE)
_SPELT_WITH_VOWEL = re.compile(r"[AEFHILMNORSX](?![a-z])")
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_ORDINALS = [
    "zeroth",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]
_HAN_NUMBERS = ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二"]


def is_chinese(text: str) -> bool:
    """Return whether there is a Chinese character in `text`."""
    return _HAN.search(text) is not None


def identifier_words(name: str) -> tuple[tuple[str, ...], Unit | None]:
    """Return the words of an identifier in lower case, abbreviations written out, and the unit it ends in.

    `numOfStaff` is ("number", "of", "staff"); `Height (cm)` is ("height",) in cm. Acronyms keep their capitals.
    """
    unit = None
    if (bracketed := _BRACKETED.search(name)) and bracketed.start():
        unit = _UNITS.get(bracketed.group(1).casefold())
        name = name[: bracketed.start()]
    mixed = name.upper() != name
    parts = [part if mixed and _is_acronym(part) else part.casefold() for part in _PARTS.findall(name)]
    if unit is None and len(parts) > 1 and parts[-1] in _UNITS and parts[-1] not in _ONLY_IN_BRACKETS:
        unit = _UNITS[parts.pop()]
        if parts[-1] == "in" and len(parts) > 1:
            parts.pop()
    if len(parts) > 1 and parts[-1] == "name" and parts[-2] in _NAME_INITIALS:
        parts[-2] = _NAME_INITIALS[parts[-2]]
    for place in range(1, len(parts)):
        if len(parts[place]) == 1 and parts[place].isascii():
            parts[place] = parts[place].upper()  # class A, not "class a"
        if parts[place - 1] in _MOMENTS and parts[place] in _MOMENT_PARTS:
            parts[place] = _MOMENT_PARTS[parts[place]]
    if len(parts) > 1 and parts[-1] == "by" and parts[-2] in _DOERS:
        parts[-2:] = [_DOERS[parts[-2]]]
    said = " ".join(_written_out(part, alone=len(parts) == 1) for part in parts)
    return tuple(_SPOKEN.get(said, said).split()), unit


def _is_acronym(part: str) -> bool:
    """Whether capitals in a name that has small letters too stand for words: the ACC of `ACC_Home`."""
    return 1 < len(part) < 5 and part.isascii() and part.isupper() and part.casefold() not in {*_UNITS, "dob", "uid"}


def _written_out(part: str, *, alone: bool) -> str:
    if part.isupper() and len(part) > 1:
        return part
    if part in _ACRONYMS:
        return "IDs" if part == "ids" else part.upper()
    if part == "no" and alone:
        return "number"
    if part in _ABBREVIATIONS:
        return _ABBREVIATIONS[part]
    return part.upper() if _NO_VOWEL.fullmatch(part) and part not in _UNITS else part  # PCP, SQL


def numbered(words: tuple[str, ...]) -> str:
    """Join words; what counts something says so: `num employees` is "number of employees"."""
    if len(words) > 1 and words[0] == "number" and words[1] not in _PREPOSITIONS:
        return f"number of {plural(' '.join(words[1:]))}"
    return " ".join(words)


def head_and_rest(noun: str) -> tuple[str, str]:
    """Part a noun phrase before its first preposition: ("date", " of birth")."""
    words = noun.split(" ")
    at = next((place for place, word in enumerate(words) if word in _PREPOSITIONS and 0 < place < len(words) - 1), None)
    return (noun, "") if at is None else (" ".join(words[:at]), f" {' '.join(words[at:])}")


@lru_cache(maxsize=4_096)
def plural(noun: str) -> str:
    """Return the plural of an English noun phrase: its last word, or the one before "of", "per" and the like."""
    head, rest = head_and_rest(noun)
    if rest:
        return f"{plural(head)}{rest}"
    if noun.startswith(("is ", "has ", "was ")):
        return noun
    before, space, last = noun.rpartition(" ")
    return f"{before}{space}{_plural_word(last)}"


def _plural_word(word: str) -> str:
    lower = word.casefold()
    if lower in _IRREGULAR:
        return _IRREGULAR[lower]
    if _has_no_plural(word):
        return word
    if word[-1].isdigit() or (word.isupper() and len(word) > 1):
        return f"{word}s"
    if re.search(r"[^aeiou]y$", lower):
        return f"{word[:-1]}ies"
    if re.search(r"(?:s|x|z|ch|sh)$", lower):
        return word if _looks_plural(lower) else f"{word}es"
    return f"{word}s"


def _has_no_plural(word: str) -> bool:
    """Whether a word stays as it is: a plural, uncountable, or no noun (what is invested, what is available)."""
    lower = word.casefold()
    participle = len(word) > 4 and re.search(r"[^e]ed$", lower) is not None
    known = lower in _UNCHANGED or lower in _SINGULAR or lower in _PREPOSITIONS or lower == "available"
    return known or participle or is_chinese(word) or not word[-1:].isalnum()


def _looks_plural(word: str) -> bool:
    return word.endswith("s") and not re.search(r"(?:ss|us|is|as)$", word)


def singular(noun: str) -> str:
    """Return the singular of an English noun phrase: its last word, or the one before "of", "per" and the like."""
    head, rest = head_and_rest(noun)
    if rest:
        return f"{singular(head)}{rest}"
    before, space, last = noun.rpartition(" ")
    return f"{before}{space}{_singular_word(last)}"


def _singular_word(word: str) -> str:
    lower = word.casefold()
    if lower in _SINGULAR:
        return _SINGULAR[lower]
    if is_chinese(word) or lower in _UNCHANGED or not _looks_plural(lower) or (len(word) < 4 and word != "IDs"):
        return word
    if lower.endswith("ies"):
        return f"{word[:-3]}y"
    if re.search(r"(?:sses|shes|ches|xes|zzes)$", lower):
        return word[:-2]
    return word[:-1]


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun phrase, by its sound: an hour, a university, an ID, a URL."""
    first = noun.split(" ", 1)[0]
    if first.isupper() and len(first) > 1:
        vowel = _SPELT_WITH_VOWEL.match(first) is not None
    else:
        vowel = first[:1].casefold() in tuple("aeiou") and not _SOUNDS_LIKE_YOU.match(first)
        vowel = vowel or first.casefold().startswith(("hour", "honor", "honour", "heir"))
    return f"{'an' if vowel else 'a'} {noun}"


def number_word(number: int) -> str:
    """Return a small count in words, a larger one in digits."""
    return _NUMBERS[number] if 0 <= number < len(_NUMBERS) else str(number)


def ordinal(number: int) -> str | None:
    """Return "ninth" for 9; None above twelve and below one."""
    return _ORDINALS[number] if 0 < number < len(_ORDINALS) else None


def chinese_number(number: int, *, counting: bool = False) -> str:
    """Return a small number in Chinese characters, a larger one in digits. `counting`: 两 before a measure word."""
    if counting and number == 2:
        return "两"
    return _HAN_NUMBERS[number] if 0 <= number < len(_HAN_NUMBERS) else str(number)
