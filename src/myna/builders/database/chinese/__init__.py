"""A query as a Chinese question: what is asked for, of which rows, in which order, and the sentence around it.

A reading of a query, lexicon and chooser in, a question out, None where there is no natural one. Knows no SQL.
"""

from __future__ import annotations

from dataclasses import replace

from myna.builders.database.chinese import forms
from myna.builders.database.chinese.conditions import Conditions, listing, written
from myna.builders.database.chinese.groups import Groups
from myna.builders.database.chinese.orders import Orders
from myna.builders.database.chinese.quantities import Quantities
from myna.builders.database.chinese.things import Nouns, Unsayable
from myna.builders.database.choice import Chooser, Phrasing
from myna.builders.database.lexicon import Lexicon
from myna.builders.database.query import Aggregate, Arithmetic, ColumnOf, Item, Rows, SetOperation
from myna.builders.database.reading import Reading, one_named, read

__all__ = ["say"]

_ONE = {
    "年龄": ("{owner}多大了？", "{owner}今年几岁？"),
    "身高": ("{owner}有多高？",),
    "体重": ("{owner}有多重？",),
    "学校": ("{owner}在哪所学校上学？", "{owner}是哪个学校的？"),
    "年级": ("{owner}上几年级？",),
    "城市": ("{owner}在哪个城市？",),
    "国家": ("{owner}来自哪个国家？",),
    "出生日期": ("{owner}是什么时候出生的？",),
    "价格": ("{owner}多少钱？",),
}
"""Questions of their own for one row's column; of training, since every user asks so."""
_PERSONAL = frozenset(("年龄", "身高", "体重", "学校", "年级", "出生日期"))


def say(reading: Reading, lexicon: Lexicon, chooser: Chooser) -> Phrasing | None:
    """Say a query once, as `chooser` decides; None where nobody would."""
    try:
        sentence = _Chinese(lexicon, chooser).sentence(reading)
    except Unsayable:
        return None
    if chooser.hints and chooser.chance(0.5):
        sentence = "".join((sentence if sentence[-1] in "。？" else f"{sentence}。", *chooser.hints.values()))
    return Phrasing(written(sentence), tuple(chooser.used[::-1]))


class _Chinese:
    def __init__(self, lexicon: Lexicon, chooser: Chooser) -> None:
        self._lexicon = lexicon
        self._choose = chooser
        self._conditions = Conditions(lexicon, chooser)
        self._nouns = Nouns(lexicon, chooser, self._conditions)
        self._quantities = Quantities(lexicon, chooser, self._conditions, self._nouns)
        self._orders = Orders(lexicon, chooser, self._conditions, self._nouns)

    def sentence(self, reading: Reading) -> str:
        """Return the question of a reading. Raises `Unsayable`."""
        query = reading.query
        if query.set_operation:
            return self._ask(self._combined(reading, query.set_operation))
        if query.group_by:
            return Groups(self._lexicon, self._choose, self._quantities, self._nouns).sentence(reading)
        if all(isinstance(item, Aggregate) for item in query.select):
            return self._measured(reading)
        if one_named(reading.things, self._lexicon) and not query.order_by and not query.distinct:
            return self._of_one(reading)
        if query.limit is not None and self._choose.chance(0.5):
            question = self._orders.which(reading)
            if question:
                return question
        wanted = self._object(reading)
        order = self._orders.suffix(reading) if query.limit is None else ""
        return self._choose.form(forms.ASK_SORTED, object=wanted + order) if order else self._ask(wanted)

    def _ask(self, wanted: str) -> str:
        """Ask for what is wanted; what already asks ("有哪些") is a question by itself."""
        if "有哪些" in wanted:
            return f"{wanted}？"
        return self._choose.form(forms.ASK_SORTED if "，" in wanted else forms.ASK, object=wanted)

    def _names(self, reading: Reading) -> str:
        said = [self._name(item, reading) for item in reading.query.select]
        if len(set(said)) < len(said):
            raise Unsayable
        return listing(said, "和")

    def _name(self, item: Item, reading: Reading) -> str:
        if not isinstance(item, ColumnOf | Arithmetic):
            raise Unsayable
        return self._quantities.column(item, reading)

    def _object(self, reading: Reading) -> str:
        query = reading.query
        if any(isinstance(item, Rows) for item in query.select):
            if len(query.select) > 1 or query.distinct:
                raise Unsayable
            return self._choose.form(forms.ALL_OF, things=self._orders.first_few(reading))
        names = self._names(reading)
        if query.limit is not None:
            return f"{self._orders.first_few(reading)}的{names}"
        noun = self._nouns.noun(reading.things)
        if query.distinct:
            columns = names if len(query.select) == 1 else f"{names}组合"
            return self._choose.form(forms.DIFFERENT, things=noun.text, columns=columns)
        if not noun.clauses and self._choose.chance(0.2):
            return self._choose.form(forms.OF_EACH, things=noun.text, columns=names, m=noun.measure)
        return self._choose.form(forms.OF_THINGS, things=noun.text, columns=names)

    def _of_one(self, reading: Reading) -> str:
        """A question about one row that is named: "王军建多大了？"."""
        select = reading.query.select
        table = self._lexicon.tables[reading.things.table]
        naming = ColumnOf(table.name, table.naming or "")
        owner = self._conditions.value(naming, one_named(reading.things, self._lexicon) or "")
        if any(isinstance(item, Rows) for item in select):
            if len(select) > 1:
                raise Unsayable
            return self._ask(self._choose.form(forms.ALL_OF, things=owner))
        first = select[0]
        if len(select) == 1 and isinstance(first, ColumnOf) and not reading.path(first):
            name = self._lexicon.columns[first].chinese[0]
            own = _ONE.get(name) if table.is_person or name not in _PERSONAL else None
            if own and self._choose.side == "train" and self._choose.chance(0.4):
                question = self._choose.one(own)
                self._choose.used.append(question)
                return question.format(owner=owner)
        wanted = f"{owner}的{self._names(reading)}"
        if len(select) == 1 and isinstance(first, ColumnOf) and self._lexicon.columns[first].profile.role == "measure":
            return self._choose.form(forms.ASK_VALUE, object=wanted)
        return self._ask(wanted)

    def _measured(self, reading: Reading) -> str:
        query = reading.query
        if query.order_by or query.limit is not None or query.distinct:
            raise Unsayable
        aggregates = [item for item in query.select if isinstance(item, Aggregate)]
        only = aggregates[0]
        if len(aggregates) == 1 and only.function == "count":
            noun = self._nouns.noun(reading.things)
            if isinstance(only.argument, Rows):
                if noun.place and self._choose.chance(0.6):
                    return self._choose.form(forms.HOW_MANY_THERE, place=noun.place, noun=noun.head, m=noun.measure)
                return self._choose.form(forms.HOW_MANY, things=noun.text, m=noun.measure)
            if only.distinct and isinstance(only.argument, ColumnOf):
                name = self._quantities.column(only.argument, reading)
                return self._choose.form(forms.HOW_MANY_DIFFERENT, things=noun.text, c=name)
        return self._choose.form(forms.ASK_NUMBER, object=self._quantities.of(aggregates, reading))

    def _combined(self, reading: Reading, operation: SetOperation) -> str:
        # Sets hold each row once, so that a joined owner's columns can be said of the owner itself.
        left, right = reading.query, read(replace(operation.right, distinct=True), self._lexicon)
        reading = read(replace(left, distinct=True, set_operation=None), self._lexicon) or reading
        if right is None or len(left.select) != len(operation.right.select) or left.order_by or left.limit is not None:
            raise Unsayable
        queries = (left, operation.right)
        if any(query.group_by or query.having for query in queries) or operation.right.set_operation:
            raise Unsayable
        if not all(isinstance(item, ColumnOf) for query in queries for item in query.select):
            raise Unsayable
        names, others = self._names(reading), self._names(right)
        things, other_things = (self._nouns.noun(each.things).text for each in (reading, right))
        if things == other_things and names == others:
            raise Unsayable
        wanted = f"{things}的{names}"
        if reading.things.table == right.things.table and names == others:
            if operation.operator == "intersect":
                return self._choose.form(forms.INTERSECT, columns=names, things=things, others=other_things)
            among = forms.EXCEPT if operation.operator == "except" else forms.UNION
            return self._choose.form(among, object=wanted, others=other_things, columns=names)
        other = f"{other_things}的{others}"
        if operation.operator == "union":
            return f"{wanted}和{other}（去重）"
        if operation.operator == "intersect" and names == others:
            return self._choose.form(forms.INTERSECT, columns=names, things=things, others=other_things)
        if operation.operator == "intersect":
            return f"{wanted}中同时也是{other}的那些"
        return self._choose.form(forms.EXCEPT_OTHER, object=wanted, other=other)
