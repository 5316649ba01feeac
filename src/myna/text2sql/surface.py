"""A query → the one way to write it that `grammar.grammar` accepts, so that what a model learns is what it may say.

`canonical` resolves every name against the schema. Keywords stand in capitals with one space, names as the schema
writes them and quoted only where they must be, texts in single quotes. One table stands alone with bare column names;
joined tables are `AS T1`, `AS T2` … in the order of FROM and every column stands behind its alias; each JOIN has its
own ON, over tables already named; `x NOT IN`, `<>`, no `ASC`, no aliases of columns. Knows no tokens and no database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from myna.databases.schema import Column, Schema, Table
from myna.errors import QueryError, excerpt, listing
from myna.text2sql.grammar import literal_text
from myna.text2sql.identifiers import identifier, table_identifier
from myna.text2sql.syntax import nesting_bounded, parse_query

_SET_OPERATIONS = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}
_AGGREGATES: dict[type[exp.Expr], str] = {
    exp.Count: "COUNT",
    exp.Sum: "SUM",
    exp.Avg: "AVG",
    exp.Min: "MIN",
    exp.Max: "MAX",
}
_ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}
_MOST_TABLES = 64
"""Of one FROM. SQLite joins no more, MySQL three fewer; putting them in order takes time that grows with a power."""

_OPPOSITE = {"=": "<>", "<>": "="}
_SWAPPED = {"=": "=", "<>": "<>", ">": "<", ">=": "<=", "<": ">", "<=": ">="}
_SELECT_PARTS = {"expressions", "distinct", "from_", "joins", "where", "group", "having", "order", "limit", "offset"}


@nesting_bounded()
def canonical(sql: str, schema: Schema, *, dialect: str = "sqlite") -> str:
    """Return `sql` in the surface of the grammar over `schema`.

    In SQLite a double-quoted name that is no column is read as a text, as SQLite itself does. Raises `QueryError`:
    "syntax" for what can't be parsed or is outside the subset (the message names it), "unknown table" and
    "unknown column".
    """
    return _Surface(schema, dialect).query(parse_query(sql, dialect))


@dataclass(frozen=True)
class _Source:
    """A table in FROM: how the query names it, and how it is named from now on (None: columns stand bare)."""

    called: str
    table: Table
    alias: str | None

    def column(self, name: str) -> Column | None:
        exact = [column for column in self.table.columns if column.name == name]
        folded = [column for column in self.table.columns if column.name.casefold() == name.casefold()]
        return next(iter(exact or folded), None)


@dataclass(frozen=True)
class _Join:
    source: _Source
    left: bool
    conditions: tuple[exp.EQ, ...]


class _Surface:
    def __init__(self, schema: Schema, dialect: str) -> None:
        self._exactly = {table.name: table for table in schema.tables}  # PostgreSQL tells "Users" and users apart
        self._tables = {table.name.casefold(): table for table in schema.tables}
        self._dialect = dialect

    def query(self, tree: exp.Expr) -> str:
        while isinstance(tree, exp.Subquery | exp.Paren) and not tree.args.get("alias"):
            tree = tree.this
        for kind, name in _SET_OPERATIONS.items():
            if type(tree) is kind:
                return self._compound(tree, name)
        if isinstance(tree, exp.Select):
            return _SelectSurface(self, tree).text()
        raise _outside(tree)

    def _compound(self, tree: exp.Expr, name: str) -> str:
        if any(tree.args.get(part) for part in ("order", "limit", "offset", "with_")):
            raise _outside(tree, f"{name} with ORDER BY or LIMIT")
        every = " ALL" if name == "UNION" and tree.args.get("distinct") is False else ""
        return f"{self.query(tree.this)} {name}{every} {self.query(tree.expression)}"

    def table(self, node: exp.Expr) -> Table:
        if not isinstance(node, exp.Table):
            raise _outside(node, "a subquery in FROM")
        name = ".".join(part.name for part in node.parts)
        found = self._exactly.get(name) or self._tables.get(name.casefold())
        if found is None:
            raise QueryError(f"no table {excerpt(name)} (tables: {listing(sorted(self._tables))})", "unknown table")
        return found

    def literal(self, node: exp.Expr) -> str | None:
        """A number or text, None for anything else."""
        negative = isinstance(node, exp.Neg)
        inner = node.this if isinstance(node, exp.Neg) else node
        if isinstance(inner, exp.Literal):
            if inner.is_string:
                return None if negative else literal_text(inner.this, self._dialect)
            return f"-{inner.this}" if negative else _number(inner.this)
        if isinstance(inner, exp.Boolean):
            return "TRUE" if inner.this else "FALSE"
        return None

    def identifier(self, name: str) -> str:
        return identifier(name, self._dialect)

    def table_identifier(self, name: str) -> str:
        return table_identifier(name, self._dialect)

    @property
    def quoted_may_be_text(self) -> bool:
        return self._dialect == "sqlite"


class _SelectSurface:
    """One SELECT, with the tables its columns are looked up in."""

    def __init__(self, surface: _Surface, select: exp.Select) -> None:
        unknown = [part for part, value in select.args.items() if value and part not in _SELECT_PARTS]
        if unknown:
            raise _outside(select, unknown[0].strip("_").upper())
        self._surface = surface
        self._select = select
        self._sources: Sequence[_Source] = ()
        self._joins = self._read_from()
        self._aliases: Mapping[str, exp.Expr] = {
            item.alias.casefold(): item.this for item in select.expressions if isinstance(item, exp.Alias)
        }

    def text(self) -> str:
        select = self._select
        distinct = "DISTINCT " if select.args.get("distinct") else ""
        parts = [f"SELECT {distinct}{', '.join(self._item(item) for item in select.expressions)}", self._from()]
        where, group, having = (select.args.get(part) for part in ("where", "group", "having"))
        if where:
            parts.append(f"WHERE {self._condition(where.this)}")
        if group:
            parts.append(f"GROUP BY {', '.join(self._key(key) for key in group.expressions)}")
        if having:
            if not group:
                raise _outside(having, "HAVING without GROUP BY")
            parts.append(f"HAVING {self._condition(having.this)}")
        order, limit, offset = (select.args.get(part) for part in ("order", "limit", "offset"))
        if order:
            parts.append(f"ORDER BY {', '.join(self._ordered(key) for key in order.expressions)}")
        if limit:
            parts.append(f"LIMIT {limit.expression.sql()}")
        if offset:
            parts.append(f"OFFSET {offset.expression.sql()}")
        return " ".join(parts)

    # FROM

    def _read_from(self) -> list[_Join]:
        start = self._select.args.get("from_")
        if start is None:
            raise _outside(self._select, "a query without FROM")
        joins: list[exp.Join] = self._select.args.get("joins") or []
        nodes = [start.this, *(join.this for join in joins)]
        if len(nodes) > _MOST_TABLES:
            raise _outside(self._select, f"FROM with more than {_MOST_TABLES} tables")
        tables = [self._surface.table(node) for node in nodes]
        called = [node.alias_or_name for node in nodes]
        if len(nodes) == 1:
            self._sources = (_Source(called[0], tables[0], None),)
            return []
        self._sources = [_Source(name, table, name) for name, table in zip(called, tables, strict=True)]
        conditions = [condition for join in joins for condition in self._on(join)]
        order = self._connected([join.side == "LEFT" for join in joins], conditions)
        if [source.called for source in order] != called and any(item.is_star for item in self._select.expressions):
            raise _outside(self._select, "* over joins in another order")
        renamed = {source.called: f"T{number}" for number, source in enumerate(order, 1)}
        left = {join.this.alias_or_name: join.side == "LEFT" for join in joins}
        placed: list[_Source] = []
        result = []
        for source in order:
            placed.append(source)
            mine = tuple(each for each in conditions if self._last(each, placed) is source)
            result.append((source, left.get(source.called, False), mine))
        self._sources = [_Source(each.called, each.table, renamed[each.called]) for each in order]
        return [_Join(source, is_left, mine) for source, (_, is_left, mine) in zip(self._sources, result, strict=True)][
            1:
        ]

    def _on(self, join: exp.Join) -> list[exp.EQ]:
        if join.side not in ("", "LEFT") or join.kind not in ("", "INNER", "OUTER") or join.args.get("method"):
            raise _outside(join, " ".join(filter(None, [join.args.get("method"), join.side, join.kind, "JOIN"])))
        if join.args.get("using"):
            raise _outside(join, "USING")
        on = join.args.get("on")
        if on is None or (isinstance(on, exp.Boolean) and on.this):
            return []
        parts = list(on.unnest().flatten()) if isinstance(on.unnest(), exp.And) else [on.unnest()]
        for part in parts:
            sides = (part.args.get("this"), part.args.get("expression"))
            if not isinstance(part, exp.EQ) or not all(isinstance(side, exp.Column) for side in sides):
                raise _outside(join, "ON with anything but equal columns")
        return [part for part in parts if isinstance(part, exp.EQ)]

    def _connected(self, left: Sequence[bool], conditions: Sequence[exp.EQ]) -> list[_Source]:
        """The tables in an order in which each but the first has a condition with those before it."""
        placed, waiting = [self._sources[0]], list(self._sources[1:])
        while waiting:
            ready = [each for each in waiting if any(self._last(c, [*placed, each]) is each for c in conditions)]
            if not ready or (any(left) and ready[0] is not waiting[0]):
                raise _outside(self._select, "JOIN without a condition of its own")
            placed.append(ready[0])
            waiting.remove(ready[0])
        return placed

    def _last(self, condition: exp.EQ, placed: Sequence[_Source]) -> _Source | None:
        """Which of the placed tables the condition had to wait for; None when it waits still, or joins nothing."""
        sources = [self._resolve(side)[0] for side in (condition.this, condition.expression)]
        if sources[0] is sources[1] or not all(any(each is source for source in placed) for each in sources):
            return None
        return max(sources, key=lambda source: next(i for i, each in enumerate(placed) if each is source))

    def _from(self) -> str:
        first = self._sources[0]
        text = f"FROM {self._surface.table_identifier(first.table.name)}"
        if first.alias is None:
            return text
        text += f" AS {first.alias}"
        for join in self._joins:
            name = self._surface.table_identifier(join.source.table.name)
            on = " AND ".join(
                f"{self._column(each.this)} = {self._column(each.expression)}" for each in join.conditions
            )
            text += f" {'LEFT ' if join.left else ''}JOIN {name} AS {join.source.alias} ON {on}"
        return text

    # Expressions

    def _resolve(self, node: exp.Expr) -> tuple[_Source, Column]:
        if not isinstance(node, exp.Column):
            raise _outside(node)
        sources = [each for each in self._sources if node.table.casefold() in ("", each.called.casefold())]
        sources = sources or [each for each in self._sources if node.table.casefold() == each.table.name.casefold()]
        for source in sources:
            column = source.column(node.name)
            if column is not None:
                return source, column
        tables = listing(source.table.name for source in self._sources)
        raise QueryError(f"no column {excerpt(node.sql())} in {tables}", "unknown column")

    def _column(self, node: exp.Expr) -> str:
        source, column = self._resolve(node)
        name = self._surface.identifier(column.name)
        return f"{source.alias}.{name}" if source.alias else name

    def _item(self, node: exp.Expr) -> str:
        if isinstance(node, exp.Alias):
            node = node.this
        if isinstance(node, exp.Star):
            return "*"
        if isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
            return self._star(node)
        return self._expression(node)

    def _star(self, node: exp.Column) -> str:
        for source in self._sources:
            if source.called.casefold() == node.table.casefold():
                return f"{source.alias}.*" if source.alias else "*"
        raise QueryError(f"no table {excerpt(node.table)} in this query", "unknown table")

    def _key(self, node: exp.Expr) -> str:
        if isinstance(node, exp.Column) and not node.table and node.name.casefold() in self._aliases:
            node = self._aliases[node.name.casefold()]
        return self._expression(node)

    def _ordered(self, node: exp.Expr) -> str:
        if not isinstance(node, exp.Ordered):
            return self._key(node)
        return self._key(node.this) + (" DESC" if node.args.get("desc") else "")

    def _expression(self, node: exp.Expr) -> str:
        node = node.unnest() if isinstance(node, exp.Paren) else node
        if type(node) in _AGGREGATES:
            return self._aggregate(node)
        if type(node) in _ARITHMETIC:
            return f"{self._expression(node.this)} {_ARITHMETIC[type(node)]} {self._expression(node.expression)}"
        return self._column(node)

    def _aggregate(self, node: exp.Expr) -> str:
        name, inner = _AGGREGATES[type(node)], node.this
        if isinstance(inner, exp.Star) and name == "COUNT":
            return "COUNT(*)"
        if isinstance(inner, exp.Distinct):
            if len(inner.expressions) != 1:
                raise _outside(node, "DISTINCT of several columns")
            return f"{name}(DISTINCT {self._expression(inner.expressions[0])})"
        return f"{name}({self._expression(inner)})"

    # Conditions

    def _condition(self, node: exp.Expr) -> str:
        if isinstance(node, exp.And | exp.Or):
            word = "AND" if isinstance(node, exp.And) else "OR"
            return f"{self._condition(node.this)} {word} {self._condition(node.expression)}"
        if isinstance(node, exp.Paren):
            return self._parenthesised(node)
        if isinstance(node, exp.Not):
            return self._test(node.this.unnest(), negated=True)
        return self._test(node, negated=bool(node.args.get("negate")))

    def _parenthesised(self, node: exp.Paren) -> str:
        inner = node.unnest()
        needed = isinstance(inner, exp.Or) and isinstance(node.parent, exp.And)
        text = self._condition(inner)
        return f"({text})" if needed else text

    def _test(self, node: exp.Expr, *, negated: bool) -> str:
        no = "NOT " if negated else ""
        if type(node) in _COMPARISONS:
            return self._comparison(node, negated)
        left = self._expression(node.this) if isinstance(node, exp.Between | exp.In | exp.Like | exp.Is) else ""
        if isinstance(node, exp.Between):
            return f"{left} {no}BETWEEN {self._value(node.args['low'])} AND {self._value(node.args['high'])}"
        if isinstance(node, exp.Like):
            return f"{left} {no}LIKE {self._value(node.expression)}"
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            return f"{left} IS {no}NULL"
        if isinstance(node, exp.In) and (node.args.get("query") or node.expressions):
            query = node.args.get("query")
            members = self._surface.query(query) if query else ", ".join(map(self._value, node.expressions))
            return f"{left} {no}IN ({members})"
        raise _outside(node)

    def _comparison(self, node: exp.Expr, negated: bool) -> str:
        operator = _COMPARISONS[type(node)]
        if negated and operator not in _OPPOSITE:
            raise _outside(node, f"NOT before {operator}")
        operator = _OPPOSITE[operator] if negated else operator
        left, right = node.this, node.expression
        if self._surface.literal(left) is not None:
            left, right, operator = right, left, _SWAPPED[operator]
        return f"{self._expression(left)} {operator} {self._operand(right)}"

    def _operand(self, node: exp.Expr) -> str:
        """What may stand right of a comparison: a value, a column, a subquery."""
        if isinstance(node, exp.Subquery):
            return f"({self._surface.query(node)})"
        if isinstance(node, exp.Column):
            try:
                return self._column(node)
            except QueryError:
                if not (node.this.args.get("quoted") and not node.table and self._surface.quoted_may_be_text):
                    raise
                return literal_text(node.name)
        return self._value(node)

    def _value(self, node: exp.Expr) -> str:
        text = self._surface.literal(node)
        if text is None and isinstance(node, exp.Column):
            text = self._operand(node)
            if not text.startswith("'"):
                raise _outside(node, "a column where a value is expected")
        if text is None:
            raise _outside(node)
        return text


def _number(text: str) -> str:
    """A number as the grammar spells it: digits before and after the point."""
    return f"0{text}" if text.startswith(".") else f"{text}0" if text.endswith(".") else text


def _outside(node: exp.Expr, what: str | None = None) -> QueryError:
    named = what or f"{type(node).__name__} ({node.sql()[:60]})"
    return QueryError(f"outside the subset of SQL that decoding is constrained to: {named}", "syntax")
