"""Rows in English: "the three tallest students in Berlin whose school has a capacity over 500".

`Things` in, noun phrases out. Knows no sentences.
"""

from __future__ import annotations

from dataclasses import dataclass

from myna.builders.database.choice import Chooser
from myna.builders.database.english.conditions import Conditions, Modifier, listing
from myna.builders.database.lexicon import Lexicon
from myna.builders.database.query import InQuery
from myna.builders.database.reading import Located, Path, Things, inner_things, table_of
from myna.builders.database.words import plural

_KINDS = ("is", "has", "whose")
_ATTACHED = frozenset(("in", "at", "from", "with", "whose", "who", "that", "named", "called", "titled"))
"""Words after which the rest of a noun phrase is understood wherever it stands."""


class Unsayable(Exception):  # noqa: N818 – it tells of no error
    """There is no natural way to say a part of the query. Never leaves `phrase`."""


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun phrase in two parts, so that a number or "the tallest" may come before and a verb between.

    who: the relative clause that a bare adjective would stand in: "who are".
    """

    head: str
    rest: str
    who: str

    @property
    def text(self) -> str:
        """Head and rest."""
        return f"{self.head}{self.rest}"

    @property
    def owned(self) -> str:
        """Head and rest behind another "with"."""
        if self.rest.startswith(" with "):
            return f"{self.head} {self.who.split()[0]} have {self.rest.removeprefix(' with ')}"
        return self.text

    @property
    def continued(self) -> str:
        """The rest behind "with the highest age": no second "with", no adjective without its verb."""
        if self.rest.startswith(" with "):
            return f" and {self.rest.removeprefix(' with ')}"
        return self.attached

    @property
    def attached(self) -> str:
        """The rest where it is not right behind the head: no adjective without its verb."""
        first = self.rest.split(" ", 2)[1:2]
        return self.rest if not first or first[0] in _ATTACHED else f" {self.who}{self.rest}"


class Nouns:
    """Says rows."""

    def __init__(self, lexicon: Lexicon, chooser: Chooser, conditions: Conditions) -> None:
        self._lexicon = lexicon
        self._choose = chooser
        self._conditions = conditions

    def noun(self, things: Things, *, many: bool = True) -> Noun:
        """Return rows with their conditions, in the plural unless `many` is False. Raises `Unsayable`."""
        words = self._lexicon.tables[things.table]
        singular = self._choose.usual(words.english)
        head = plural(singular) if many else singular
        choices = [self._modifiers(each) for each in things.conditions]
        who = "who" if words.is_person else "that"
        rest = self._joined(choices, any_of=things.any, who=who, many=many) if choices else ""
        if things.owned is not None:
            joint = f" and {who}" if rest else f" {who}"
            rest += f"{joint} {'have' if many else 'has'} {self.noun(things.owned).owned}"
        return Noun(head, rest, f"{who} {'are' if many else 'is'}")

    def everyone(self, table: str) -> str:
        """Return all rows of a table, in the plural."""
        return plural(self._lexicon.tables[table].english[0])

    def _modifiers(self, located: Located) -> list[Modifier]:
        condition = located.condition
        if isinstance(condition, InQuery):
            found = self._inner(condition)
        else:
            found = self._conditions.modifiers(condition, self.everyone(table_of(condition)))
        if not found:
            raise Unsayable
        if not located.path:
            return found
        whose = self.related(located.path)
        return [Modifier("whose", _of_relation(whose, each)) for each in found]

    def related(self, path: Path) -> str:
        """Return what the rows at the end of a path are to those at its start: "school", "course's teacher"."""
        return "'s ".join(self._lexicon.relation(child, parent, "en") for child, parent in path)

    def of_other(self, path: Path, name: str) -> str:
        """Return a column of a related row: "school name"."""
        whose = self.related(path)
        return name if name == whose or name.startswith(f"{whose} ") else f"{whose} {name}"

    def _inner(self, condition: InQuery) -> list[Modifier]:
        related = inner_things(condition, self._lexicon)
        if related is None:
            raise Unsayable
        how, things = related
        if how == "has":
            noun = self.noun(things).owned
            if self._is_kind(things.table, condition.column.table):
                return [Modifier("is", f"not {noun}" if condition.negated else noun)]
            return [Modifier("has", f"no {noun}" if condition.negated else self._choose.one((noun, f"some {noun}")))]
        inner, outer = things.table, condition.column.table
        if how == "is":
            whose = self._lexicon.relation(outer, inner, "en")
            if not condition.negated and len(things.conditions) == 1 and things.owned is None:
                found = self._modifiers(things.conditions[0])
                return [Modifier("whose", _of_relation(whose, each)) for each in found]
            among = f"the {self.noun(things).text}"
            return [Modifier("whose", f"{whose} is {'not among' if condition.negated else 'one of'} {among}")]
        selected = condition.query.select[0]
        name = self._conditions.column(condition.column)
        other = self._conditions.column(selected)  # type: ignore[arg-type]  # inner_things lets only columns through
        among = f"the {plural(other)} of {self.noun(things).text}"
        return [Modifier("whose", f"{name} is {'not among' if condition.negated else 'among'} {among}")]

    def _is_kind(self, inner: str, outer: str) -> bool:
        """Whether rows of one table are a kind of those of another: gymnasts are people; details are no schools."""
        return self._lexicon.tables[inner].is_person and self._lexicon.is_same(inner, outer)

    def _joined(self, choices: list[list[Modifier]], *, any_of: bool, who: str, many: bool) -> str:
        """Join conditions by and, or; what stands after "or" repeats its verb, so that it can't be misread."""
        if len(choices) == 1:
            return self._alone(self._choose.one(choices[0]), who, many)
        all_whose = [[each for each in ways if each.kind == "whose"] for ways in choices]
        all_verbs = [[each for each in ways if each.kind != "whose"] for ways in choices]
        word = "or" if any_of else "and"
        if all(all_verbs) and self._choose.chance(0.5 if any_of else 0.3):
            verbs = [_verb(self._choose.one(ways), many) for ways in all_verbs]
            return f" {who} {listing(verbs, word)}"
        if all(all_whose) and (any_of or self._choose.chance(0.35)):
            whose = [self._choose.one(ways).text for ways in all_whose]
            return f" whose {listing([whose[0], *(f'whose {each}' for each in whose[1:])], word)}"
        if any_of:
            chosen = [self._choose.one(ways) for ways in choices]
            return f" {listing([_clause(each, who, many) for each in chosen], word)}"
        chosen = sorted((self._choose.one(ways) for ways in choices), key=lambda each: _KINDS.index(each.kind))
        return self._in_turn(chosen, who, many)

    def _alone(self, modifier: Modifier, who: str, many: bool) -> str:
        if modifier.kind == "whose":
            return f" whose {modifier.text}"
        if modifier.kind == "has":
            return f" with {modifier.text}" if self._choose.chance(0.6) else f" {who} {_verb(modifier, many)}"
        return f" {modifier.text}" if self._choose.chance(0.7) else f" {who} {_verb(modifier, many)}"

    def _in_turn(self, chosen: list[Modifier], who: str, many: bool) -> str:
        first = {kind: [each for each in chosen if each.kind == kind] for kind in _KINDS}
        parts = []
        if first["is"]:
            parts.append(f" {listing([each.text for each in first['is']], 'and')}")
        if first["has"]:
            parts.append(f" with {listing([each.text for each in first['has']], 'and')}")
        if first["whose"]:
            whose = [first["whose"][0].text, *(f"whose {each.text}" for each in first["whose"][1:])]
            parts.append(f" whose {listing(whose, 'and')}")
        return "".join(parts)


def possessive(noun: str) -> str:
    """Return "students'" or "Anna's"."""
    return f"{noun}'" if noun.endswith("s") else f"{noun}'s"


def _of_relation(whose: str, modifier: Modifier) -> str:
    if modifier.kind == "whose" and modifier.text.startswith(f"{whose} "):
        return modifier.text  # a school's column "school" is its name
    if modifier.kind == "whose":
        return f"{whose}'s {modifier.text}"
    return f"{whose} {_verb(modifier, many=False)}"


def _verb(modifier: Modifier, many: bool) -> str:
    text = modifier.text.removeprefix("with ")
    if modifier.kind == "is" and text == modifier.text:
        return f"{'are' if many else 'is'} {text}"
    return f"{'have' if many else 'has'} {text}"


def _clause(modifier: Modifier, who: str, many: bool) -> str:
    return f"whose {modifier.text}" if modifier.kind == "whose" else f"{who} {_verb(modifier, many)}"
