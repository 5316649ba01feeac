"""A condition in English: as what one is ("taller than 170 cm"), has ("a height over 170 cm"), or whose what is what.

`Condition` and lexicon in, `Modifier`s out, every way that is natural. Knows no sentences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from myna.builders.database.choice import Chooser, Forms
from myna.builders.database.english import forms
from myna.builders.database.lexicon import FLAG_ADJECTIVES, ColumnWords, Lexicon
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
from myna.builders.database.vocabulary import is_membership, is_place, scale_of
from myna.builders.database.words import head_and_rest, plural, with_article, word_set
from myna.text2sql.words import MONTHS

_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_BARE = re.compile(r"[A-Z0-9][\w.'’&/-]*(?: (?:of|the|de|la|and|&|[A-Z0-9][\w.'’&/-]*)){0,4}")
_BIRTHS = frozenset(("date of birth", "birth date", "birthday", "birth year", "year of birth"))
_UNCOUNTED = word_set("information sex gender weather experience software data staff")
_CALCULATED = {
    "+": "sum of {l} and {r}",
    "-": "difference between {l} and {r}",
    "*": "product of {l} and {r}",
    "/": "ratio of {l} to {r}",
}


@dataclass(frozen=True, slots=True)
class Modifier:
    """A condition as words: after "is", after "has", or after "whose"."""

    kind: Literal["is", "has", "whose"]
    text: str


def listing(texts: Sequence[str], last: str) -> str:
    """Return "a, b and c"."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {last} {texts[-1]}"


def quoted(text: str) -> str:
    """Return a text in quotes."""
    return f'"{text}"'


class Conditions:
    """Says conditions that are not about other rows."""

    def __init__(self, lexicon: Lexicon, chooser: Chooser) -> None:
        self._lexicon = lexicon
        self._choose = chooser
        # One sentence writes all its dates in one way, and all its texts.
        self._spelt_dates = chooser.chance(0.3)
        self._quotes = chooser.chance(0.15)

    def column(self, column: ColumnOf) -> str:
        """Return one of a column's names."""
        return self._choose.usual(self._lexicon.columns[column].english)

    def thing(self, column: ColumnOf) -> str:
        """Return a column's name as something that a row has: "AVA status" for what is called "is AVA"."""
        name = self.column(column)
        return f"{name.partition(' ')[2]} status" if name.startswith(("is ", "has ")) else name

    def calculated(self, item: Arithmetic) -> str:
        """Return a calculation between columns as a noun: "sum of price and tax"."""
        return _CALCULATED[item.operator].format(l=self.column(item.left), r=self.column(item.right))

    def value(self, column: ColumnOf, value: Value, *, unit: bool = True) -> str:
        """Return a value as people write it: a date in words, a number with its unit, other texts as they are."""
        words = self._lexicon.columns[column]
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            date = _DATE.fullmatch(value)
            if date and words.profile.role == "date":
                spelt = f"{MONTHS[int(date[2]) - 1]} {int(date[3])}, {date[1]}" if 0 < int(date[2]) < 13 else value
                return spelt if self._spelt_dates else value
            number_like = words.profile.role in ("date", "measure") or value.isdigit()
            bare = number_like or (_BARE.fullmatch(value) and not self._quotes and value[-1] != ".")
            return value if bare else quoted(value)
        text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        return f"{text} {words.unit.english}" if unit and words.unit and self._choose.chance(0.7) else text

    def modifiers(self, condition: Condition, everyone: str) -> list[Modifier]:  # noqa: PLR0911 -- one for each kind
        """Return the ways to say a condition; none for what no one would say. `everyone`: all rows, in the plural."""
        match condition:
            case Comparison(column=Arithmetic() as column):
                text = self._choose.form(forms.IS[condition.operator], v=str(condition.value))
                return [Modifier("whose", f"{self.calculated(column)} {text}")]
            case Comparison(column=ColumnOf() as column, operator="=", value=value):
                return self._equals(column, value)
            case Comparison(column=ColumnOf() as column):
                flag = self._lexicon.columns[column].truth(condition.value)
                if flag is not None and condition.operator == "<>" and isinstance(condition.value, int):
                    return self._equals(column, int(not flag))
                return self._compares(column, condition)
            case Between():
                return self._between(condition)
            case Matches():
                among = forms.MATCHES_NOT if condition.negated else forms.MATCHES
                return [self._whose(condition.column, among[condition.where], v=quoted(condition.text))]
            case OneOf():
                return self._one_of(condition)
            case Missing():
                return self._missing(condition)
            case AgainstAggregate():
                return self._against(condition, everyone)
            case DatePart():
                return self._date_part(condition)
        return []

    def _whose(self, column: ColumnOf, among: Forms, **slots: str) -> Modifier:
        return Modifier("whose", agreeing(self.column(column), self._choose.form(among, **slots)))

    def _equals(self, column: ColumnOf, value: Value) -> list[Modifier]:
        words = self._lexicon.columns[column]
        called = words.value_names(value, "en")
        if called:
            return self._called(words, value, self._choose.usual(called))
        text, name = self.value(column, value), self.column(column)
        flag = words.truth(value)
        adjective = name.removesuffix(" status")
        if flag is not None and adjective in FLAG_ADJECTIVES:
            return [Modifier("is", adjective if flag else f"not {adjective}")]
        if flag is not None and name.startswith(("is ", "has ")):
            verb, _, rest = name.partition(" ")
            return [Modifier("is" if verb == "is" else "has", rest if flag else f"{_NO[verb]} {rest}")]
        return [self._whose(column, _is(words)["="], v=text), *self._described(words, value, text, name)]

    def _described(  # noqa: PLR0911 -- one return for each kind of column
        self, words: ColumnWords, value: Value, text: str, name: str
    ) -> list[Modifier]:
        """What one is or has whose column has a value: named Anna, in Berlin, at a school, with a height of 170."""
        if name in _BIRTHS:
            return [Modifier("is", f"born {'on' if '-' in text or ',' in text else 'in'} {text}")]
        if words.is_name:
            among = forms.TITLED if words.english[0] == "title" else forms.NAMED
            return [Modifier("is", self._choose.form(among, v=text))]
        if is_place(name) and isinstance(value, str) and name not in ("room", "department"):
            return [Modifier("is", f"{where} {text}") for where in (("in", "from") if name in _ORIGINS else ("in",))]
        if is_membership(name) and (name != "grade" or not isinstance(value, str) or value.isdigit()):
            where = text if isinstance(value, str) and not value.isdigit() else f"{name} {text}"
            return [Modifier("is", f"{'at' if name in _SCHOOLS else 'in'} {where}")]
        if words.profile.role == "date":
            return []
        if isinstance(value, str) or words.profile.role in ("key", "category", "flag"):
            return [Modifier("has", f"{name} {text}")]
        aged = [Modifier("is", f"{value} years old")] if name == "age" and isinstance(value, int) else []
        return [*aged, *self._has(words.column, forms.OF["="], forms.COUNT_OF["="], text)]

    def _called(self, words: ColumnWords, value: Value, called: str) -> list[Modifier]:
        shown = str(value) if not isinstance(value, str) else quoted(value)
        name = self.column(words.column)
        big = called[:1].upper() + called[1:]
        if called not in self._choose.hints:
            hint = self._choose.form(forms.HINT, name=called, Name=big, value=shown, c=name)
            self._choose.hints[called] = hint
        if is_membership(words.english[-1]) and called.endswith(words.english[-1]):
            return [Modifier("is", f"in {called}")]
        return [Modifier("whose", f"{name} is {called}"), Modifier("has", f"{name} {called}")]

    def _compares(self, column: ColumnOf, condition: Comparison) -> list[Modifier]:
        words, operator, value = self._lexicon.columns[column], condition.operator, condition.value
        called = words.value_names(value, "en") if operator == "<>" else ()
        text = self.value(column, value)
        name = self.column(column)
        if called or operator == "<>":
            return self._differs(words, value, called, text)
        if words.profile.role == "date":
            ways = [self._whose(column, forms.DATE_IS[operator], v=text)]
            when = {">": "after", "<": "before", ">=": "on or after", "<=": "on or before"}[operator]
            return [*ways, Modifier("is", f"born {when} {text}")] if name in _BIRTHS else ways
        if isinstance(value, str) and not _is_number(value):
            return []
        ways = [self._whose(column, forms.IS[operator], v=text)]
        ways += self._has(column, forms.OF[operator], forms.COUNT_OF[operator], text)
        scale = scale_of(words.english[-1])
        if scale and scale.of_rows and operator in (">", "<"):
            ways += [Modifier("is", f"{scale.more if operator == '>' else scale.less} than {text}")] * 2
        return ways

    def _differs(self, words: ColumnWords, value: Value, called: Sequence[str], text: str) -> list[Modifier]:
        if called:
            (said, *_) = self._called(words, value, called[0])
            return [Modifier("is", f"not {said.text}")] if said.kind == "is" else []
        ways = [self._whose(words.column, _is(words)["<>"], v=text)]
        if is_place(words.english[0]) and isinstance(value, str):
            ways.append(Modifier("is", f"not in {text}"))
        return [*ways, *self._has(words.column, forms.OF["<>"], forms.COUNT_OF["<>"], text)]

    def _has(self, column: ColumnOf, of: Forms, count: Forms, text: str) -> list[Modifier]:
        """What one has; only of what has an article: "a height of 170", "more than 5 employees"."""
        name = self.column(column)
        unit = self._lexicon.columns[column].unit
        if name.startswith("number of "):
            number = text.removesuffix(f" {unit.english}") if unit else text
            return [Modifier("has", self._choose.form(count, c=name.removeprefix("number of "), v=number))]
        if not _takes_article(name):
            return []
        return [Modifier("has", self._choose.form(of, a_c=with_article(name), v=text))]

    def _between(self, condition: Between) -> list[Modifier]:
        low = self.value(condition.column, condition.low, unit=False)
        high = self.value(condition.column, condition.high)
        words, name = self._lexicon.columns[condition.column], self.column(condition.column)
        if isinstance(condition.low, str) and words.profile.role != "date" and not _is_number(condition.low):
            return []
        ways = [Modifier("whose", agreeing(name, self._choose.form(forms.BETWEEN_IS, low=low, high=high)))]
        if name.startswith("number of "):
            counted = name.removeprefix("number of ")
            return [*ways, Modifier("has", f"between {low} and {high} {counted}")]
        if _takes_article(name):
            text = self._choose.form(forms.BETWEEN_OF, a_c=with_article(name), low=low, high=high)
            ways.append(Modifier("has", text))
        return ways

    def _one_of(self, condition: OneOf) -> list[Modifier]:
        words = self._lexicon.columns[condition.column]
        said = []
        for value in condition.values:
            called = words.value_names(value, "en")
            said.append(called[0] if called else self.value(condition.column, value))
        among = forms.NONE_OF if condition.negated else forms.ONE_OF
        alternatives, listed = listing(said, "or"), listing(said, "and")
        neither = " nor ".join(said)
        ways = [self._whose(condition.column, among, alternatives=alternatives, listed=listed, neither=neither)]
        if is_place(words.english[0]) and all(isinstance(value, str) for value in condition.values):
            ways.append(Modifier("is", f"{'not ' if condition.negated else ''}in {alternatives}"))
        return ways

    def _missing(self, condition: Missing) -> list[Modifier]:
        name = self.column(condition.column)
        ways = [self._whose(condition.column, forms.KNOWN if condition.negated else forms.UNKNOWN)]
        # "The employees with the lowest salary and a salary" is what nobody says.
        ordered = condition.negated and self._lexicon.columns[condition.column].profile.role in ("measure", "date")
        if _takes_article(name) and not name.startswith("number of ") and not ordered:
            ways.append(Modifier("has", with_article(name) if condition.negated else f"no {name}"))
        return ways

    def _against(self, condition: AgainstAggregate, everyone: str) -> list[Modifier]:
        aggregate, operator = condition.aggregate, condition.operator
        if aggregate.argument != condition.column or aggregate.distinct:
            return []
        words, name = self._lexicon.columns[condition.column], self.column(condition.column)
        if aggregate.function in ("min", "max"):
            most = f"the {extreme(words, highest=aggregate.function == 'max')} {name} of all {everyone}"
            if operator == "=":
                return [Modifier("has", most)]
            return [self._whose(condition.column, _is(words)[operator], v=most)]
        if aggregate.function != "avg" or operator not in forms.ABOVE_AVERAGE:
            return []
        average = f"the average {name} of all {everyone}" if self._choose.chance(0.6) else f"the overall average {name}"
        ways = [self._whose(condition.column, forms.ABOVE_AVERAGE[operator], average=average)]
        scale = scale_of(words.english[-1])
        if scale and scale.of_rows and words.profile.role != "date" and operator in (">", "<"):
            ways.append(
                Modifier("is", f"{scale.more if operator == '>' else scale.less} than the average of all {everyone}")
            )
        return ways

    def _date_part(self, condition: DatePart) -> list[Modifier]:
        name = self.column(condition.column)
        if condition.part == "month":
            if condition.operator != "=" or not 0 < condition.value < 13:
                return []
            text = MONTHS[condition.value - 1] + (f" {condition.of}" if condition.of is not None else "")
        else:
            text = str(condition.value)
        ways = [self._whose(condition.column, forms.IN_YEAR[condition.operator], v=text)]
        if name in _BIRTHS:
            when = {"=": "in", ">": "after", "<": "before", ">=": "in or after", "<=": "in or before"}
            ways.append(Modifier("is", f"born {when[condition.operator]} {text}"))
        return ways


_NO = {"is": "not", "has": "no"}
_ORIGINS = frozenset(("city", "country", "state", "province", "hometown", "town", "region"))
_SCHOOLS = frozenset(("school", "college", "university"))


def extreme(words: ColumnWords, *, highest: bool) -> str:
    """Return "highest" or what is said of the column's kind: latest for dates, largest for sizes."""
    name = words.english[0]
    if words.profile.role == "date" or name.rpartition(" ")[2] in ("year", "date", "time"):
        return "latest" if highest else "earliest"
    scale = scale_of(name)
    if scale and scale.most in ("largest", "longest"):
        return scale.most if highest else scale.least
    if name.startswith("number of ") or (words.unit and words.unit.english in ("seconds", "minutes", "hours", "days")):
        return "largest" if highest else "smallest"
    return "highest" if highest else "lowest"


def agreeing(name: str, verb: str) -> str:
    """Put a verb behind a column's name, in the plural where the name is one: "points are over 9"."""
    if not is_plural(name):
        return f"{name} {verb}"
    first, space, rest = verb.partition(" ")
    return f"{name} {_PLURAL_VERBS.get(first, first.removesuffix('s'))}{space}{rest}"


_PLURAL_VERBS = {"is": "are", "isn't": "aren't", "was": "were", "has": "have", "does": "do", "doesn't": "don't"}


def is_plural(name: str) -> bool:
    """Whether a column's name is a plural: "total points", "show times per day"."""
    last = head_and_rest(name)[0].rpartition(" ")[2].casefold()
    return name.isascii() and last.endswith("s") and not last.endswith(("ss", "us", "is"))


def _is(words: ColumnWords) -> dict[str, Forms]:
    if words.profile.role == "date":
        return forms.DATE_IS
    return forms.IS if words.profile.role == "measure" else forms.IS | forms.TEXT_IS


def _takes_article(name: str) -> bool:
    plain = head_and_rest(name)[0].rpartition(" ")[2].casefold()
    if plain in _UNCOUNTED or not name.isascii() or is_plural(name) or plural(plain) == plain:
        return False
    return not name.startswith(("is ", "has ", "in ", "by ", "to ", "from "))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None
