"""A condition in Chinese, as the clause that stands before 的: "身高超过170厘米", "在北京", "名叫王军建".

`Condition` and lexicon in, `Clause`s out, every way that is natural. Knows no sentences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from myna.builders.database.chinese import forms
from myna.builders.database.choice import Chooser, Forms
from myna.builders.database.lexicon import ColumnWords, Lexicon
from myna.builders.database.query import (
    AgainstAggregate,
    Arithmetic,
    Between,
    ColumnOf,
    Comparison,
    Condition,
    DatePart,
    Matches,
    Missing,
    OneOf,
    Value,
)
from myna.builders.database.vocabulary import Scale, is_place, scale_of
from myna.builders.database.words import is_chinese

_BLANK = "\x1f"
_NO_BLANK = re.compile(f"^{_BLANK}+|{_BLANK}+$|{_BLANK}+(?=[，。？、“”（）])|(?<=[，。？、“”（）]){_BLANK}+")
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_BARE = re.compile(r"[\w.'’&/-]+(?: [\w.'’&/-]+){0,4}")
_BIRTHS = frozenset(("出生日期", "生日", "出生年份"))
_CALCULATED = {"+": "{l}与{r}之和", "-": "{l}减去{r}的差", "*": "{l}与{r}的乘积", "/": "{l}与{r}的比值"}
_MOST = {
    "数": ("最多", "最少"),
    "数量": ("最多", "最少"),
    "额": ("最高", "最低"),
    "分数": ("最高", "最低"),
    "量": ("最大", "最小"),
    "日期": ("最晚", "最早"),
    "时间": ("最晚", "最早"),
    "年份": ("最晚", "最早"),
    "年龄": ("最大", "最小"),
    "面积": ("最大", "最小"),
    "大小": ("最大", "最小"),
    "年级": ("最高", "最低"),
    "长度": ("最长", "最短"),
    "时长": ("最长", "最短"),
    "体重": ("最重", "最轻"),
}

_FLAGS = {
    "active": ("已启用", "未启用"),
    "available": ("可用", "不可用"),
    "closed": ("已关闭", "未关闭"),
    "deleted": ("已删除", "未删除"),
    "enabled": ("已启用", "未启用"),
    "open": ("开放", "未开放"),
    "paid": ("已付款", "未付款"),
    "public": ("公开", "不公开"),
    "registered": ("已注册", "未注册"),
    "retired": ("已退休", "未退休"),
    "unavailable": ("不可用", "可用"),
    "valid": ("有效", "无效"),
    "visible": ("可见", "不可见"),
}
"""What is said of a row whose flag is set, and of one whose flag is not."""


@dataclass(frozen=True, slots=True)
class Clause:
    """`of_column`: it opens with a column's name, which 的 joins to whose column it is; else it stands by itself."""

    text: str
    of_column: bool
    is_place: bool = False
    """Whether it says where: 九年级 has students, and so has 北京."""


def quoted(text: str) -> str:
    """Return a text in Chinese quotes."""
    return f"“{text}”"


def spaced(text: str) -> str:
    """Mark where blanks stand around a name of Latin letters, unless punctuation does (`written`)."""
    return text if is_chinese(text) else f"{_BLANK}{text}{_BLANK}"


def bare(text: str) -> str:
    """Return a name without the marks of its blanks."""
    return text.replace(_BLANK, "")


def written(text: str) -> str:
    """Write blanks where they are marked. Blanks within values stay as they are."""
    without = _NO_BLANK.sub("", text)
    return re.sub(f"{_BLANK}+", " ", without)


class Conditions:
    """Says conditions that are not about other rows."""

    def __init__(self, lexicon: Lexicon, chooser: Chooser) -> None:
        self._lexicon = lexicon
        self._choose = chooser
        # One sentence writes all its dates in one way, and all its texts.
        self._spelt_dates = chooser.chance(0.4)
        self._quotes = chooser.chance(0.15)

    def column(self, column: ColumnOf) -> str:
        """Return one of a column's names."""
        return spaced(self._choose.usual(self._lexicon.columns[column].chinese))

    def calculated(self, item: Arithmetic) -> str:
        """Return a calculation between columns as a noun: "单价与数量的乘积"."""
        return _CALCULATED[item.operator].format(l=self.column(item.left), r=self.column(item.right))

    def value(self, column: ColumnOf, value: Value, *, unit: bool = True) -> str:
        """Return a value as people write it: a date in Chinese, a number with its unit, other texts as they are."""
        words = self._lexicon.columns[column]
        if isinstance(value, bool):
            return "是" if value else "否"
        if isinstance(value, str):
            date = _DATE.fullmatch(value)
            if date and words.profile.role == "date" and self._spelt_dates:
                return f"{date[1]}年{int(date[2])}月{int(date[3])}日"
            number_like = words.profile.role in ("date", "measure") or value.isdigit()
            bare = number_like or (_BARE.fullmatch(value) and not self._quotes)
            return value if bare else quoted(value)
        text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        if words.chinese[0] == "年龄" and unit and self._choose.chance(0.6):
            return f"{text}岁"
        return f"{text}{words.unit.chinese}" if unit and words.unit and self._choose.chance(0.7) else text

    def clauses(self, condition: Condition, everyone: str) -> list[Clause]:  # noqa: PLR0911 -- one for each kind
        """Return the ways to say a condition; none for what no one would say. `everyone`: the noun of all rows."""
        match condition:
            case Comparison(column=Arithmetic() as column):
                return [self._clause(forms.IS[condition.operator], self.calculated(column), v=str(condition.value))]
            case Comparison(column=ColumnOf() as column):
                return self._flagged(column, condition) or self._compares(column, condition)
            case Between():
                return self._between(condition)
            case Matches():
                among = forms.MATCHES_NOT if condition.negated else forms.MATCHES
                return [self._of(condition.column, among[condition.where], v=quoted(condition.text))]
            case OneOf():
                return self._one_of(condition)
            case Missing():
                return [self._of(condition.column, forms.KNOWN if condition.negated else forms.UNKNOWN)]
            case AgainstAggregate():
                return self._against(condition, everyone)
            case DatePart():
                return self._date_part(condition)
        return []

    def _of(self, column: ColumnOf, among: Forms, **slots: str) -> Clause:
        return self._clause(among, self.column(column), **slots)

    def _clause(self, among: Forms, name: str, **slots: str) -> Clause:
        text = self._choose.form(among, c=name, **slots)
        return Clause(text, text.startswith(name))

    def _flagged(self, column: ColumnOf, condition: Comparison) -> list[Clause]:
        words = self._lexicon.columns[column]
        truth, said = words.truth(condition.value), _FLAGS.get(words.english[-1].removesuffix(" status"))
        if truth is None or said is None or condition.operator not in ("=", "<>"):
            return []
        return [Clause(said[0 if truth == (condition.operator == "=") else 1], False)]

    def _compares(self, column: ColumnOf, condition: Comparison) -> list[Clause]:
        words, operator, value = self._lexicon.columns[column], condition.operator, condition.value
        called = words.value_names(value, "zh") if operator in ("=", "<>") else ()
        if called:
            return self._called(words, value, self._choose.usual(called), negated=operator == "<>")
        text, name = self.value(column, value), words.chinese[0]
        if words.profile.role == "date":
            year = isinstance(value, int) or re.fullmatch(r"\d{4}", value if isinstance(value, str) else "")
            among = forms.YEAR_IS if year and operator in forms.YEAR_IS else forms.DATE_IS
            return [self._of(column, among[operator], v=text)]
        if isinstance(value, str) and not _is_number(value):
            if operator not in forms.TEXT_IS:
                return []
            ways = [self._of(column, forms.TEXT_IS[operator], v=text)]
            if words.is_name and operator == "=":
                return [*ways, Clause(self._choose.form(forms.NAMED, v=text), False)]
            if is_place(words.english[-1]) and operator == "=":
                ways += [Clause(f"在{text}", False, True), Clause(f"位于{text}", False)] if name not in _ORIGINS else []
            return ways
        ways = [self._of(column, forms.IS[operator], v=text)]
        if name == "年龄" and operator == "=" and isinstance(value, int):
            ways.append(Clause(f"{value}岁", False))
        return ways

    def _called(self, words: ColumnWords, value: Value, called: str, *, negated: bool) -> list[Clause]:
        shown = str(value) if not isinstance(value, str) else quoted(value)
        name = self.column(words.column)
        if called not in self._choose.hints:
            self._choose.hints[called] = self._choose.form(forms.HINT, name=called, value=shown, c=name)
        if called.endswith(words.chinese[0]):  # 九年级 is a 年级: to say it twice would be odd
            if negated:
                return [Clause(f"不是{called}", False), Clause(f"不在{called}", False)]
            return [Clause(called, False, True), Clause(f"在{called}", False, True)]
        return [self._of(words.column, forms.TEXT_IS["<>" if negated else "="], v=called)]

    def _between(self, condition: Between) -> list[Clause]:
        words = self._lexicon.columns[condition.column]
        if isinstance(condition.low, str) and words.profile.role != "date" and not _is_number(condition.low):
            return []
        low = self.value(condition.column, condition.low, unit=False)
        high = self.value(condition.column, condition.high)
        return [self._of(condition.column, forms.BETWEEN, low=low, high=high)]

    def _one_of(self, condition: OneOf) -> list[Clause]:
        words = self._lexicon.columns[condition.column]
        said = []
        for value in condition.values:
            called = words.value_names(value, "zh")
            said.append(called[0] if called else self.value(condition.column, value))
        among = forms.NONE_OF if condition.negated else forms.ONE_OF
        slots = {"alternatives": listing(said, "或"), "listed": "、".join(said), "neither": "也不是".join(said)}
        if condition.negated:
            slots["listed"] = listing(said, "或")
        return [self._of(condition.column, among, **slots)]

    def _against(self, condition: AgainstAggregate, everyone: str) -> list[Clause]:
        aggregate, operator = condition.aggregate, condition.operator
        if aggregate.argument != condition.column or aggregate.distinct:
            return []
        words, name = self._lexicon.columns[condition.column], self.column(condition.column)
        if aggregate.function in ("min", "max"):
            most = extreme(words, highest=aggregate.function == "max")
            if operator == "=":
                return [Clause(f"{name}在所有{everyone}中{most}", True)]
            among = forms.DATE_IS if words.profile.role == "date" else forms.IS
            return [self._clause(among[operator], name, v=f"所有{everyone}中{most}的{name}")]
        if aggregate.function != "avg" or operator not in forms.AVERAGE:
            return []
        average = self._choose.one((f"所有{everyone}的平均{name}", f"整体平均{name}"))
        return [self._clause(forms.AVERAGE[operator], name, average=average)]

    def _date_part(self, condition: DatePart) -> list[Clause]:
        name = self.column(condition.column)
        if condition.part == "month":
            if condition.operator != "=":
                return []
            text = str(condition.value) if condition.of is None else f"{condition.of}年{condition.value}"
            born = [Clause(f"{text}月出生", False)] if name in _BIRTHS else []
            return [self._clause(forms.MONTH_IS, name, v=text), *born]
        ways = [self._clause(forms.YEAR_IS[condition.operator], name, v=str(condition.value))]
        if name in _BIRTHS and condition.operator == "=":
            ways.append(Clause(f"{condition.value}年出生", False))
        return ways


_ORIGINS = frozenset(("国家", "家乡"))


def listing(texts: Sequence[str], last: str) -> str:
    """Return "甲、乙和丙"."""
    return texts[0] if len(texts) == 1 else f"{'、'.join(texts[:-1])}{last}{texts[-1]}"


def extreme(words: ColumnWords, *, highest: bool) -> str:
    """Return 最高, or what is said of the column's kind: 最大 for an age, 最晚 for a date."""
    name = words.chinese[0]
    if words.profile.role == "date":
        return "最晚" if highest else "最早"
    ends = next(
        (pair for end, pair in sorted(_MOST.items(), key=lambda item: -len(item[0])) if name.endswith(end)), None
    )
    return (ends or ("最高", "最低"))[0 if highest else 1]


def scale(words: ColumnWords) -> Scale | None:
    """Return the scale on which rows themselves are said to be most: 最贵."""
    found = scale_of(words.english[-1]) or scale_of(words.chinese[0])
    return found if found and found.of_rows and words.profile.role in ("measure", "date") else None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None
