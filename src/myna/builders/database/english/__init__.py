"""A query as an English question: what is asked for, of which rows, in which order, and the sentence around it.

A reading of a query, lexicon and chooser in, a question out, None where there is no natural one. Sentence, object,
conditions, order and groups are chosen independently. Knows no SQL.
"""

from __future__ import annotations

from dataclasses import replace

from myna.builders.database.choice import Chooser, Phrasing
from myna.builders.database.english import forms
from myna.builders.database.english.conditions import Conditions, is_plural, listing
from myna.builders.database.english.groups import Groups
from myna.builders.database.english.orders import Orders
from myna.builders.database.english.quantities import Quantities
from myna.builders.database.english.things import Nouns, Unsayable, possessive
from myna.builders.database.lexicon import Lexicon
from myna.builders.database.query import Aggregate, Arithmetic, ColumnOf, Item, Rows, SetOperation
from myna.builders.database.reading import Reading, one_named, read
from myna.builders.database.words import plural

__all__ = ["say"]

_ONE_PERSON = {
    "age": ("How old is {owner}?",),
    "height": ("How tall is {owner}?",),
    "weight": ("How much does {owner} weigh?",),
    "school": ("Which school does {owner} attend?", "What school does {owner} go to?"),
    "city": ("Which city is {owner} from?",),
    "country": ("Which country is {owner} from?",),
    "grade": ("What grade is {owner} in?", "Which grade is {owner} in?"),
    "date of birth": ("When was {owner} born?",),
    "birthday": ("When was {owner} born?",),
    "email": ("What is {owner}'s email address?",),
    "salary": ("How much does {owner} earn?",),
}
"""Questions of their own for one person's column; of training, since every user asks so."""


def say(reading: Reading, lexicon: Lexicon, chooser: Chooser) -> Phrasing | None:
    """Say a query once, as `chooser` decides; None where nobody would."""
    try:
        sentence = _English(lexicon, chooser).sentence(reading)
    except Unsayable:
        return None
    if chooser.hints and chooser.chance(0.5):
        sentence = " ".join((sentence if sentence[-1] in ".?" else f"{sentence}.", *chooser.hints.values()))
    return Phrasing(_beginning(sentence), tuple(chooser.used[::-1]))


def _beginning(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:] if sentence[-1] in ".?" else sentence


class _English:
    def __init__(self, lexicon: Lexicon, chooser: Chooser) -> None:
        self._lexicon = lexicon
        self._choose = chooser
        self._conditions = Conditions(lexicon, chooser)
        self._nouns = Nouns(lexicon, chooser, self._conditions)
        self._quantities = Quantities(lexicon, chooser, self._conditions, self._nouns)
        self._orders = Orders(lexicon, chooser, self._conditions, self._nouns)

    def sentence(self, reading: Reading) -> str:  # noqa: PLR0911 -- one return for each kind of question
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
        if query.distinct and self._choose.chance(0.5) and not query.order_by:
            return self._which(reading)
        if query.limit is not None and self._choose.chance(0.5):
            question = self._orders.which(reading)
            if question:
                return question
        wanted, several = self._object(reading)
        return self._ask(wanted if query.limit else wanted + self._orders.suffix(reading), several=several)

    def _ask(self, wanted: str, *, several: bool = True) -> str:
        return self._choose.form(forms.ASK, object=wanted, are="are" if several else "is")

    def _several(self, reading: Reading) -> bool:
        """Whether what is selected of one row is several things: "names and ages", "points"."""
        return len(reading.query.select) > 1 or is_plural(self._names(reading, many=False))

    # Columns of rows

    def _names(self, reading: Reading, *, many: bool) -> str:
        """The selected columns: "names and ages"; those of another table with what it is: "school names"."""
        said = [self._name(item, reading, many=many) for item in reading.query.select]
        if len(set(said)) < len(said):
            raise Unsayable
        return listing(said, "and")

    def _name(self, item: Item, reading: Reading, *, many: bool) -> str:
        if isinstance(item, Arithmetic):
            if reading.path(item.left):
                raise Unsayable
            return self._conditions.calculated(item)
        if not isinstance(item, ColumnOf):
            raise Unsayable
        name, path = self._conditions.thing(item), reading.path(item)
        if path:
            name = self._nouns.of_other(path, name)
        return plural(name) if many else name

    def _object(self, reading: Reading) -> tuple[str, bool]:
        """What is asked for of several rows or of the first few in an order, and whether it is several things."""
        query = reading.query
        if any(isinstance(item, Rows) for item in query.select):
            if len(query.select) > 1 or query.distinct:
                raise Unsayable
            return self._choose.form(forms.ALL_OF, things=self._orders.first_few(reading)), False
        if query.limit is not None:
            one = query.limit == 1
            wanted = f"the {self._names(reading, many=not one)} of {self._orders.first_few(reading)}"
            return wanted, not one or self._several(reading)
        things = self._nouns.noun(reading.things).text
        if query.distinct:
            return self._choose.form(forms.DIFFERENT, columns=self._different(reading), things=things), True
        calculated = any(isinstance(item, Arithmetic) for item in query.select)
        if calculated or self._choose.chance(0.3):
            thing = self._nouns.noun(reading.things, many=False).text
            wanted = self._choose.form(forms.OF_EACH, column=self._names(reading, many=False), thing=thing)
            return wanted, self._several(reading)
        names = self._names(reading, many=True)
        own = all(isinstance(item, ColumnOf) and not reading.path(item) for item in query.select)
        if reading.things.plain and own and self._choose.chance(0.15):
            return f"all {possessive(things)} {names}", True
        return self._choose.form(forms.OF_THINGS, columns=names, things=things), True

    def _different(self, reading: Reading) -> str:
        names = self._names(reading, many=True)
        return names if len(reading.query.select) == 1 else f"combinations of {names}"

    def _which(self, reading: Reading) -> str:
        if len(reading.query.select) > 1 or not isinstance(reading.query.select[0], ColumnOf):
            return self._ask(self._object(reading)[0])
        columns, things = self._names(reading, many=True), self._nouns.noun(reading.things).text
        return self._choose.form(forms.WHICH_DIFFERENT, columns=columns, things=things)

    def _of_one(self, reading: Reading) -> str:
        """A question about one row that is named: "How old is Anna?"."""
        select = reading.query.select
        named = one_named(reading.things, self._lexicon) or ""
        owner = self._conditions.value(_naming(reading, self._lexicon), named)
        if any(isinstance(item, Rows) for item in select):
            if len(select) > 1:
                raise Unsayable
            several = self._choose.form(forms.ALL_OF_ONE, owner=owner)
            return self._ask(several, several=False)
        person = self._lexicon.tables[reading.things.table].is_person
        first = select[0]
        if len(select) == 1 and isinstance(first, ColumnOf) and person and self._choose.side == "train":
            own = _ONE_PERSON.get(self._lexicon.columns[first].english[-1])
            if own and not reading.path(first) and self._choose.chance(0.4):
                question = self._choose.one(own)
                self._choose.used.append(question)
                return question.format(owner=owner)
        columns = self._names(reading, many=False)
        wanted = self._choose.form(forms.OF_ONE, owner=owner, column=columns)
        information = wanted.endswith(" information")
        return self._ask(wanted, several=self._several(reading) and not information)

    # Aggregates and set operations

    def _measured(self, reading: Reading) -> str:
        query = reading.query
        if query.order_by or query.limit is not None or query.distinct:
            raise Unsayable
        aggregates = [item for item in query.select if isinstance(item, Aggregate)]
        only = aggregates[0]
        if len(aggregates) == 1 and only.function == "count":
            if isinstance(only.argument, Rows) and self._choose.chance(0.8):
                return self._how_many(reading)
            if only.distinct and isinstance(only.argument, ColumnOf) and self._choose.chance(0.6):
                columns = plural(self._quantities.column(only.argument, reading))
                things = self._nouns.noun(reading.things).text
                return self._choose.form(forms.HOW_MANY_DIFFERENT, columns=columns, things=things)
        return self._ask(f"the {self._quantities.of(aggregates, reading)}", several=len(aggregates) > 1)

    def _how_many(self, reading: Reading) -> str:
        noun = self._nouns.noun(reading.things)
        return self._choose.form(forms.HOW_MANY, things=noun.text, head=noun.head, rest=noun.attached)

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
        names, others = self._names(reading, many=True), self._names(right, many=True)
        things, other_things = (self._nouns.noun(each.things).text for each in (reading, right))
        if things == other_things and names == others:
            raise Unsayable
        wanted = f"the {names} of {things}"
        if reading.things.table == right.things.table and names == others:
            if operation.operator == "intersect":
                return self._choose.form(forms.INTERSECT, columns=names, things=things, others=other_things)
            among = forms.EXCEPT if operation.operator == "except" else forms.UNION
            return self._choose.form(among, object=wanted, others=other_things)
        other = f"{others} of {other_things}"
        if operation.operator == "union":
            return f"{wanted} and the {other}, each only once"
        if operation.operator == "intersect":
            return f"{wanted} that are also {other}"
        return self._choose.form(forms.EXCEPT_OTHER, object=wanted, other=other)


def _naming(reading: Reading, lexicon: Lexicon) -> ColumnOf:
    table = reading.things.table
    return ColumnOf(table, lexicon.tables[table].naming or "")
