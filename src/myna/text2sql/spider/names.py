"""What names in a query mean: whose column it is, which tables a FROM has, which columns foreign keys make equal.

A schema and a SELECT of a syntax tree go in, names in lower case come out. Knows no clauses and no rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from sqlglot import exp

from myna.databases.schema import Schema
from myna.errors import QueryError


@lru_cache(maxsize=16)  # a schema has many queries
def column_names(schema: Schema) -> dict[str, frozenset[str]]:
    """Return the columns of each table; all in lower case."""
    return {table.name.lower(): frozenset(column.name.lower() for column in table.columns) for table in schema.tables}


@lru_cache(maxsize=16)
def equal_columns(schema: Schema) -> dict[str, str]:
    """Return, for each column that foreign keys make equal to others, the first of these in the schema's order.

    Names are `table.column` in lower case.
    """
    order = [f"{table.name}.{column.name}".lower() for table in schema.tables for column in table.columns]
    rank = {name: number for number, name in enumerate(order)}
    first = {name: name for name in order}
    linked: set[str] = set()
    for table in schema.tables:
        for key in table.foreign_keys:
            for own, referenced in zip(key.columns, key.referenced_columns, strict=False):
                pair = (f"{table.name}.{own}".lower(), f"{key.table}.{referenced}".lower())
                if not first.keys() >= {*pair}:
                    continue  # a key to a table or column that is not there
                linked.update(pair)
                kept, merged = sorted((first[pair[0]], first[pair[1]]), key=rank.__getitem__)
                first = {name: kept if group == merged else group for name, group in first.items()}
    return {name: first[name] for name in order if name in linked}


class Scope:
    """The FROM of one SELECT within those around it: whose column a name means."""

    def __init__(
        self, select: exp.Select, columns: Mapping[str, frozenset[str]], outer: Scope | None, strict: bool
    ) -> None:
        self._columns = columns
        self._outer = outer
        self._strict = strict
        self._given = {item.alias.lower() for item in select.expressions if item.alias}
        self._tables: dict[str, str | None] = {}  # alias → table, None for a nested query
        for source in from_items(select):
            name = table_name(source) if isinstance(source, exp.Table) else None
            self._tables[(source.alias or name or "").lower()] = name

    @property
    def tables(self) -> frozenset[str]:
        """Names of the tables, without nested queries."""
        return frozenset(name for name in self._tables.values() if name is not None)

    def column(self, node: exp.Column) -> str:
        """Return `table.column` in lower case: of the table that is named, else of the first one that has it.

        Raises `QueryError` (unknown column) when strict and the tables in reach are known and none has it.
        """
        name, alias = node.name.lower(), node.table.lower()
        seen_all = True
        scope: Scope | None = self
        while scope is not None:
            if alias in scope._tables:
                table = scope._tables[alias]
                self._require(table is None or name in self._columns.get(table, {name}), node)
                return f"{table or ''}.{name}"
            for candidate in scope._tables.values() if not alias else ():
                if candidate is not None and name in self._columns.get(candidate, ()):
                    return f"{candidate}.{name}"
            seen_all &= name not in scope._given and all(table in self._columns for table in scope._tables.values())
            scope = scope._outer
        self._require(not seen_all, node)
        return f"{alias}.{name}"

    def _require(self, is_known: bool, node: exp.Column) -> None:
        if self._strict and not is_known:
            raise QueryError(f"no such column: {node.sql('sqlite')}", "unknown column")


def table_name(table: exp.Table) -> str:
    """Return the name of a table in lower case, with its schema where that is written."""
    return ".".join(part.name for part in table.parts).lower()


def from_joins(select: exp.Select) -> Iterator[exp.Join]:
    """Yield the joins of a SELECT in the order in which they are written, those within parentheses too."""
    first = select.args.get("from_")
    for item in [*([first] if first is not None else []), *(select.args.get("joins") or ())]:
        if isinstance(item, exp.Join):
            yield item
        yield from item.this.args.get("joins") or ()


def from_items(select: exp.Select) -> Iterator[exp.Expr]:
    """Yield the tables and nested queries of a SELECT's FROM in the order in which they are written."""
    first = select.args.get("from_")
    for item in [*([first] if first is not None else []), *from_joins(select)]:
        source = item.this
        yield source.this if isinstance(source, exp.Subquery) and isinstance(source.this, exp.Table) else source
