"""What the answer to a question is held to while a model writes it: the grammar of its schema, or of its content too.

`schema` knows no more than the prompt shows. `content` looks the question's words up among the cells of the database,
as asking does and as published tables distinguish. Knows no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Literal, Self, TypeAlias

from myna.databases import Schema
from myna.errors import DataError
from myna.text2sql.grammar import MAX_TABLES, grammar
from myna.text2sql.relevant import nearest_tables
from myna.text2sql.scoring.opened import OpenDatabases
from myna.text2sql.scoring.places import Place
from myna.text2sql.scoring.questions import Question
from myna.text2sql.values import ValueIndex, contents

Held: TypeAlias = Literal["schema", "content"]
_SECONDS = 60.0
"""Of a query that reads cells for the index of values."""


class Holding:
    """Grammars for questions, by their databases. Close it."""

    def __init__(self, places: Mapping[str, Place], held: Held) -> None:
        """places: of the questions' databases, by name."""
        self._held = held
        self._databases = OpenDatabases(places, seconds=_SECONDS)
        self._indexes: dict[str, ValueIndex] = {}
        self._open = ExitStack()
        self._open.callback(self._databases.close)

    def grammar(self, question: Question) -> str:
        """Return what holds the answer.

        Raises `DataError` for a question without a database, `DatabaseError` when that can't be read, and
        `MissingDependency` without the libraries of `content`.
        """
        name = question.facts.database
        if name not in self._databases:
            raise DataError(f"{question.where}: no database, so its answer can't be held to one; use --constrain off")
        database = self._databases.get(name)
        schema = _of_the_question(question, database.schema)
        if self._held == "schema":
            return grammar(schema, dialect=database.dialect)
        if name not in self._indexes:
            self._indexes[name] = self._open.enter_context(ValueIndex.open(database))
        named = contents(self._indexes[name], schema, question.asked)
        return grammar(schema, dialect=database.dialect, values=None if named.free else named.values)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def _of_the_question(question: Question, schema: Schema) -> Schema:
    """Return the tables that a question may be about: WikiSQL asks about one, and its prompt shows that one."""
    query = question.facts.query
    if query is not None:
        return Schema(tuple(table for table in schema.tables if table.name == query.get("table_id")))
    return nearest_tables(schema, question.asked, count=MAX_TABLES)
