"""What a database holds: tables, columns, types, keys and comments, as plain frozen values.

The one description of a schema; schema text, data builders and name checks all start from it. Knows no
database library and no SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

ColumnKind: TypeAlias = Literal["number", "text", "date", "boolean", "binary", "other"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `type` is as declared (may be empty in SQLite), `kind` what that amounts to."""

    name: str
    type: str
    kind: ColumnKind
    nullable: bool = True
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` of the table it belongs to refer to `referenced_columns` of `table`, pairwise."""

    columns: tuple[str, ...]
    table: str
    referenced_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view. `name` is as a query names it, with its schema in front where that is not the default."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    comment: str = ""
    is_view: bool = False


@dataclass(frozen=True, slots=True)
class Skipped:
    """A table or view that is left out of the schema, because it can't be described or no query of it is run."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Schema:
    """All tables and views that a reader may see, in the database's own order.

    warnings: sentences about the account that reads, where it may do more than it should.
    """

    tables: tuple[Table, ...]
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()

    def limited_to(self, columns: Mapping[str, Set[str]]) -> Schema:
        """Return it with these columns of these tables alone, and keys that lie within them. columns: by table."""

        def within(table: str, names: tuple[str, ...]) -> bool:
            return columns.get(table, set()) >= set(names)

        return replace(
            self,
            tables=tuple(
                replace(
                    table,
                    columns=tuple(column for column in table.columns if column.name in columns[table.name]),
                    primary_key=table.primary_key if within(table.name, table.primary_key) else (),
                    foreign_keys=tuple(
                        key
                        for key in table.foreign_keys
                        if within(table.name, key.columns) and within(key.table, key.referenced_columns)
                    ),
                )
                for table in self.tables
                if table.name in columns
            ),
        )
