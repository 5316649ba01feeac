"""Orders and limits in English: "from oldest to youngest", "the three tallest students", "Which car has …?".

A reading with ORDER BY in, phrases out. Knows no groups.
"""

from __future__ import annotations

from myna.builders.database.choice import Chooser
from myna.builders.database.english import forms
from myna.builders.database.english.conditions import Conditions, extreme
from myna.builders.database.english.things import Nouns, Unsayable
from myna.builders.database.lexicon import Lexicon
from myna.builders.database.query import Aggregate, Arithmetic, ColumnOf, Item, Order, Rows
from myna.builders.database.reading import Reading
from myna.builders.database.vocabulary import scale_of
from myna.builders.database.words import number_word

_ENDS = {
    "highest": ("highest", "lowest"),
    "latest": ("latest", "earliest"),
    "largest": ("largest", "smallest"),
    "longest": ("longest", "shortest"),
}


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
        directions = ["descending" if order.descending else "ascending" for order in orders]
        if len(orders) == 2:
            return self._choose.form(forms.THEN, c=names[0], direction=directions[0], d=names[1], other=directions[1])
        if len(orders) > 2:
            raise Unsayable
        first, last = self._ends(orders[0])
        if first == "A":
            return self._choose.form(forms.ALPHABETICAL[orders[0].descending], c=names[0])
        return self._choose.form(forms.SORTED, c=names[0], direction=directions[0], first=first, last=last)

    def first_few(self, reading: Reading) -> str:
        """Return the rows that a limit leaves, or all: "the three tallest students in Berlin"."""
        query = reading.query
        if query.limit is None:
            return self._nouns.noun(reading.things).text
        noun, order = self._nouns.noun(reading.things, many=query.limit > 1), _only(reading)
        number = "" if query.limit == 1 else f"{number_word(query.limit)} "
        scale = self._scale(order, reading)
        if scale and self._choose.chance(0.7):
            return f"the {number}{scale} {noun.text}"
        name = self._name(order.item, reading)
        first, _ = self._ends(order)
        if first == "A":
            position = "last" if order.descending else "first"
            return f"the {position} {number}{noun.head} in alphabetical order of {name}{noun.continued}"
        # The last three by year may be the latest or the lowest; of a measure nobody doubts it.
        if query.limit > 1 and first not in _ENDS["latest"] and self._choose.chance(0.25):
            among = forms.TOP if order.descending else forms.BOTTOM
            return self._choose.form(among, n=str(query.limit), head=noun.head, rest=noun.continued, c=name)
        return self._choose.form(
            forms.WITH_SUPERLATIVE, n=number, head=noun.head, rest=noun.continued, most=first, c=name
        )

    def which(self, reading: Reading) -> str | None:
        """Return a question for who or which comes first, where only the rows' names are asked for."""
        query, things = reading.query, reading.things
        words = self._lexicon.tables[things.table]
        if words.naming is None or query.select != (ColumnOf(things.table, words.naming),):
            return None
        order, one = _only(reading), query.limit == 1
        noun = self._nouns.noun(things, many=not one)
        number = "" if one else f"{number_word(query.limit or 0)} "
        first, _ = self._ends(order)
        if first == "A":
            return None
        scale = self._scale(order, reading)
        if scale and words.is_person and self._choose.side == "train" and self._choose.chance(0.4):
            question = f"Who {'is' if one else 'are'} the {{n}}{{scale}} {{things}}?"
            self._choose.used.append(question)
            return question.format(n=number, scale=scale, things=noun.text)
        return self._choose.form(
            forms.WHICH_SUPERLATIVE,
            n=number,
            head=noun.head,
            rest=noun.rest,
            has="has" if one else "have",
            most=first,
            c=self._name(order.item, reading),
            naming=self._conditions.column(query.select[0]),
        )

    def _name(self, item: Item, reading: Reading) -> str:
        if isinstance(item, Aggregate | Rows):
            raise Unsayable
        if isinstance(item, Arithmetic):
            return self._conditions.calculated(item)
        name, path = self._conditions.column(item), reading.path(item)
        return self._nouns.of_other(path, name) if path else name

    def _ends(self, order: Order) -> tuple[str, str]:
        """What stands first and what last in an order."""
        if not isinstance(order.item, ColumnOf):
            return ("highest", "lowest") if order.descending else ("lowest", "highest")
        words = self._lexicon.columns[order.item]
        if words.profile.column.kind == "text" and words.profile.role not in ("date", "measure"):
            return "A", "Z"
        high, low = _ENDS[extreme(words, highest=True)]
        return (high, low) if order.descending else (low, high)

    def _scale(self, order: Order, reading: Reading) -> str | None:
        """The adjective of rows that come first: "tallest"."""
        if not isinstance(order.item, ColumnOf) or reading.path(order.item):
            return None
        words = self._lexicon.columns[order.item]
        scale = scale_of(words.english[-1])
        if scale is None or not scale.of_rows or words.profile.role not in ("measure", "date"):
            return None
        return scale.most if order.descending else scale.least


def _only(reading: Reading) -> Order:
    if len(reading.query.order_by) != 1:
        raise Unsayable
    return reading.query.order_by[0]
