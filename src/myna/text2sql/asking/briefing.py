"""What a model is told for a question, and what its answer is held to: the schema's text, hints, a grammar.

A question goes in; the conversation to answer comes out, as training data has it, with the part of the schema that it
shows. Cells of the database get into it only as sample values and as hints for what the question names, each on one
line and cut. Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from myna.data.example import Message
from myna.databases import Database, Schema
from myna.errors import DatabaseError, MissingDependency, RecipeError
from myna.text2sql.grammar import MAX_TABLES, Values, grammar
from myna.text2sql.prompt_settings import PromptSettings, ValueNames
from myna.text2sql.prompter import Prompter
from myna.text2sql.relevant import Relevant, nearest_tables
from myna.text2sql.values import ValueIndex, contents

Constrain: TypeAlias = Literal["off", "schema", "content"]
"""What answers are held to: nothing, the schema, or also the values that the tables have and the question names."""

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Briefing:
    """What goes to the model for one question.

    schema: what the prompt shows of it. notes: for a person. free: conditions were to be held to what the question
    names, and it names nothing that the database has, so that they may hold any value.
    """

    messages: tuple[Message, ...]
    schema: Schema
    grammar: str | None
    notes: tuple[str, ...] = ()
    free: bool = False


class Briefer:
    """Makes the briefings for one database. Close it."""

    def __init__(self, database: Database, settings: PromptSettings, *, constrain: Constrain, values: bool) -> None:
        """settings: those of the prompts that the model was trained with. values: whether cells may be looked at.

        Raises `DatabaseError` when there is nothing to ask for, `RecipeError` for settings that contradict each
        other and, where answers are to be held to content, what `ValueIndex.open` raises.
        """
        if constrain == "content" and not values:
            raise RecipeError(
                "answers can't be held to values that are not looked up: constrain by schema, or use values"
            )
        schema = database.schema
        if not any(table.columns for table in schema.tables):
            why = "; ".join(("", *_skipped(schema)))
            raise DatabaseError(f"{database.name}: there is no table in it, so there is nothing to ask{why}")
        self._database = database
        self._constrain = constrain
        looked_up = values and (settings.hints or constrain == "content")
        self._index, notes = _open_index(database, constrain, settings.value_names) if looked_up else (None, ())
        self._notes = (*schema.warnings, *_skipped(schema), *notes)
        self._prompter = Prompter.of(database, settings if values else settings.without_values(), index=self._index)

    def brief(self, question: str) -> Briefing:
        """Return the briefing for a question."""
        prompt = self._prompter.prompt(question)
        notes = [*self._notes, *_left_out(prompt.shown)]
        held, free = self._grammar(question, prompt.shown.schema, notes)
        return Briefing(prompt.messages, prompt.shown.schema, held, tuple(notes), free)

    def close(self) -> None:
        """Close the index of values; harmless when called twice."""
        if self._index is not None:
            self._index.close()

    def _grammar(self, question: str, schema: Schema, notes: list[str]) -> tuple[str | None, bool]:
        """Return the grammar of the answer, and whether it is free where it should not be; adds to `notes`."""
        if self._constrain == "off":
            return None, False
        found = self._index.matches(question) if self._index is not None and len(schema.tables) > MAX_TABLES else ()
        near = nearest_tables(schema, question, count=MAX_TABLES, values=found)
        if near is not schema:
            schema = near
            notes.append(f"the answer was held to the {len(schema.tables)} tables nearest to the question")
        values: Values | None = None
        free = False
        if self._constrain == "content" and self._index is not None:
            named = contents(self._index, schema, question)
            free = named.free
            values = None if free else named.values
        return grammar(schema, dialect=self._database.dialect, values=values), free


def _left_out(relevant: Relevant) -> tuple[str, ...]:
    """Say what the prompt does not show."""
    notes = []
    if tables := relevant.left_out_tables:
        notes.append(f"the model saw the tables nearest to the question, not these {len(tables):,}: {_some(tables)}")
    if columns := [f"{table}.{each}" for table, names in relevant.left_out_columns.items() for each in names]:
        notes.append(f"the model did not see these {len(columns):,} columns: {_some(columns)}")
    return tuple(notes)


def _skipped(schema: Schema) -> tuple[str, ...]:
    """Say what no question can be asked about."""
    return tuple(f"{each.name} is left out: {each.reason}" for each in schema.skipped[:_SHOWN]) + (
        (f"{len(schema.skipped) - _SHOWN:,} more tables or views are left out",) if len(schema.skipped) > _SHOWN else ()
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")


def _open_index(
    database: Database, constrain: Constrain, value_names: ValueNames
) -> tuple[ValueIndex | None, tuple[str, ...]]:
    """Return the index of values; without its libraries none, with a note, unless it was asked for."""
    try:
        return ValueIndex.open(database, value_names=value_names), ()
    except MissingDependency as error:
        if constrain == "content":
            raise
        return None, (f"values are not looked up: {error}",)
