"""Orders and limits in Chinese: "按年龄从大到小", "最高的三名学生", "哪名学生的身高最高？".

A reading with ORDER BY in, phrases out. Knows no groups.
"""

from __future__ import annotations

from myna.builders.database.chinese import forms
from myna.builders.database.chinese.conditions import Conditions, extreme, scale
from myna.builders.database.chinese.things import Nouns, Unsayable
from myna.builders.database.choice import Chooser
from myna.builders.database.lexicon import Lexicon
from myna.builders.database.query import Aggregate, Arithmetic, ColumnOf, Item, Order, Rows
from myna.builders.database.reading import Reading
from myna.builders.database.words import chinese_number


class Orders:
    """Says in which order rows come, and which are the first."""

    def __init__(self, lexicon: Lexicon, chooser: Chooser, conditions: Conditions, nouns: Nouns) -> None:
        self._lexicon = lexicon
        self._choose = chooser
        self._conditions = conditions
        self._nouns = nouns

    def suffix(self, reading: Reading) -> str:
        """Return what is said of the order behind what is asked for; nothing where there is none."""
        orders = reading.query.order_by
        if not orders:
            return ""
        names = [self._name(order.item, reading) for order in orders]
        ways = ["降序" if order.descending else "升序" for order in orders]
        if len(orders) == 2:
            return self._choose.form(forms.THEN, c=names[0], direction=ways[0], d=names[1], other=ways[1])
        if len(orders) > 2:
            raise Unsayable
        if self._alphabetical(orders[0]):
            return self._choose.form(forms.SORTED_TEXT, c=names[0], direction=ways[0])
        first, last = (end.removeprefix("最") for end in self._ends(orders[0]))
        return self._choose.form(forms.SORTED, c=names[0], direction=ways[0], first=first, last=last)

    def first_few(self, reading: Reading) -> str:
        """Return the rows that a limit leaves, or all: "北京最高的三名学生"."""
        query = reading.query
        noun = self._nouns.noun(reading.things)
        if query.limit is None:
            return noun.text
        order = self._only(reading)
        number = "" if query.limit == 1 else f"{chinese_number(query.limit, counting=True)}{noun.measure}"
        name, clauses = self._name(order.item, reading), noun.clauses
        if clauses:
            clauses = f"{clauses.removesuffix('的')}的{noun.head}中" if self._choose.chance(0.7) else f"{clauses}"
        if self._alphabetical(order):
            way = "降序" if order.descending else "升序"
            return (
                f"{clauses}按{name}{way}排第一的{noun.head}"
                if query.limit == 1
                else (f"{clauses}按{name}{way}排前{query.limit}的{noun.head}")
            )
        most, _ = self._ends(order)
        adjective = scale(self._lexicon.columns[order.item]) if isinstance(order.item, ColumnOf) else None
        if adjective and self._choose.chance(0.5) and not reading.path(order.item):  # type: ignore[arg-type]
            word = adjective.chinese_most if order.descending else adjective.chinese_least
            return f"{clauses}{word}的{number}{noun.head}"
        if query.limit > 1 and self._choose.chance(0.3):
            first, last = (end.removeprefix("最") for end in self._ends(order))
            return self._choose.form(forms.TOP, c=name, first=first, last=last, n=str(query.limit), things=noun.text)
        return self._choose.form(forms.SUPERLATIVE, clauses=clauses, c=name, most=most, number=number, noun=noun.head)

    def which(self, reading: Reading) -> str | None:
        """Return a question for who or which comes first, where only the rows' names are asked for."""
        query, things = reading.query, reading.things
        words = self._lexicon.tables[things.table]
        if words.naming is None or query.select != (ColumnOf(things.table, words.naming),):
            return None
        order = self._only(reading)
        if self._alphabetical(order):
            return None
        noun = self._nouns.noun(things)
        return self._choose.form(
            forms.WHICH_SUPERLATIVE,
            n="" if query.limit == 1 else chinese_number(query.limit or 1, counting=True),
            m=noun.measure,
            things=noun.text,
            c=self._name(order.item, reading),
            most=self._ends(order)[0],
        )

    def _name(self, item: Item, reading: Reading) -> str:
        if isinstance(item, Aggregate | Rows):
            raise Unsayable
        if isinstance(item, Arithmetic):
            return self._conditions.calculated(item)
        name, path = self._conditions.column(item), reading.path(item)
        return self._nouns.of_other(path, name) if path else name

    def _alphabetical(self, order: Order) -> bool:
        if not isinstance(order.item, ColumnOf):
            return False
        found = self._lexicon.columns[order.item].profile
        return found.column.kind == "text" and found.role not in ("date", "measure")

    def _ends(self, order: Order) -> tuple[str, str]:
        """What stands first and what last in an order."""
        high, low = "最高", "最低"
        if isinstance(order.item, ColumnOf):
            words = self._lexicon.columns[order.item]
            high, low = extreme(words, highest=True), extreme(words, highest=False)
        return (high, low) if order.descending else (low, high)

    def _only(self, reading: Reading) -> Order:
        if len(reading.query.order_by) != 1:
            raise Unsayable
        return reading.query.order_by[0]
