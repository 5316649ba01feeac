"""Groups in Chinese: "每所学校", "学生超过3名的学校", "哪个城市的学生数量最多？".

A reading with GROUP BY in, sentences out. Knows no other questions.
"""

from __future__ import annotations

from dataclasses import dataclass

from myna.builders.database.chinese import forms
from myna.builders.database.chinese.conditions import bare, listing
from myna.builders.database.chinese.quantities import Quantities
from myna.builders.database.chinese.things import Nouns, Unsayable
from myna.builders.database.choice import Chooser
from myna.builders.database.lexicon import Lexicon
from myna.builders.database.query import Aggregate, ColumnOf, Order, Rows
from myna.builders.database.reading import Reading, Things
from myna.builders.database.vocabulary import measure_word
from myna.builders.database.words import chinese_number


@dataclass(frozen=True, slots=True)
class _Group:
    """What rows are grouped by. `shown`: columns of it that are asked for beyond its name."""

    name: str
    measure: str
    shown: tuple[str, ...] = ()


class Groups:
    """Says questions over groups of rows."""

    def __init__(self, lexicon: Lexicon, chooser: Chooser, quantities: Quantities, nouns: Nouns) -> None:
        self._lexicon = lexicon
        self._choose = chooser
        self._quantities = quantities
        self._nouns = nouns

    def sentence(self, reading: Reading) -> str:
        """Return the question. Raises `Unsayable`, also where the groups themselves are not asked for."""
        query = reading.query
        aggregates = [item for item in query.select if isinstance(item, Aggregate)]
        columns = [item for item in query.select if isinstance(item, ColumnOf)]
        if len(aggregates) + len(columns) < len(query.select) or not columns or query.distinct:
            raise Unsayable
        if any(each.argument in query.group_by for each in aggregates):
            raise Unsayable  # each group has one value of what it is made by
        group = self._group(reading, columns)
        if (query.having or query.limit) and not reading.things.plain:
            considering = self._nouns.noun(reading.things).text
            every = Reading(query, Things(reading.things.table), reading.paths)
            sentence = self._plain(every, group, aggregates)
            return self._choose.form(forms.CONSIDERING, things=considering, sentence=sentence)
        return self._plain(reading, group, aggregates)

    def _plain(self, reading: Reading, group: _Group, aggregates: list[Aggregate]) -> str:
        query = reading.query
        if query.limit is not None:
            return self._first(reading, group, aggregates)
        if query.having:
            return self._having(reading, group, aggregates)
        if not aggregates:
            raise Unsayable
        counts = len(aggregates) == 1 and isinstance(aggregates[0].argument, Rows)
        if counts and not query.order_by and not group.shown and self._choose.chance(0.5):
            noun = self._nouns.noun(reading.things)
            return self._choose.form(
                forms.HOW_MANY_EACH, things=noun.text, m=noun.measure, gm=group.measure, group=group.name
            )
        quantity = self._quantities.of(aggregates, reading)
        if group.shown:
            quantity = f"{listing(group.shown, '、')}以及{quantity}"
        sentence = self._choose.form(forms.FOR_EACH, quantity=quantity, group=group.name, m=group.measure)
        order = self._order(reading)
        if not order:
            return sentence
        return f"{sentence[:-1]}{order}{sentence[-1]}" if sentence[-1] in "。？" else f"{sentence}{order}"

    def _group(self, reading: Reading, columns: list[ColumnOf]) -> _Group:
        by = reading.query.group_by
        table = by[0].table
        path, words = reading.paths[table], self._lexicon.tables[table]
        is_row = any(each.column == words.key for each in by) or [each.column for each in by] == [words.naming]
        if path and {each.table for each in (*by, *columns)} == {table} and is_row:
            name = self._nouns.related(path)
            shown = len(columns) > 1 or columns[0].column != words.naming
            names = tuple(self._quantities.name(each) for each in columns) if shown else ()
            return _Group(name, measure_word(bare(name)), names if names != (name,) else ())
        if set(columns) != set(by):
            raise Unsayable
        name = "和".join(self._quantities.column(column, reading) for column in by)
        return _Group(name, measure_word(bare(name)) if len(by) == 1 and not reading.path(by[0]) else "个")

    def _first(self, reading: Reading, group: _Group, aggregates: list[Aggregate]) -> str:
        query = reading.query
        order = self._only_order(reading)
        if not isinstance(order.item, Aggregate) or query.having or aggregates not in ([], [order.item]):
            raise Unsayable
        if order.item.argument in query.group_by:
            raise Unsayable
        most = self._quantities.ends(order.item, descending=order.descending)
        quantity = self._measured(order.item, reading)
        asked = quantity
        if order.item.function == ("max" if order.descending else "min"):  # 最高的身高最高 would say it twice
            column = order.item.argument
            if isinstance(column, Rows):
                raise Unsayable
            asked = f"{self._nouns.everyone(reading.things.table)}的{self._quantities.column(column, reading)}"
        elif order.item.function in ("min", "max"):
            raise Unsayable  # nobody asks for the highest lowest age
        limit = query.limit or 1
        number = "" if limit == 1 else chinese_number(limit, counting=True)
        slots = {"group": group.name, "m": group.measure, "quantity": asked, "most": most}
        if group.shown:
            which = f"{asked}{most}的{number}{group.measure if number else ''}{group.name}"
            sentence = self._choose.form(forms.ASK, object=f"{which}的{listing(group.shown, '和')}")
        elif limit == 1:
            sentence = self._choose.form(forms.WHICH_GROUP_MOST, **slots)
        else:
            sentence = self._choose.form(forms.WHICH_GROUPS_MOST, n=number, **slots)
        return self._with_quantity(sentence, aggregates, quantity)

    def _measured(self, aggregate: Aggregate, reading: Reading) -> str:
        every = Reading(reading.query, Things(reading.things.table), reading.paths)
        return self._quantities.of([aggregate], every)

    def _with_quantity(self, sentence: str, aggregates: list[Aggregate], quantity: str) -> str:
        if not aggregates:
            return sentence
        sentence = sentence if sentence[-1] in "。？" else f"{sentence}。"
        return self._choose.form(forms.AND_QUANTITY, sentence=sentence, quantity=quantity)

    def _having(self, reading: Reading, group: _Group, aggregates: list[Aggregate]) -> str:
        having = reading.query.having
        if having is None or reading.query.order_by:
            raise Unsayable
        number = str(int(having.value)) if float(having.value).is_integer() else str(having.value)
        measured = self._measured(having.aggregate, reading)
        if isinstance(having.aggregate.argument, Rows):
            words = self._lexicon.tables[reading.things.table]
            head = self._nouns.everyone(reading.things.table)
            text = self._choose.form(forms.COUNT_IS[having.operator], v=number, m=words.measure, noun=head)
        else:
            if having.aggregate.function == "count" and having.aggregate.argument in reading.query.group_by:
                raise Unsayable
            text = self._choose.form(forms.IS[having.operator], c=measured, v=number)
        if group.shown:
            sentence = self._choose.form(forms.ASK, object=f"{text}的{group.name}的{listing(group.shown, '和')}")
        else:
            sentence = self._choose.form(forms.WHICH_GROUPS, group=group.name, having=text)
        return self._with_quantity(sentence, aggregates, measured)

    def _order(self, reading: Reading) -> str:
        if not reading.query.order_by:
            return ""
        order = self._only_order(reading)
        way = "降序" if order.descending else "升序"
        if isinstance(order.item, ColumnOf) and order.item in reading.query.group_by:
            return f"，按{self._quantities.column(order.item, reading)}{way}排列"
        if not isinstance(order.item, Aggregate) or order.item not in reading.query.select:
            raise Unsayable
        if len([item for item in reading.query.select if isinstance(item, Aggregate)]) > 1:
            raise Unsayable
        return "，从高到低排列" if order.descending else "，从低到高排列"

    def _only_order(self, reading: Reading) -> Order:
        if len(reading.query.order_by) != 1:
            raise Unsayable
        return reading.query.order_by[0]
