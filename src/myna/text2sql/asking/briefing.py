"""What a model is told for a question, and what its answer is held to: the schema's text, hints, a grammar.

A question goes in; the conversation to answer comes out, as training data has it, with the part of the schema that it
shows. Cells of the database get into it only as sample values and as hints for what the question names, each on one
line and cut. Knows no model but for how it counts tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from myna.data.example import Message
from myna.databases import Database, Schema
from myna.errors import DatabaseError, MissingDependency, RecipeError
from myna.text2sql.asking.answerer import Answerer
from myna.text2sql.grammar import Values, grammar
from myna.text2sql.prompt import question_messages
from myna.text2sql.schema_text import sample_values, schema_text
from myna.text2sql.values import ValueIndex, contents, hints

Constrain: TypeAlias = Literal["off", "schema", "content"]
"""What answers are held to: nothing, the schema, or also the values that the tables have and the question names."""

SAMPLES = 3
"""Sample values of a column in the prompt, as data builders show them."""
_FREE = "nothing in the question is a value of the database, so conditions were free to hold any"


@dataclass(frozen=True, slots=True)
class Briefing:
    """What goes to the model for one question. schema: what the prompt shows of it. notes: for a person."""

    messages: tuple[Message, ...]
    schema: Schema
    grammar: str | None
    notes: tuple[str, ...] = ()


class Briefer:
    """Makes the briefings for one database. Close it."""

    def __init__(self, database: Database, answerer: Answerer, *, constrain: Constrain, values: bool) -> None:
        """Raises `DatabaseError` when there is nothing to ask for, and what `ValueIndex.open` raises where answers are
        to be held to content."""
        if constrain == "content" and not values:
            raise RecipeError(
                "answers can't be held to values that are not looked up: constrain by schema, or use values"
            )
        self._database = database
        self._constrain = constrain
        schema = database.schema
        if not any(table.columns for table in schema.tables):
            raise DatabaseError(f"{database.name}: there is no table in it, so there is nothing to ask")
        self._index, self._notes = _open_index(database, constrain) if values else (None, ())
        samples = {table.name: sample_values(database, table, SAMPLES) for table in schema.tables} if values else None
        self._text = schema_text(schema, samples, dialect=database.dialect)

    def brief(self, question: str) -> Briefing:
        """Return the briefing for a question."""
        schema, dialect = self._database.schema, self._database.dialect
        named: tuple[str, ...] = ()
        if self._index is not None:
            named = hints(
                self._index.matches(question, tables=[table.name for table in schema.tables]), dialect=dialect
            )
        messages = question_messages(self._text, question, hints=named, dialect=dialect)
        held, notes = self._grammar(question, schema)
        return Briefing(messages, schema, held, (*self._notes, *notes))

    def close(self) -> None:
        """Close the index of values; harmless when called twice."""
        if self._index is not None:
            self._index.close()

    def _grammar(self, question: str, schema: Schema) -> tuple[str | None, tuple[str, ...]]:
        if self._constrain == "off":
            return None, ()
        values: Values | None = None
        notes: tuple[str, ...] = ()
        if self._constrain == "content" and self._index is not None:
            found = contents(self._index, schema, question)
            values, notes = (None, (_FREE,)) if found.free else (found.values, ())
        return grammar(schema, dialect=self._database.dialect, values=values), notes


def _open_index(database: Database, constrain: Constrain) -> tuple[ValueIndex | None, tuple[str, ...]]:
    """Return the index of values; without its libraries none, with a note, unless it was asked for."""
    try:
        return ValueIndex.open(database), ()
    except MissingDependency as error:
        if constrain == "content":
            raise
        return None, (f"values are not looked up: {error}",)
