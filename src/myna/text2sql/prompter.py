"""From a question to its prompt over one database: for training data and for asking alike, byte for byte.

Schema, settings, sample values and an index of values go in once; questions go in, conversations up to the answer come
out. A schema within the budget is shown whole, of a larger one the part nearest to the question. Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from myna.data.example import Message
from myna.databases import Database, Schema
from myna.errors import QueryError
from myna.text2sql.prompt import question_messages
from myna.text2sql.prompt_settings import PromptSettings
from myna.text2sql.relevant import Relevant, relevant_schema
from myna.text2sql.schema_text import Samples, sample_values, schema_text
from myna.text2sql.surface import canonical
from myna.text2sql.values import ValueIndex, ValueMatch, hints


@dataclass(frozen=True, slots=True)
class QuestionPrompt:
    """The prompt of one question. schema_text: what `messages` show of the schema, which `shown` describes."""

    messages: tuple[Message, ...]
    schema_text: str
    shown: Relevant

    def lacks(self, sql: str, *, dialect: str = "sqlite") -> bool:
        """Return whether a query names a table or column that was left out, so that nobody can tell it from this."""
        if self.shown.is_whole:
            return False
        try:
            canonical(sql, self.shown.schema, dialect=dialect)
        except QueryError as error:
            return error.kind in ("unknown table", "unknown column")
        return False


class Prompter:
    """Makes the prompts of one database, all with the same settings."""

    def __init__(
        self,
        schema: Schema,
        settings: PromptSettings,
        *,
        samples: Samples | None = None,
        index: ValueIndex | None = None,
        dialect: str = "sqlite",
    ) -> None:
        """samples: values of the columns, as many as the settings say. index: where hints come from; without it there
        are none. dialect: sqlglot's name of the database's SQL.
        """
        self._schema, self._settings, self._samples, self._dialect = schema, settings, samples, dialect
        self._index = index if settings.hints else None
        whole = self._relevant("", ())
        self._whole = (whole, self._text(whole)) if whole.is_whole else None

    @classmethod
    def of(cls, database: Database, settings: PromptSettings, *, index: ValueIndex | None) -> Self:
        """Read the schema and sample values of `database`. Raises `DatabaseError`."""
        samples = {}
        if settings.samples:
            samples = {table.name: sample_values(database, table, settings.samples) for table in database.schema.tables}
        return cls(database.schema, settings, samples=samples, index=index, dialect=database.dialect)

    def prompt(self, question: str) -> QuestionPrompt:
        """Return the prompt of a question."""
        found = self._index.matches(question) if self._index is not None else ()
        relevant, text = self._whole or self._cut(question, found)
        tables = {table.name for table in relevant.schema.tables}
        named = hints([match for match in found if match.table in tables], dialect=self._dialect)
        return QuestionPrompt(question_messages(text, question, hints=named, dialect=self._dialect), text, relevant)

    def _cut(self, question: str, found: Sequence[ValueMatch]) -> tuple[Relevant, str]:
        relevant = self._relevant(question, found)
        return relevant, self._text(relevant)

    def _relevant(self, question: str, found: Sequence[ValueMatch]) -> Relevant:
        return relevant_schema(
            self._schema,
            question,
            budget=self._settings.budget,
            size=_bytes,
            samples=self._samples,
            values=found,
            dialect=self._dialect,
        )

    def _text(self, relevant: Relevant) -> str:
        return schema_text(relevant.schema, self._samples, dialect=self._dialect)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
