"""Prompts of WikiSQL's questions, as asking a database of nothing but the one table makes them.

A table and a question go in, the conversation up to the answer comes out. One table is looked at, whatever file it
stands in: the names and cells of the 16,000 beside it are no part of the question.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from myna.data.example import Message
from myna.text2sql.prompt_settings import PromptSettings
from myna.text2sql.prompter import Prompter
from myna.text2sql.values import ValueIndex
from myna.text2sql.values.cells import cells_of
from myna.text2sql.wikisql import WikiSQLTable, schema_of, stored_rows


class TablePrompts:
    """Keeps what one table needs, because neighbouring questions often ask the same. Close it."""

    def __init__(self, settings: PromptSettings) -> None:
        """settings: without sample values, which are not read."""
        self._settings = settings
        self._table: WikiSQLTable | None = None
        self._index: ValueIndex | None = None

    def of(self, question: str, table: WikiSQLTable) -> tuple[Message, ...]:
        """Return the prompt of a question about `table`.

        With hints it raises `MissingDependency` without the libraries that values are looked up with, and `DataError`
        for a table that SQLite can't hold.
        """
        if self._table is not table:
            self.close()
            schema = schema_of(table)
            if self._settings.hints:
                self._index = ValueIndex.of(cells_of(schema.tables[0], stored_rows(table)))
            self._prompter = Prompter(schema, self._settings, index=self._index)
            self._table = table
        return self._prompter.prompt(question).messages

    def close(self) -> None:
        """Close the index; harmless when called twice."""
        if self._index is not None:
            self._index.close()
        self._table = self._index = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
