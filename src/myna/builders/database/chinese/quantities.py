"""Aggregates in Chinese: "平均年龄", "学生数量", "不同城市的数量".

`Aggregate`s and a reading in, nouns out. Knows no sentences.
"""

from __future__ import annotations

from collections.abc import Sequence

from myna.builders.database.chinese.conditions import Conditions, extreme, listing
from myna.builders.database.chinese.things import Nouns, Unsayable
from myna.builders.database.choice import Chooser
from myna.builders.database.lexicon import Lexicon
from myna.builders.database.query import Aggregate, Arithmetic, ColumnOf, Rows
from myna.builders.database.reading import Reading
from myna.builders.database.words import is_chinese


class Quantities:
    """Says what is counted, summed, averaged."""

    def __init__(self, lexicon: Lexicon, chooser: Chooser, conditions: Conditions, nouns: Nouns) -> None:
        self._lexicon = lexicon
        self._choose = chooser
        self._conditions = conditions
        self._nouns = nouns

    def of(self, aggregates: Sequence[Aggregate], reading: Reading) -> str:
        """Return aggregates of rows: "北京的学生的数量和平均年龄"."""
        things = self._nouns.noun(reading.things).text
        if len(aggregates) == 1 and isinstance(aggregates[0].argument, Rows):
            return f"{things}{'数' if things.endswith('人') else '数量'}"
        measured = self.bare(aggregates, reading)
        one_noun = reading.things.plain and len(aggregates) == 1 and is_chinese(things) and is_chinese(measured[:1])
        return f"{things}{'' if one_noun and self._choose.chance(0.6) else '的'}{measured}"

    def bare(self, aggregates: Sequence[Aggregate], reading: Reading) -> str:
        """Return aggregates without their rows."""
        return listing([self._one(each, reading) for each in aggregates], "以及")

    def column(self, column: ColumnOf | Arithmetic, reading: Reading) -> str:
        """Return what is aggregated, with what it is of where that is another table."""
        if isinstance(column, Arithmetic):
            return self._conditions.calculated(column)
        name, path = self._conditions.column(column), reading.path(column)
        return self._nouns.of_other(path, name) if path else name

    def name(self, column: ColumnOf) -> str:
        """Return a column's name alone."""
        return self._conditions.column(column)

    def ends(self, aggregate: Aggregate, *, descending: bool) -> str:
        """Return what is said of the group with the most or the least of an aggregate."""
        if aggregate.function in ("count", "sum") and not isinstance(aggregate.argument, ColumnOf):
            return "最多" if descending else "最少"
        if aggregate.function == "count":
            return "最多" if descending else "最少"
        if aggregate.function in ("min", "max") or isinstance(aggregate.argument, Arithmetic):
            return "最高" if descending else "最低"
        if isinstance(aggregate.argument, Rows):
            return "最多" if descending else "最少"
        return extreme(self._lexicon.columns[aggregate.argument], highest=descending)

    def _one(self, aggregate: Aggregate, reading: Reading) -> str:
        column = aggregate.argument
        if isinstance(column, Rows):
            return "数量"
        name = self.column(column, reading)
        if aggregate.function == "count":
            return f"不同{name}的数量" if aggregate.distinct else f"有{name}的数量"
        if aggregate.distinct:
            raise Unsayable
        if aggregate.function == "avg":
            return f"平均{name}"
        if aggregate.function == "sum":
            return name if name.startswith("总") else f"{name}总和"
        highest = aggregate.function == "max"
        if isinstance(column, Arithmetic):
            return f"{'最大' if highest else '最小'}的{name}"
        words = self._lexicon.columns[column]
        if words.profile.column.kind == "text" and words.profile.role not in ("date", "measure"):
            raise Unsayable
        joint = "" if is_chinese(name) and not name.startswith("最") else "的"
        return f"{extreme(words, highest=highest)}{joint}{name}"
