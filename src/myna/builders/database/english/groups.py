"""Groups in English: "for each school", "schools with more than 3 students", "Which city has the most …?".

A reading with GROUP BY in, sentences out. Knows no other questions.
"""

from __future__ import annotations

from dataclasses import dataclass

from myna.builders.database.choice import Chooser
from myna.builders.database.english import forms
from myna.builders.database.english.conditions import listing
from myna.builders.database.english.quantities import Quantities
from myna.builders.database.english.things import Nouns, Unsayable
from myna.builders.database.lexicon import Lexicon
from myna.builders.database.query import Aggregate, ColumnOf, Order, Rows
from myna.builders.database.reading import Reading, Things
from myna.builders.database.words import number_word, plural


@dataclass(frozen=True, slots=True)
class _Group:
    """What rows are grouped by, in the singular. `shown`: columns of it that are asked for beyond its name."""

    name: str
    shown: tuple[str, ...] = ()

    several: bool = False
    """Whether rows are grouped by several columns: no one thing has what is asked for, a combination has."""

    @property
    def one(self) -> str:
        """The group as what has something."""
        return f"combination of {self.name}" if self.several else self.name

    @property
    def names(self) -> str:
        """The groups."""
        return f"combinations of {self.name}" if self.several else plural(self.name)


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
        if (query.having and not reading.things.plain) or (query.order_by and query.limit and not reading.things.plain):
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
            things = self._nouns.noun(reading.things).text
            return self._choose.form(forms.HOW_MANY_EACH, things=things, group=group.name)
        quantity = self._quantities.of(aggregates, reading)
        order = self._order(reading, group)
        if group.shown:
            quantity = listing([*group.shown, quantity], "and")
        among = forms.FOR_EACH_SEVERAL if len(aggregates) > 1 or group.shown else forms.FOR_EACH
        sentence = self._choose.form(among, quantity=quantity, group=group.name)
        return _extended(sentence, order)

    def _group(self, reading: Reading, columns: list[ColumnOf]) -> _Group:
        """The groups' noun: "school" where the rows of schools are meant, "city" or "school city" for a column."""
        by = reading.query.group_by
        table = by[0].table
        path = reading.paths[table]
        words = self._lexicon.tables[table]
        if path and {each.table for each in (*by, *columns)} == {table} and self._is_row(by, table):
            name = self._nouns.related(path)
            shown = [self._quantities.name(each) for each in columns if each.column != words.naming]
            whole = words.naming is None or len(columns) > 1
            shown = [self._quantities.name(each) for each in columns] if shown or whole else []
            shown = shown if shown != [name] else []  # a school that is told apart by its column "school"
            return _Group(name, tuple(shown))
        if set(columns) != set(by):
            raise Unsayable
        return _Group(listing([self._quantities.column(column, reading) for column in by], "and"), several=len(by) > 1)

    def _is_row(self, by: tuple[ColumnOf, ...], table: str) -> bool:
        """Whether groups are the rows of a table: they are made by its key, or by its name alone."""
        words = self._lexicon.tables[table]
        return any(each.column == words.key for each in by) or [each.column for each in by] == [words.naming]

    def _first(self, reading: Reading, group: _Group, aggregates: list[Aggregate]) -> str:
        """Which group has the most …; the number too where it is selected."""
        query = reading.query
        order = self._only_order(reading)
        if not isinstance(order.item, Aggregate) or query.having:
            raise Unsayable
        if aggregates not in ([], [order.item]):
            raise Unsayable
        most = self._most(order, order.item, reading)
        limit = query.limit or 1
        if group.shown:
            which = (
                f"{group.name} with the {most}" if limit == 1 else f"{number_word(limit)} {group.names} with the {most}"
            )
            sentence = self._choose.form(
                forms.ASK,
                object=self._shown(group, f"the {which}", limit > 1),
                are="are" if limit > 1 or len(group.shown) > 1 else "is",
            )
        elif limit == 1:
            sentence = self._choose.form(forms.WHICH_GROUP_MOST, group=group.one, most=most)
        else:
            sentence = self._choose.form(forms.WHICH_GROUPS_MOST, n=number_word(limit), groups=group.names, most=most)
        return self._with_quantity(sentence, aggregates, reading)

    def _shown(self, group: _Group, of: str, many: bool) -> str:
        names = [plural(name) if many else name for name in group.shown]
        return f"the {listing(names, 'and')} of {of}"

    def _with_quantity(self, sentence: str, aggregates: list[Aggregate], reading: Reading) -> str:
        if not aggregates:
            return sentence
        quantity = self._quantities.of(aggregates, reading, things=self._nouns.everyone(reading.things.table))
        sentence = sentence if sentence[-1] in ".?" else f"{sentence}."
        return self._choose.form(forms.AND_QUANTITY, sentence=sentence, quantity=quantity)

    def _most(self, order: Order, item: Aggregate, reading: Reading) -> str:
        rows = self._nouns.everyone(reading.things.table)
        if isinstance(item.argument, Rows):
            return f"{'most' if order.descending else 'fewest'} {rows}"
        if item.function == "count":
            if not item.distinct or not isinstance(item.argument, ColumnOf) or item.argument in reading.query.group_by:
                raise Unsayable
            columns = plural(self._quantities.column(item.argument, reading))
            return f"{'most' if order.descending else 'fewest'} different {columns}"
        word = "highest" if order.descending else "lowest"
        bare = self._quantities.bare(item, reading)
        if item.function == ("max" if order.descending else "min"):
            return f"{bare} of {rows}"  # "the highest highest age" is the highest age
        if item.function in ("min", "max"):
            raise Unsayable  # nobody asks for the highest lowest age
        return f"{word} {bare} of {rows}"

    def _having(self, reading: Reading, group: _Group, aggregates: list[Aggregate]) -> str:
        having = reading.query.having
        if having is None or reading.query.order_by:
            raise Unsayable
        rows = self._nouns.everyone(reading.things.table)
        number = str(int(having.value)) if float(having.value).is_integer() else str(having.value)
        if isinstance(having.aggregate.argument, Rows):
            if having.value == 1:
                rows = self._lexicon.tables[reading.things.table].english[0]
            text = self._choose.form(forms.COUNT_OF[having.operator], v=number, c=rows)
        elif having.aggregate.function == "count":
            if not having.aggregate.distinct or having.aggregate.argument in reading.query.group_by:
                raise Unsayable
            columns = self._quantities.column(having.aggregate.argument, reading)
            columns = columns if having.value == 1 else plural(columns)
            counted = self._choose.form(forms.COUNT_OF[having.operator], v=number, c=f"different {columns}")
            text = f"{counted} among their {rows}"
        else:
            bare = self._quantities.bare(having.aggregate, reading)
            article = f"a {bare}" if not bare.startswith(("average", "earliest")) else f"an {bare}"
            text = f"{self._choose.form(forms.OF[having.operator], a_c=article, v=number)} among their {rows}"
        if group.shown:
            wanted = self._shown(group, f"{group.names} with {text}", many=True)
            sentence = self._choose.form(forms.ASK, object=wanted, are="are")
        else:
            sentence = self._choose.form(forms.WHICH_GROUPS, groups=group.names, having=text)
        return self._with_quantity(sentence, aggregates, reading)

    def _order(self, reading: Reading, group: _Group) -> str:
        if not reading.query.order_by:
            return ""
        order = self._only_order(reading)
        if isinstance(order.item, ColumnOf) and order.item in reading.query.group_by:
            way = "descending" if order.descending else "ascending"
            return f", in {way} order of the {self._quantities.column(order.item, reading)}"
        if not isinstance(order.item, Aggregate) or order.item not in reading.query.select:
            raise Unsayable
        if len([item for item in reading.query.select if isinstance(item, Aggregate)]) > 1:
            raise Unsayable
        ends = ("highest", "lowest") if order.descending else ("lowest", "highest")
        return f", sorted from {ends[0]} to {ends[1]}"

    def _only_order(self, reading: Reading) -> Order:
        if len(reading.query.order_by) != 1:
            raise Unsayable
        return reading.query.order_by[0]


def _extended(sentence: str, addition: str) -> str:
    """Put an addition before the sentence's full stop or question mark."""
    return f"{sentence[:-1]}{addition}{sentence[-1]}" if sentence[-1] in ".?" else f"{sentence}{addition}"
