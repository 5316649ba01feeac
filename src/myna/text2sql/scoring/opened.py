"""The databases that a worker process has open: opened when first asked, the longest unused one closed for a new one.

Knows no SQL and no rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from myna.databases import Database, Limits, Schema
from myna.errors import DataError
from myna.text2sql import spider, wikisql
from myna.text2sql.scoring.places import Place

ROWS = 100_000
"""Rows of a result that are compared; no benchmark's gold query has more."""

_OPEN = 4
"""Databases kept open at once; each has a process of its own."""


class OpenDatabases:
    """Databases by name. Close it."""

    def __init__(self, places: Mapping[str, Place], *, seconds: float) -> None:
        """`seconds`: the time limit of each query."""
        self._places = places
        self._limits = Limits(seconds=seconds, rows=ROWS)
        self._open: dict[str, Database] = {}
        self._tables: dict[str, dict[str, wikisql.WikiSQLTable]] = {}
        self._descriptions: dict[str, dict[str, Schema]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def get(self, name: str) -> Database:
        """Return an open database. Raises `DatabaseError` when it can't be opened."""
        return self._opened(self._places[name].address)

    def official(self, name: str) -> Database:
        """Return the database that WikiSQL's evaluator reads. Raises `DataError` when the data folder has none."""
        path = self._places[name].official
        if path is None:
            raise DataError(
                f"{name}: the data folder has no official/{name}.db, which WikiSQL's rule is run on; myna data wikisql "
                "writes it for validation and test: score one of these, or build the folder again"
            )
        return self._opened(path)

    def wikisql_table(self, name: str, table_id: str) -> wikisql.WikiSQLTable:
        """Return a table of WikiSQL, without its rows. Raises `DataError` when the database does not have it."""
        if name not in self._tables:
            self._tables[name] = wikisql.tables_of(self.get(name).schema)
        try:
            return self._tables[name][table_id]
        except KeyError:
            raise DataError(f"{name}: there is no table {table_id!r} in it; build the data folder again") from None

    def spider_schema(self, name: str) -> Schema:
        """Return the schema as Spider's evaluators know it, or as the database has it without their `tables.json`."""
        path = self._places[name].official
        if path is not None and path not in self._descriptions:
            self._descriptions[path] = spider.read_schemas(Path(path))
        known = self._descriptions.get(path or "", {})
        return known[name] if name in known else self.get(name).schema

    def close(self) -> None:
        """Close all databases."""
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self, address: str) -> Database:
        database = self._open.pop(address, None)
        if database is None:
            while len(self._open) >= _OPEN:
                self._open.pop(next(iter(self._open))).close()
            database = Database.open(address, limits=self._limits)
        self._open[address] = database  # the last one used stands last
        return database
