"""Hints for WikiSQL's questions: the cells that a question names, as asking a database of its one table finds them.

A table and a question go in, hints for the prompt come out. One table is looked at, whatever file it stands in: cells
of the 16,000 beside it are no part of the question.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from myna.text2sql.values import ValueIndex, hints
from myna.text2sql.values.cells import cells_of
from myna.text2sql.wikisql import WikiSQLTable, schema_of, stored_rows


class TableHints:
    """Keeps the index of one table, because neighbouring questions often ask the same. Close it."""

    def __init__(self) -> None:
        self._table: WikiSQLTable | None = None
        self._index: ValueIndex | None = None

    def of(self, question: str, table: WikiSQLTable) -> tuple[str, ...]:
        """Return the hints for a question about `table`.

        Raises `MissingDependency` without the libraries that values are looked up with, `DataError` for a table that
        SQLite can't hold.
        """
        if self._index is None or self._table is not table:
            self.close()
            (described,) = schema_of(table).tables
            self._table, self._index = table, ValueIndex.of(cells_of(described, stored_rows(table)))
        return hints(self._index.matches(question))

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
