"""`Database`: what the rest of the house knows of databases. Opens, describes, checks and asks; changes nothing."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from myna.databases.address import Address
from myna.databases.process import WorkerProcess
from myna.databases.query import Limits, Result
from myna.databases.schema import Schema
from myna.databases.wire import schema_from_lists
from myna.errors import DatabaseError

_SCHEMA_SECONDS = 60.0


class Database:
    """An open database, in a process of its own. Made by `Database.open`; threads may share it, they take turns.

    >>> with Database.open("school.sqlite") as database:
    ...     database.run("SELECT name FROM students WHERE age > 20").rows

    name: its address without a password. dialect: sqlglot's name of its SQL. address: where it is; only its `shown`
    may be shown.
    """

    def __init__(self, address: Address, limits: Limits, double_quoted_strings: bool) -> None:
        """Use `Database.open`."""
        self.address = address
        self.name = address.shown
        self._limits = limits
        self._worker = WorkerProcess(address, limits, double_quoted_strings=double_quoted_strings)
        self._schema: Schema | None = None
        self._schema_lock = threading.Lock()
        self._closed = False
        self._last_checked: str | None = None
        self.dialect = self._worker.open()

    @classmethod
    def open(cls, url: str | Path, *, limits: Limits | None = None, double_quoted_strings: bool = False) -> Database:
        """Open the database at `url` for reading.

        url: a path or URL, see `Address`. limits: what each query may cost. double_quoted_strings: for SQLite, read
        `"x"` as SQLite does, as a text where no column has that name; otherwise that is an unknown column.
        Raises `DatabaseError` when it can't be opened, `MissingDependency` when its driver is not installed.
        """
        return cls(Address.parse(url), limits or Limits(), double_quoted_strings)

    def another(self, *, limits: Limits) -> Database:
        """Open it once more, under other limits and in a process of its own, so that neither waits for the other."""
        return Database(self.address, limits, double_quoted_strings=False)

    @property
    def schema(self) -> Schema:
        """Its tables and views, read once. Raises `DatabaseError`."""
        with self._schema_lock:
            if self._schema is None:
                (answer,) = self._ask({"do": "schema"}, _SCHEMA_SECONDS)
                self._schema = schema_from_lists(answer["schema"])
            return self._schema

    def prepare(self, sql: str) -> None:
        """Check, without running it, that `sql` is one query that this database understands. Raises `QueryError`."""
        self._ask({"do": "prepare", "sql": self._checked(sql)}, self._limits.seconds)

    def run(self, sql: str, *, rows: int | None = None) -> Result:
        """Run one query. Rows and bytes over the limits are cut (`Result.truncated`). Raises `QueryError`.

        rows: at most so many are read, where the limits allow more.
        """
        most = self._limits.rows if rows is None else min(rows, self._limits.rows)
        parts = self._ask({"do": "run", "sql": self._checked(sql), "rows": most}, self._limits.seconds)
        last = parts[-1]
        read = tuple(tuple(row) for part in parts for row in part["rows"])
        return Result(tuple(last["columns"]), read, last["truncated"], last["seconds"])

    def close(self) -> None:
        """End its process; harmless when called twice."""
        self._closed = True
        self._worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Database {self.name}>"

    def _checked(self, sql: str) -> str:
        """Return `sql`, which is a query. What is prepared first and then run is parsed once."""
        if sql != self._last_checked:
            from myna.databases.statement import parse_query

            parse_query(sql, self.dialect)
            self._last_checked = sql
        return sql

    def _ask(self, request: dict[str, Any], seconds: float) -> list[dict[str, Any]]:
        if self._closed:
            raise DatabaseError(f"{self.name}: is closed; open it again with Database.open")
        return self._worker.ask(request, seconds)
