"""What a column is for people: a key, a name, a category, a measure, a date, a flag or a text, from its name and cells.

A schema says `number` of an age, a postcode and a primary key alike; nobody asks for the average postcode. A column's
name, its keys and its values go in, its role comes out. Knows no SQL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from myna.builders.database.dates import YEAR_ALONE, date_format
from myna.databases.schema import Column

Role: TypeAlias = Literal["key", "name", "category", "measure", "date", "flag", "text", "other"]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\da-zA-Z_]+|\d+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KEY_ENDINGS = _words(
    "id ids key code uuid guid zip zipcode postcode postal phone telephone tel mobile fax ssn isbn issn sku iban pin "
    "编号 代码 邮编 电话 手机 学号 工号 单号"
)
_SQUASHED_KEYS = _words("stuid empid deptid custid prodid facid pid")
_NUMBERINGS = _words("number no nr num")
"""They number things when they stand last (`room_number`), and count them when they stand first (`num_employees`)."""
_NAME_WORDS = _words(
    "name names title fname lname fullname lastname firstname surname username label 姓名 名称 名字 标题 书名"
)
_CATEGORY_WORDS = _words(
    "type types status state category class level grade kind city country nation nationality county region continent "
    "gender sex color colour party position role department dept major rank tier season language genre industry sector "
    "manufacturer brand model conference division currency result hometown location origin theme religion "
    "类型 类别 状态 性别 城市 国家 省份 省 年级 等级 级别 班级 学校 部门 颜色 品牌 语言 地区"
)
_TEXT_WORDS = _words(
    "description details detail comment comments note notes text content body summary address email url website "
    "remark remarks message abstract 描述 备注 说明 内容 地址 邮箱"
)
_YEAR_WORDS = _words("year yr founded established built opened 年份 年")
_NO_SUM = _words(
    "age rank ranking rating score grade level percent percentage pct rate ratio temperature temp latitude longitude "
    "lat lng lon height position average avg mean speed pressure humidity index version order sequence season "
    "年龄 分数 评分 排名 身高 比例 温度"
)
_NO_AVERAGE = _words("rank ranking latitude longitude lat lng lon index version order sequence 排名")
_FLAGS = ({"t", "f"}, {"y", "n"}, {"yes", "no"}, {"true", "false"}, {"0", "1"}, {"是", "否"})
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_YEARS = range(1500, 2101)
_READABLE = re.compile(r".*[A-Za-zÀ-ÿ][a-zà-ÿ]{2}|.*[\u4e00-\u9fff]{2}", re.DOTALL)
_LONG_TEXT = 60
_FEW = 40
"""More different values than this are no categories, whatever the name says, unless rows repeat them."""


def words_of(name: str) -> list[str]:
    """Split a name into lower-case words: `maxSpeedKmh` → max, speed, kmh."""
    return [word.lower() for word in _WORD.findall(name)]


def can_be_summed(name: str) -> bool:
    """Whether a total of the measure says something."""
    return not _NO_SUM.intersection(words_of(name))


def can_be_averaged(name: str) -> bool:
    """Whether a mean of the measure says something."""
    return not _NO_AVERAGE.intersection(words_of(name))


def looks_like_key(name: str, *, unique: bool = False) -> bool:
    """Whether the name alone speaks of an identifier: `zip_code`, `studentId`; `room_number` where it is unique."""
    words = words_of(name)
    if not words:
        return False
    last = words[-1]
    if _is_one_of([last], _KEY_ENDINGS):
        return True
    alone = len(words) == 1 and last in _NUMBERINGS  # to average it would read as to count
    return alone or last in _SQUASHED_KEYS or (unique and len(words) > 1 and last in _NUMBERINGS)


def role_of(column: Column, cells: Sequence[Any], *, distinct: int, in_key: bool) -> tuple[Role, str | None]:
    """Return a column's role and, for dates, their format (None where the database has a type for them).

    cells: those that are not NULL and no empty texts. distinct: how many different ones. in_key: whether the column is
    a primary key or (part of) a foreign key.
    """
    if not cells or column.kind == "binary" or any(not isinstance(each, str | int | float | Decimal) for each in cells):
        return "other", None
    if column.kind == "boolean" and all(isinstance(each, bool | int) for each in cells):
        return "flag", None
    if all(not isinstance(each, str) for each in cells):
        return _role_of_numbers(column, cells, distinct, in_key)
    texts = [each for each in cells if isinstance(each, str)]
    if len(texts) < len(cells) or column.kind == "other":
        # Texts among numbers compare with neither; a type of the database's own may not compare with a text at all.
        return ("key" if in_key else "other"), None
    if column.kind == "number":
        return "other", None
    return _role_of_texts(column, texts, distinct, in_key)


def _role_of_numbers(
    column: Column, cells: Sequence[int | float | Decimal], distinct: int, in_key: bool
) -> tuple[Role, str | None]:
    words, whole = words_of(column.name), all(isinstance(each, int) for each in cells)
    unique = distinct == len(cells)
    if in_key or (whole and looks_like_key(column.name, unique=unique)):
        return "key", None
    if whole and _YEAR_WORDS.intersection(words) and all(each in _YEARS for each in cells):
        return "date", YEAR_ALONE
    if column.kind == "date":
        return "other", None
    if whole and set(cells) == {0, 1}:
        return "flag", None
    repeated = distinct <= max(2, len(cells) // 2)
    if whole and words and words[-1] in _CATEGORY_WORDS and distinct <= _FEW and repeated:
        return "category", None
    return "measure", None


def _role_of_texts(column: Column, texts: Sequence[str], distinct: int, in_key: bool) -> tuple[Role, str | None]:
    written = date_format(texts)
    if column.kind == "date" or written:
        return ("date" if written else "other"), written
    if {text.lower() for text in texts} in _FLAGS:
        return "flag", None
    if all(map(_UUID.fullmatch, texts)):
        return "key", None
    words = words_of(column.name)
    if in_key or looks_like_key(column.name, unique=distinct == len(texts)):
        return _role_of_text_keys(words, texts, distinct, in_key), None
    return _role_of_words(words, texts, distinct), None


def _role_of_text_keys(words: Sequence[str], texts: Sequence[str], distinct: int, in_key: bool) -> Role:
    """A key that people can read is a name; a code that rows share, and no table explains, is a category."""
    if in_key:
        return "name" if all(map(_READABLE.match, texts)) else "key"
    shared = distinct <= min(len(texts) // 2, _FEW)
    return "category" if shared and words[-1] == "code" else "key"


def _role_of_words(words: Sequence[str], texts: Sequence[str], distinct: int) -> Role:
    long = sum(map(len, texts)) > _LONG_TEXT * len(texts) or any("\n" in text for text in texts)
    if long or _is_one_of(words, _TEXT_WORDS):
        return "text"
    if _is_one_of(words, _NAME_WORDS):
        return "name"
    known = _is_one_of(words, _CATEGORY_WORDS) and distinct <= max(_FEW, len(texts) // 2)
    return "category" if known or distinct <= len(texts) * 0.6 else "text"


def _is_one_of(words: Sequence[str], known: frozenset[str]) -> bool:
    """Whether a word is known; Chinese, which is written without blanks, by its end."""
    return any(word in known or (not word.isascii() and word.endswith(tuple(known))) for word in words)
