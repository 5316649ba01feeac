"""Aggregates in English: "average age of students", "number of different cities".

`Aggregate`s and a reading in, nouns out, without an article. Knows no sentences.
"""

from __future__ import annotations

from collections.abc import Sequence

from myna.builders.database.choice import Chooser
from myna.builders.database.english.conditions import Conditions, extreme, listing
from myna.builders.database.english.things import Nouns, Unsayable
from myna.builders.database.lexicon import Lexicon
from myna.builders.database.query import Aggregate, Arithmetic, ColumnOf, Rows
from myna.builders.database.reading import Reading
from myna.builders.database.words import plural


class Quantities:
    """Says what is counted, summed, averaged."""

    def __init__(self, lexicon: Lexicon, chooser: Chooser, conditions: Conditions, nouns: Nouns) -> None:
        self._lexicon = lexicon
        self._choose = chooser
        self._conditions = conditions
        self._nouns = nouns

    def of(self, aggregates: Sequence[Aggregate], reading: Reading, *, things: str | None = None) -> str:
        """Return aggregates of rows: "number of students in Berlin and their average age". `things`: the rows."""
        rows = things or self._nouns.noun(reading.things).text
        counts = [each for each in aggregates if isinstance(each.argument, Rows)]
        others = [each for each in aggregates if not isinstance(each.argument, Rows)]
        if len(counts) > 1:
            raise Unsayable
        if not others:
            return f"number of {rows}"
        measured = self._together(others, reading)
        if counts:
            return f"number of {rows} and their {measured}"
        return f"{measured} of {rows}"

    def bare(self, aggregate: Aggregate, reading: Reading) -> str:
        """Return one aggregate without its rows: "average age"."""
        if isinstance(aggregate.argument, Rows):
            raise Unsayable
        function, argument = self._function(aggregate, reading), self._argument(aggregate, reading)
        return "sum of totals" if function == argument == "total" else f"{function} {argument}"

    def column(self, column: ColumnOf | Arithmetic, reading: Reading) -> str:
        """Return what is aggregated, in the singular, with the table that it is of where that is another."""
        if isinstance(column, Arithmetic):
            return self._conditions.calculated(column)
        name, path = self._conditions.thing(column), reading.path(column)
        if path:
            return self._nouns.of_other(path, name)
        return name

    def name(self, column: ColumnOf) -> str:
        """Return a column's name alone."""
        return self._conditions.thing(column)

    def _together(self, aggregates: Sequence[Aggregate], reading: Reading) -> str:
        """Several of one column share its name: "minimum, maximum and average age"."""
        same = {(each.argument, each.distinct) for each in aggregates}
        functions = [each.function for each in aggregates]
        if len(same) == 1 and len(functions) > 1 and not {"count"} & set(functions):
            words = [self._function(each, reading) for each in aggregates]
            return f"{listing(words, 'and')} {self._argument(aggregates[0], reading)}"
        return listing([self.bare(each, reading) for each in aggregates], "and")

    def _function(self, aggregate: Aggregate, reading: Reading) -> str:
        column = aggregate.argument
        if aggregate.function == "count":
            return "number of different" if aggregate.distinct else "number of known"
        if aggregate.distinct or isinstance(column, Rows):
            raise Unsayable
        if aggregate.function == "avg":
            return self._choose.usual(("average", "mean"))
        if aggregate.function == "sum":
            return "total"
        highest = aggregate.function == "max"
        if isinstance(column, ColumnOf):
            words = self._lexicon.columns[column]
            if words.profile.column.kind == "text" and words.profile.role not in ("date", "measure"):
                raise Unsayable
            said = extreme(words, highest=highest)
            plain = said in ("highest", "lowest") and not words.english[0].startswith(("maximum", "minimum"))
            return self._choose.one((said, "maximum" if highest else "minimum")) if plain else said
        return "highest" if highest else "lowest"

    def _argument(self, aggregate: Aggregate, reading: Reading) -> str:
        column = aggregate.argument
        if isinstance(column, Rows):
            raise Unsayable
        name = self.column(column, reading)
        if aggregate.function == "sum" and name.startswith(("total ", "sum ")):
            return name.removeprefix("total ")
        return plural(name) if aggregate.function == "count" else name
