"""What the tables, columns and values of a database are called by people, in English and in Chinese.

A profile and perhaps a glossary go in; the words come from the glossary, from short comments, and from the names
themselves (`words.py`), in Chinese by a dictionary of common words (`vocabulary.py`) where nothing else is known. What
shares its words with something else has no name that is safe to use, and says so (`ambiguous`). Knows no sentences.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, TypeAlias, TypeVar

from myna.builders.database.glossary import ColumnGlossary, Glossary, TableGlossary, value_key
from myna.builders.database.profile import ColumnProfile, Profile, TableProfile
from myna.builders.database.query import ColumnOf, Join, Value
from myna.builders.database.things import chinese_noun, english_noun
from myna.builders.database.vocabulary import chinese_of, english_of, is_person, measure_word
from myna.builders.database.words import (
    Unit,
    chinese_number,
    identifier_words,
    is_chinese,
    numbered,
    ordinal,
    singular,
    word_set,
)
from myna.databases import Column, Table

Language: TypeAlias = Literal["en", "zh"]

_LONGEST_COMMENT = {"en": 32, "zh": 10}
"""Characters; a longer comment explains and does not name."""
_COMMENT_END = re.compile(r"[,:;.，：；。、\n(（\[]| - ")
_VALUE_IN_COMMENT = re.compile(r"(?<![\w.])(\d{1,3})\s*[=:：-]\s*([^\W\d_]+)")
_NAME_HEADS = word_set("name title 名称 姓名 名字 标题")
_MOMENTS = {
    "founded": "founding",
    "established": "founding",
    "built": "construction",
    "opened": "opening",
    "start": "start",
    "begin": "start",
    "from": "start",
    "end": "end",
    "finish": "end",
    "to": "end",
    "hired": "hire",
    "created": "creation",
    "updated": "update",
    "published": "publication",
    "released": "release",
    "joined": "joining",
    "born": "birth",
    "sold": "sale",
    "ordered": "order",
}
"""What is a date or a year by its values, and does not say so by its name."""
FLAG_ADJECTIVES = word_set(
    "active available unavailable deleted enabled visible public private paid valid open closed retired registered"
)
"""Flags that say what a row is: "active customers"; as a column of its own each is a status."""
_TRUTHS = dict.fromkeys(("1", "true", "y", "yes", "t", "是"), True) | dict.fromkeys(
    ("0", "false", "n", "no", "f", "否"), False
)
_SCHOOL_GRADES = range(1, 13)


@dataclass(frozen=True, slots=True)
class ColumnWords:
    """What a column and its values are called. The first name of a language is the one that is used most."""

    column: ColumnOf
    profile: ColumnProfile
    english: tuple[str, ...]
    chinese: tuple[str, ...]
    unit: Unit | None
    values: Mapping[str, tuple[str, ...]]
    told: Mapping[str, tuple[str, ...]]
    """Those of `values` that nobody could know who was not told, by the glossary or a comment."""
    is_name: bool
    """Whether its value names the row: a person's name, a film's title."""
    ambiguous: bool = False
    """Whether another column of its table has the same words."""

    def names(self, language: Language) -> tuple[str, ...]:
        """Return all names in a language."""
        return self.english if language == "en" else self.chinese

    def truth(self, value: Value) -> bool | None:
        """Return what a value of a flag says; None for other columns, and for other values."""
        return _TRUTHS.get(str(value).casefold()) if self.profile.role == "flag" else None

    def value_names(self, value: Value, language: Language) -> tuple[str, ...]:
        """Return what people call a value in a language; usually nothing but itself, then an empty tuple."""
        named = self.values.get(value_key(value), ())
        return tuple(name for name in named if is_chinese(name) == (language == "zh"))


@dataclass(frozen=True, slots=True)
class TableWords:
    """What a table's rows are called: English in the singular, Chinese with a measure word."""

    name: str
    english: tuple[str, ...]
    chinese: tuple[str, ...]
    is_person: bool
    key: str | None
    naming: str | None
    """The column whose value names a row, where there is just one such."""
    ambiguous: bool = False

    @property
    def measure(self) -> str:
        """The Chinese measure word."""
        return measure_word(self.chinese[0])


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of a database. Tables and columns by the names of the schema."""

    tables: Mapping[str, TableWords]
    columns: Mapping[ColumnOf, ColumnWords]
    references: Mapping[str, tuple[Join, ...]]
    """By table: what its rows refer to."""

    def told_values(self) -> dict[str, dict[str, dict[str, Value]]]:
        """Return the names that values were given, by table, column and name, as `PromptSettings` has them.

        Not those of flags, which questions mean without saying the column's value.
        """
        found: dict[str, dict[str, dict[str, Value]]] = {}
        for place, column in self.columns.items():
            cells = {value_key(cell): cell for cell in column.profile.values if column.truth(cell) is None}
            named = {name: cells[key] for key, names in column.told.items() if key in cells for name in names}
            if named:
                found.setdefault(place.table, {})[place.column] = named
        return found

    def without_told_values(self) -> Self:
        """Return the same without names that values were given: they belong to the values that stand there."""
        columns = {
            place: replace(
                column, values={key: names for key, names in column.values.items() if key not in column.told}, told={}
            )
            for place, column in self.columns.items()
        }
        return replace(self, columns=columns)

    @classmethod
    def of(cls, profile: Profile, glossary: Glossary | None = None) -> Lexicon:
        """Find words for everything in `profile`; those of `glossary` come first."""
        said = (glossary or Glossary()).tables
        schema = {table.name: table for table in profile.schema.tables}
        tables: dict[str, TableWords] = {}
        columns: dict[ColumnOf, ColumnWords] = {}
        for name, found in profile.tables.items():
            own = said.get(name, TableGlossary())
            words = _table_words(schema[name], own)
            has_name = any(
                _without_owner(identifier_words(column)[0], words[0]) == ("name",) for column in found.columns
            )
            of_table = _distinct(
                [
                    _column_words(
                        name, column, own.columns.get(column.column.name, ColumnGlossary()), words, has_name=has_name
                    )
                    for column in found.columns.values()
                ]
            )
            columns |= {each.column: each for each in of_table}
            tables[name] = TableWords(
                name, words[0], words[1], is_person(words[0][0]), found.key, _naming(found, of_table)
            )
        references = {name: found.joins for name, found in profile.tables.items()}
        return cls({each.name: each for each in _distinct(list(tables.values()))}, columns, references)

    def parent(self, join: Join) -> tuple[str, str] | None:
        """Return (child, parent) of a join: the rows of the child refer to one row of the parent. None: unknown."""
        one, other = join.pairs[0][0].table, join.pairs[0][1].table
        pairs = {frozenset(pair) for pair in join.pairs}
        for child, parent in ((one, other), (other, one)):
            for known in self.references.get(child, ()):
                if {frozenset(pair) for pair in known.pairs} == pairs:
                    return child, parent
        return None

    def relation(self, child: str, parent: str, language: Language) -> str:
        """What the row of `parent` is to a row of `child`: `manager_id` refers to a manager, though all are staff."""
        noun = (self.tables[parent].english if language == "en" else self.tables[parent].chinese)[0]
        join = next(known for known in self.references[child] if known.pairs[0][1].table == parent)
        words, _ = identifier_words(join.pairs[0][0].column)
        if len(join.pairs) > 1 or len(words) < 2 or words[-1] not in ("ID", "code", "number", "key"):
            return noun
        role, table_word = words[:-1], self.tables[parent].english[-1]
        if len(role[-1]) < 3 or _is_short_for(role[-1], table_word) or role[-1] == self.tables[child].english[-1]:
            return noun
        if language == "en":
            taken = {name for column, each in self.columns.items() if column.table == child for name in each.english}
            return noun if " ".join(role) in taken or role[-1] == table_word else " ".join(role)
        return noun if role[-1] == table_word else chinese_of(role) or noun

    def is_same(self, child: str, parent: str) -> bool:
        """Whether a row of `child` is a row of `parent`: gymnasts are people, with the same key."""
        key = self.tables[child].key
        return any(
            known.pairs[0][1].table == parent and [left.column for left, _ in known.pairs] == [key]
            for known in self.references[child]
        )

    def referred(self, column: ColumnOf) -> ColumnOf | None:
        """Return the column that `column` alone refers to, if any."""
        for join in self.references.get(column.table, ()):
            if len(join.pairs) == 1 and join.pairs[0][0] == column:
                return join.pairs[0][1]
        return None


def _table_words(table: Table, glossary: TableGlossary) -> tuple[tuple[str, ...], tuple[str, ...]]:
    words, _ = identifier_words(table.name.rpartition(".")[2])
    while len(words) > 1 and words[0] in ("tbl", "tb", "t", "reference"):
        words = words[1:]
    while len(words) > 1 and words[-1] in ("table", "tbl") and len(words[-2]) > 2:
        words = words[:-1]
    base = singular(english_noun(numbered(words))) if words else table.name
    comment = re.sub(r"(表|信息表| table)$", "", _comment_name(table.comment))
    return _both_languages(base, (*glossary.names, comment), as_noun=True)


def _both_languages(
    base: str, told: Iterable[str], *, as_noun: bool = False, known: str | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """English and Chinese names: those told in a language, else the name itself, translated where that is known.

    known: its Chinese, where that is not what its words say.
    """
    names = [name for name in told if name]
    english = [singular(name) if as_noun else name for name in names if not is_chinese(name)]
    chinese = [name for name in names if is_chinese(name)]
    if is_chinese(base):
        chinese.append(base)
        english.append(next((found for name in chinese if (found := english_of(name))), base))
    else:
        english.append(base)
        if not chinese:
            chinese.append(known or (chinese_noun(base) if as_noun else chinese_of(tuple(base.split()))) or base)
    return tuple(dict.fromkeys(english)), tuple(dict.fromkeys(chinese))


def _comment_name(comment: str) -> str:
    """The comment as a name, or nothing: a short one, or the short beginning of one that goes on after a colon."""
    start = _COMMENT_END.split(comment.strip(), maxsplit=1)[0].strip()
    language = "zh" if is_chinese(start) else "en"
    if not start or len(start) > _LONGEST_COMMENT[language] or len(start.split()) > 4:
        return ""
    without_article = re.sub(r"^(?:the|a|an) ", "", start, flags=re.IGNORECASE)
    return without_article if without_article.isupper() or language == "zh" else without_article.lower()


def _column_words(
    table: str,
    found: ColumnProfile,
    glossary: ColumnGlossary,
    owner: tuple[tuple[str, ...], tuple[str, ...]],
    *,
    has_name: bool,
) -> ColumnWords:
    """The words of a column of a table that is called `owner`. has_name: whether the table has a column `name`."""
    column = found.column
    words, unit = identifier_words(column.name)
    words = _without_owner(words, owner[0])
    base = _as_noun(words, found, () if has_name else owner[0]) or column.name
    told = (*glossary.names, _comment_name(column.comment))
    english, chinese = _both_languages(base, told, known=_own_chinese(base, found, owner, has_name=has_name))
    is_name = found.role == "name" and bool({english[0].rpartition(" ")[2], chinese[0][-2:]} & _NAME_HEADS)
    if is_name and is_person(owner[0][0]):
        chinese = tuple("姓名" if name in ("名称", "名字") and base == "name" else name for name in chinese)
    values = _told(found, glossary)
    return ColumnWords(
        ColumnOf(table, column.name),
        found,
        english,
        chinese,
        unit or identifier_words(column.comment)[1] if found.role == "measure" else None,
        _grades(found, english[-1]) | values,
        values,
        is_name and english[0] in _NAMES_OF_ROWS and not (is_person(owner[0][0]) and english[0] == "title"),
    )


def _own_chinese(
    base: str, found: ColumnProfile, owner: tuple[tuple[str, ...], tuple[str, ...]], *, has_name: bool
) -> str | None:
    """The Chinese of a word that has several: a grade of A or 85 is no year of school, a job's title is its name."""
    if base == "grade" and not all(value in _SCHOOL_GRADES for value in found.values):
        return "成绩"
    last = base.rpartition(" ")[2]
    if base == "area" and found.role != "measure":
        return "区域"
    if last in ("enrollment", "attendance") and found.role == "measure" and (known := chinese_of(tuple(base.split()))):
        return f"{known}人数"
    if base == "title" and not has_name and owner[0][-1] not in _TITLED:
        return "头衔" if is_person(owner[0][0]) else "名称"
    return None


_TITLED = word_set("article paper post news document book report thesis story page message email photo")
_NAMES_OF_ROWS = frozenset(("name", "title", "full name", "姓名", "名称", "名字", "标题"))


def _as_noun(words: tuple[str, ...], found: ColumnProfile, owners: tuple[str, ...]) -> str:
    """The words as something that a row has: its name, not "the country of the country"; a founding year."""
    base = numbered(words)
    if base in owners and found.role in ("name", "category", "text"):
        return "name"
    moment = re.sub(r" (?:on|at)$", "", base)  # `joined_on`
    if found.role == "date" and (moment in _MOMENTS or moment != base):
        return f"{_MOMENTS.get(moment, moment)} {'year' if isinstance(found.minimum, int) else 'date'}"
    if base in FLAG_ADJECTIVES and found.role == "flag":
        return f"{base} status"
    return base


def _without_owner(words: tuple[str, ...], owners: tuple[str, ...]) -> tuple[str, ...]:
    """`student_name` of students is a name: what a column is of need not be said again."""
    for owner in owners:
        own = tuple(owner.split())
        if len(words) > len(own) and words[: len(own)] == own and words[len(own)] != "of":
            return words[len(own) :]
        if len(words) == 2 and len(own) == 1 and words[1] in _OFTEN_PREFIXED and _is_short_for(words[0], owner):
            return words[1:]
    return words


_OFTEN_PREFIXED = word_set("ID name code number type status title description")


def _is_short_for(part: str, noun: str) -> bool:
    """Whether a part of a name is a beginning of a noun and no word of its own: `res` for restaurant."""
    return 2 < len(part) < len(noun) and noun.startswith(part) and chinese_of((part,)) is None


def _told(found: ColumnProfile, glossary: ColumnGlossary) -> dict[str, tuple[str, ...]]:
    """Names of values from the glossary, and from a comment like "1=male 2=female"."""
    in_comment = _VALUE_IN_COMMENT.findall(_without_name(found.column))
    if len(in_comment) < 2 or len({word for _, word in in_comment}) < len(in_comment):
        in_comment = []
    return {value: (word,) for value, word in in_comment} | dict(glossary.values)


def _grades(found: ColumnProfile, name: str) -> dict[str, tuple[str, ...]]:
    """Names of the grades of a school."""
    if name != "grade" or not found.values or any(value not in _SCHOOL_GRADES for value in found.values):
        return {}
    return {
        value_key(value): (f"{ordinal(int(value))} grade", f"{chinese_number(int(value))}年级")
        for value in found.values
    }


def _without_name(column: Column) -> str:
    return column.comment if len(column.comment) < 400 else ""


_Named = TypeVar("_Named", ColumnWords, TableWords)


def _distinct(named: Sequence[_Named]) -> list[_Named]:
    """Keep the names that only one of them has; mark as ambiguous what is left without a name of its own.

    Where two English words have the same Chinese (match and game), the English stays in Chinese questions.
    """
    english = _own_names([each.english for each in named])
    chinese = _own_names([each.chinese for each in named])
    return [
        replace(
            each,
            english=own or each.english[:1],
            chinese=han or own or each.chinese[:1],
            ambiguous=not own or not (han or own),
        )
        for each, own, han in zip(named, english, chinese, strict=True)
    ]


def _own_names(named: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    counts = Counter(name.casefold() for names in named for name in {name.casefold() for name in names})
    return [tuple(name for name in names if counts[name.casefold()] == 1) for names in named]


def _naming(found: TableProfile, columns: list[ColumnWords]) -> str | None:
    naming = [each.column.column for each in columns if each.is_name]
    return naming[0] if len(naming) == 1 else None
