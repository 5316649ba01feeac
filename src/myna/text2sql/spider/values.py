"""Values in double quotes → in single quotes, as SQL has them.

Spider's gold writes `WHERE name = "Tony"`, which SQLite reads as a text only because no column is called Tony. A query
and a schema go in, the same query in normal form comes out. Knows no data and runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from myna.databases.schema import Schema
from myna.errors import QueryError
from myna.text2sql.spider.names import column_names, from_items, table_name
from myna.text2sql.syntax import parse_query

_PREDICATES = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.Glob, exp.Is, exp.Escape)


def single_quoted_values(sql: str, schema: Schema) -> str:
    """Return `sql` with each `"x"` that stands as a value and names no column in reach written as `'x'`.

    A value stands on the right of a comparison, LIKE, GLOB or IS, among those of IN, or as a bound of BETWEEN. In reach
    are the columns of the FROMs around it and the names given in SELECT, as SQLite resolves them. All else stays as it
    is, character for character: `SELECT "grad"` is still the column grad, and fails where there is none. So does a text
    that can't be parsed.
    """
    if '"' not in sql:
        return sql
    try:
        tree = parse_query(sql, "sqlite")
    except QueryError:
        return sql
    rewritten, common = sql, _of_common_tables(tree, schema)
    values = [column for column in tree.find_all(exp.Column) if _is_value(column)]
    for column in sorted(values, key=_start, reverse=True):
        start, end = _start(column), column.this.meta["end"] + 1
        if sql[start] == '"' and column.name.lower() not in common | _in_reach(column, schema):
            quoted = column.name.replace("'", "''")
            rewritten = f"{rewritten[:start]}'{quoted}'{rewritten[end:]}"
    return rewritten


def _start(column: exp.Column) -> int:
    return int(column.this.meta["start"])


def _is_value(column: exp.Column) -> bool:
    if not (isinstance(column.this, exp.Identifier) and column.this.quoted) or column.table:
        return False
    node: exp.Expr = column
    while isinstance(node.parent, exp.Paren):
        node = node.parent
    parent, place = node.parent, node.arg_key
    if isinstance(parent, _PREDICATES):
        return place == "expression"
    return (isinstance(parent, exp.In) and place == "expressions") or (
        isinstance(parent, exp.Between) and place in ("low", "high")
    )


def _of_common_tables(tree: exp.Expr, schema: Schema) -> set[str]:
    """Return the names that the queries of WITH may give to columns."""
    names: set[str] = set()
    for common in tree.find_all(exp.CTE):
        names.update(name.lower() for name in [*common.alias_column_names, *common.this.named_selects])
        names.update(_offered(common.this, schema))
    return names


def _in_reach(column: exp.Column, schema: Schema) -> set[str]:
    """Return the names, in lower case, that SQLite would take for a column at this place."""
    names = {"rowid", "oid", "_rowid_"}
    select = column.parent_select
    while select is not None:
        names.update(_offered(select, schema))
        names.update(item.alias.lower() for item in select.expressions if item.alias)
        select = select.parent_select
    return names


def _offered(query: exp.Expr, schema: Schema) -> Iterator[str]:
    """Yield the names of the columns that the FROM of a query offers; of nested queries all that can be theirs."""
    while isinstance(query, exp.Subquery | exp.SetOperation):
        query = query.this
    for source in from_items(query) if isinstance(query, exp.Select) else ():
        if isinstance(source, exp.Table):
            yield from column_names(schema).get(table_name(source), ())
        elif isinstance(source, exp.Query):
            yield from (name.lower() for name in source.named_selects)
            yield from _offered(source, schema)
