"""A query as Spider sees it: clauses that are lists of small parts, aliases resolved, values left out.

A syntax tree and a schema go in, `Clauses` come out: hashable values that compare with `==`. They follow the `"sql"`
structure that Spider's files publish (select, from, where, groupBy, having, orderBy, limit, intersect, union, except);
what Spider's own SQL does not have (CASE, functions, windows …) becomes a part of its own kind. Knows nothing of how
two queries are judged.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sqlglot import exp

from myna.databases.schema import Schema
from myna.errors import QueryError
from myna.text2sql.spider.names import Scope, column_names, equal_columns, from_items, from_joins, table_name

Part: TypeAlias = Hashable
"""A column, an aggregate, arithmetic, a nested query …: strings and nested tuples."""

_AGGREGATES: dict[type[exp.Expr], str] = {
    exp.Max: "max",
    exp.Min: "min",
    exp.Count: "count",
    exp.Sum: "sum",
    exp.Avg: "avg",
}
_ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "!=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.Like: "like",
    exp.Is: "is",
}
_OPERATIONS = {exp.Union: "union", exp.Intersect: "intersect", exp.Except: "except"}
_SPIDERS_CLAUSES = {
    *(
        "expressions",
        "distinct",
        "from_",
        "joins",
        "where",
        "group",
        "having",
        "order",
        "limit",
        "with_",
        "hint",
        "kind",
    )
}
_VALUE = "value"
"""Stands for a literal where values don't count."""


@dataclass(frozen=True, slots=True)
class Condition:
    """`part` [not] `operator` `values`. A value is None unless it is a nested query or values count."""

    negated: bool
    operator: str
    part: Part
    values: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Conditions:
    """A WHERE, a HAVING or all ONs of a FROM: conditions in order and, one fewer, `and` or `or` between them."""

    items: tuple[Condition, ...] = ()
    connectors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Clauses:
    """One SELECT, and what a set operation joins to it."""

    select: tuple[tuple[str, Part], ...]
    """(Aggregate or "", part) in the query's order."""
    distinct: bool
    """Only told of nested queries: Spider's match leaves DISTINCT out elsewhere."""
    tables: tuple[Part, ...]
    """Table names and nested queries of FROM."""
    on: Conditions
    where: Conditions
    group_by: tuple[Part, ...]
    having: Conditions
    order_by: tuple[Part, ...]
    direction: str
    """Of the whole ORDER BY, as Spider's structure has it: the last one written, `asc` when none is, "" without it."""
    limit: bool
    other_keywords: frozenset[str]
    """What Spider's structure has no place for, such as LEFT or OFFSET."""
    operation: str = ""
    """`union`, `intersect`, `except`, or nothing."""
    operand: Clauses | None = None
    """What stands after the set operation, itself perhaps with another one."""


def read_clauses(tree: exp.Expr, schema: Schema, *, values: bool = False, strict: bool = False) -> Clauses:
    """Return the clauses of a query. values: whether literals count; strict: whether all columns must be there.

    Raises `QueryError`: refused, for a statement that is not made of SELECTs; unknown column, if strict.
    """
    return _Reader(column_names(schema), equal_columns(schema), values, strict).chain(tree, None)


class _Reader:
    """Reads queries of one schema. `nested`: within a condition or FROM, where a query is a part as it is written."""

    def __init__(
        self,
        columns: Mapping[str, frozenset[str]],
        equal: Mapping[str, str],
        values: bool,
        strict: bool,
        *,
        nested: bool = False,
    ) -> None:
        self._columns = columns
        self._equal = equal
        self._values = values
        self._strict = strict
        self._nested = nested
        self._linked: frozenset[str] = frozenset()

    def chain(self, tree: exp.Expr, outer: Scope | None) -> Clauses:
        """Read `a UNION b EXCEPT c` as Spider does: a, joined to all that follows. The end's ORDER BY is c's."""
        selects, operations = list[exp.Select](), list[str]()
        modifiers = _flatten_operations(tree, selects, operations)
        for select in selects[:1]:
            self._linked = Scope(
                select, self._columns, outer, self._strict
            ).tables  # that SELECT's, for all: the evaluator's rule
        read = [
            self._select(select, modifiers if number == len(selects) - 1 else {}, outer)
            for number, select in enumerate(selects)
        ]
        chained = read.pop()
        for clauses, operation in zip(reversed(read), reversed(operations), strict=True):
            chained = replace(clauses, operation=operation, operand=chained)
        return chained

    def _select(self, select: exp.Select, modifiers: Mapping[str, Any], outer: Scope | None) -> Clauses:
        scope = Scope(select, self._columns, outer, self._strict)
        args = {**select.args, **modifiers}
        order, group, limit = args.get("order"), args.get("group"), args.get("limit")
        conditions = [join.args["on"] for join in from_joins(select) if join.args.get("on") is not None]
        return Clauses(
            select=tuple(self._selected(item, scope) for item in select.expressions),
            distinct=self._nested and args.get("distinct") is not None,
            tables=(*self._with(args, scope), *(self._table(source, scope) for source in from_items(select))),
            on=self._conditions(conditions, scope),
            where=self._conditions([args["where"].this] if args.get("where") else [], scope),
            group_by=tuple(self._part(item, scope) for item in group.expressions) if group else (),
            having=self._conditions([args["having"].this] if args.get("having") else [], scope),
            order_by=tuple(self._part(item.this, scope) for item in order.expressions) if order else (),
            direction=_direction(order) if order else "",
            limit=limit is not None,
            other_keywords=frozenset(self._other_keywords(select, args)),
        )

    def _with(self, args: Mapping[str, Any], scope: Scope) -> Iterator[Part]:
        for common in args["with_"].expressions if args.get("with_") else ():
            yield ("with", self._query(common.this, scope))

    def _table(self, source: exp.Expr, scope: Scope) -> Part:
        if isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier):
            return table_name(source)
        return self._query(source, scope) if isinstance(source, exp.Query) else self._part(source, scope)

    def _query(self, tree: exp.Expr, scope: Scope) -> Clauses:
        return _Reader(self._columns, {}, self._values, self._strict, nested=True).chain(tree, scope)

    def _selected(self, item: exp.Expr, scope: Scope) -> tuple[str, Part]:
        item = item.unalias().unnest()
        aggregate = _AGGREGATES.get(type(item), "")
        if not aggregate or item.this is None:
            return ("", self._part(item, scope))
        return (aggregate, self._argument(item.this, scope))

    def _argument(self, node: exp.Expr, scope: Scope) -> Part:
        """Read what an aggregate is taken of; DISTINCT counts in nested queries only."""
        if not isinstance(node, exp.Distinct):
            return self._part(node, scope)
        parts = tuple(self._part(item, scope) for item in node.expressions)
        return ("distinct", *parts) if self._nested or len(parts) != 1 else parts[0]

    def _part(self, node: exp.Expr, scope: Scope) -> Part:
        node = node.unnest()
        if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
            name = scope.column(node)
            part: Part = self._equal.get(name, name) if name.partition(".")[0] in self._linked else name
        elif isinstance(node, exp.Query):
            part = self._query(node, scope)
        elif is_literal(node):
            part = self._literal(node) if self._values else _VALUE
        elif type(node) in _AGGREGATES and node.this is not None:
            part = (_AGGREGATES[type(node)], self._argument(node.this, scope))
        elif type(node) in _ARITHMETIC:
            part = (_ARITHMETIC[type(node)], self._part(node.this, scope), self._part(node.expression, scope))
        else:
            part = (node.key, *((name, self._any(value, scope)) for name, value in node.args.items() if value))
        return part

    def _other_keywords(self, select: exp.Select, args: Mapping[str, Any]) -> Iterator[str]:
        yield from (name for name, value in args.items() if value and name not in _SPIDERS_CLAUSES)
        if args.get("with_"):
            yield "with"
        if args.get("limit") and self._values:
            yield args["limit"].sql("sqlite").lower()
        for join in from_joins(select):
            for name in ("side", "kind", "method"):
                word = str(join.args.get(name) or "").lower()
                if word and word not in ("inner", "outer"):
                    yield word

    def _any(self, value: Any, scope: Scope) -> Part:
        if isinstance(value, list):
            return tuple(self._any(item, scope) for item in value)
        return self._part(value, scope) if isinstance(value, exp.Expr) else str(value).lower()

    def _conditions(self, nodes: list[exp.Expr], scope: Scope) -> Conditions:
        items, connectors = list[Condition](), list[str]()
        for number, node in enumerate(nodes):
            if number:
                connectors.append("and")
            self._flatten_conditions(node, items, connectors, scope)
        return Conditions(tuple(items), tuple(connectors))

    def _flatten_conditions(
        self, node: exp.Expr, items: list[Condition], connectors: list[str], scope: Scope, *, within_and: bool = False
    ) -> None:
        """Write down AND and OR as they are read, from left to right. An OR in parentheses within AND is one part."""
        node = node.unnest()
        if isinstance(node, exp.And) or (isinstance(node, exp.Or) and not within_and):
            is_and = isinstance(node, exp.And)
            self._flatten_conditions(node.this, items, connectors, scope, within_and=is_and)
            connectors.append("and" if is_and else "or")
            self._flatten_conditions(node.expression, items, connectors, scope, within_and=is_and)
        else:
            items.append(self._condition(node, scope))

    def _condition(self, node: exp.Expr, scope: Scope) -> Condition:
        negated = False
        while isinstance(node, exp.Not):
            negated, node = not negated, node.this.unnest()
        negated ^= bool(node.args.get("negate"))
        if isinstance(node, exp.Connector):
            return Condition(negated, "group", self._conditions([node], scope))
        if isinstance(node, exp.Exists):
            return Condition(negated, "exists", None, (self._query(node.this, scope),))
        if isinstance(node, exp.Between):
            operator, values = "between", [node.args["low"], node.args["high"]]
        elif isinstance(node, exp.In):
            query = node.args.get("query")
            operator, values = "in", [query] if query is not None else node.expressions if self._values else [None]
        elif type(node) in _COMPARISONS:
            operator, values = _COMPARISONS[type(node)], [node.expression]
        else:
            return Condition(negated, "", self._part(node, scope))
        return Condition(negated, operator, self._part(node.this, scope), tuple(self._value(v, scope) for v in values))

    def _value(self, node: exp.Expr | None, scope: Scope) -> Part:
        """Read the right side of a comparison: a query counts, anything else only where values do."""
        node = None if node is None else node.unnest()
        if isinstance(node, exp.Query):
            return self._query(node, scope)
        if node is None or is_literal(node) or _is_quoted(node):
            return self._literal(node) if node is not None and self._values else None
        part = self._part(node, scope)  # read in any case: it may name a column that is not there
        return part if self._values else None

    def _literal(self, node: exp.Expr) -> Part:
        if isinstance(node, exp.Neg):
            return ("-", self._literal(node.this.unnest()))
        if isinstance(node, exp.Literal) and not node.is_string:
            return float(node.this)
        return ("text" if _is_quoted(node) or isinstance(node, exp.Literal) else node.key, node.name)


def is_literal(node: exp.Expr) -> bool:
    """Whether this is a number, a text, NULL, TRUE or FALSE."""
    if isinstance(node, exp.Neg):
        return is_literal(node.this.unnest())
    return isinstance(node, exp.Literal | exp.Null | exp.Boolean)


def _is_quoted(node: exp.Expr) -> bool:
    """Whether this is `"x"`, which Spider's gold writes for a text."""
    return isinstance(node, exp.Column) and not node.table and node.this.args.get("quoted") is True


def _flatten_operations(tree: exp.Expr, selects: list[exp.Select], operations: list[str]) -> dict[str, Any]:
    """Collect the SELECTs between set operations; return the modifiers that stand after the last one."""
    if isinstance(tree, exp.Select):
        selects.append(tree)
        return {}
    if isinstance(tree, exp.Subquery | exp.Paren):
        inner = _flatten_operations(tree.this, selects, operations)
    elif isinstance(tree, exp.SetOperation):
        _flatten_operations(tree.this, selects, operations)
        every = "" if tree.args.get("distinct") else " all"
        operations.append(_OPERATIONS[type(tree)] + every)
        inner = _flatten_operations(tree.expression, selects, operations)
    else:
        raise QueryError(f"expected SELECT, found {tree.key.upper()}", "refused")
    own = {name: tree.args[name] for name in ("order", "limit", "offset", "with_") if tree.args.get(name)}
    return {**inner, **own}


def _direction(order: exp.Order) -> str:
    written = [item.args["desc"] for item in order.expressions if item.args.get("desc") is not None]
    return "desc" if written and written[-1] else "asc"
