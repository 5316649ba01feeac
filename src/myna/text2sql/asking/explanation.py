"""A query → what it asks for, in words: which tables it reads, what it shows, under which conditions, in which order.

Made from the parsed SQL alone, so that a person who reads no SQL sees what was understood of the question. What has no
words here stands as SQL. Knows no schema, no database and no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from sqlglot import exp

from myna.text2sql.asking.explanation_words import WORDS, Language
from myna.text2sql.syntax import nesting_bounded, parse_query

_COMPARISONS: Mapping[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}
_OPPOSITE = {"=": "<>", "<>": "=", ">": "<=", ">=": "<", "<": ">=", "<=": ">"}
_AGGREGATES: Mapping[type[exp.Expr], str] = {exp.Sum: "sum", exp.Avg: "avg", exp.Min: "min", exp.Max: "max"}
_ARITHMETIC: Mapping[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "×", exp.Div: "÷"}
_SET_OPERATIONS: Mapping[type[exp.Expr], str] = {
    exp.Union: "union",
    exp.Intersect: "intersect",
    exp.Except: "except",
}
_WORD = re.compile(r"[\w.]+")
_JOINS = {"LEFT": "joins left", "RIGHT": "joins right", "FULL": "joins whole"}


@nesting_bounded()
def explain(sql: str, dialect: str, *, language: Language = "en") -> tuple[str, ...]:
    """Return sentences that say what a query does, in the order in which it is done.

    dialect: sqlglot's name of its SQL. language: of the sentences. Raises `QueryError` when it can't be parsed,
    or is nested too deeply to be explained.
    """
    return tuple(_Explanation(dialect, language).of(parse_query(sql, dialect)))


class _Explanation:
    def __init__(self, dialect: str, language: Language) -> None:
        self._dialect = dialect
        self._words = WORDS[language]
        self._plain_names = language == "en"

    def of(self, tree: exp.Expr) -> Iterator[str]:
        while isinstance(tree, exp.Subquery | exp.Paren):
            tree = tree.this
        for each in (tree.args.get("with_") or exp.With(expressions=[])).expressions:
            yield self._say("named", name=self._name(each.alias), steps=self._steps(each.this))
        operation = _SET_OPERATIONS.get(type(tree))
        if operation is not None:
            yield from self._compound(tree, operation)
        elif isinstance(tree, exp.Select):
            yield from self._select(tree)
        else:
            yield self._words["gives values"]

    def _compound(self, tree: exp.Expr, operation: str) -> Iterator[str]:
        yield self._say("first query", steps=self._steps(tree.this))
        yield self._say("second query", steps=self._steps(tree.expression))
        every = operation == "union" and tree.args.get("distinct") is False
        yield self._words["union all" if every else operation]
        yield from self._order_and_limit(tree, _Names({}, several=False))

    def _steps(self, tree: exp.Expr) -> str:
        return self._words["steps"].join(self.of(tree))

    def _select(self, select: exp.Select) -> Iterator[str]:
        names = _Names.of(select)
        start = select.args.get("from_")
        if start is None:
            yield self._words["gives values"]
        else:
            yield self._say("reads", table=self._source(start.this, names))
        for join in select.args.get("joins") or []:
            yield self._join(join, names)
        if where := select.args.get("where"):
            yield self._say("keeps", condition=self._condition(where.this, names))
        if group := select.args.get("group"):
            yield self._say("groups", keys=self._listed(self._phrase(key, names) for key in group.expressions))
        if having := select.args.get("having"):
            yield self._say("keeps groups", condition=self._condition(having.this, names))
        different = "shows different" if select.args.get("distinct") else "shows"
        yield self._say(different, items=self._items(select, names))
        yield from self._order_and_limit(select, names)

    def _order_and_limit(self, tree: exp.Expr, names: _Names) -> Iterator[str]:
        order, limit, offset = (tree.args.get(part) for part in ("order", "limit", "offset"))
        if order:
            keys = self._words["then"].join(self._ordered(key, names) for key in order.expressions)
            yield self._say("sorts", keys=keys)
        if offset:
            yield self._say("skips", count=self._phrase(offset.expression, names))
        if limit:
            count = self._phrase(limit.expression, names) if limit.expression else ""
            yield self._words["limits one"] if count == "1" else self._say("limits", count=count)

    def _ordered(self, key: exp.Expr, names: _Names) -> str:
        direction = "descending" if key.args.get("desc") else "ascending"
        return self._say(direction, x=self._phrase(key.this if isinstance(key, exp.Ordered) else key, names))

    def _items(self, select: exp.Select, names: _Names) -> str:
        return self._listed(self._phrase(item, names) for item in select.expressions)

    def _join(self, join: exp.Join, names: _Names) -> str:
        table, on, using = self._source(join.this, names), join.args.get("on"), join.args.get("using") or []
        if on is None and not using:
            return self._say("joins all", table=table)
        condition = self._condition(on, names) if on is not None else self._listed(self._name(x.name) for x in using)
        return self._say(_JOINS.get(join.side, "joins"), table=table, on=condition)

    def _source(self, node: exp.Expr, names: _Names) -> str:
        if isinstance(node, exp.Table):
            return self._name(names.table(node.alias_or_name))
        return self._inner(node)

    def _inner(self, node: exp.Expr) -> str:
        """A query within a query, in brackets."""
        while isinstance(node, exp.Subquery | exp.Paren):
            node = node.this
        simple = isinstance(node, exp.Select) and node.args.get("from_") is not None
        simple = simple and not any(node.args.get(part) for part in ("joins", "group", "order", "limit", "with_"))
        if not simple or not isinstance(node, exp.Select):
            return self._say("brackets", x=self._steps(node).rstrip(".。"))
        names = _Names.of(node)
        items, table = self._items(node, names), self._source(node.args["from_"].this, names)
        if node.args.get("distinct"):
            items = self._say("different", x=items)
        where = node.args.get("where")
        if where is None:
            return self._say("inner", items=items, table=table)
        return self._say("inner where", items=items, table=table, condition=self._condition(where.this, names))

    # Conditions

    def _condition(self, node: exp.Expr, names: _Names, *, negated: bool = False) -> str:
        if isinstance(node, exp.And | exp.Or):
            word = self._words["and" if isinstance(node, exp.And) else "or"]
            text = word.join(self._condition(part, names) for part in node.flatten(unnest=False))
            return self._say("not", a=text) if negated else text
        if isinstance(node, exp.Paren):
            inner = self._condition(node.this, names, negated=negated)
            bracketed = isinstance(node.this, exp.And | exp.Or) and not negated
            return self._say("brackets", x=inner) if bracketed else inner
        if isinstance(node, exp.Not):
            return self._condition(node.this, names, negated=not negated)
        return self._test(node, names, negated != bool(node.args.get("negate")))

    def _test(self, node: exp.Expr, names: _Names, negated: bool) -> str:
        no = "not " if negated else ""
        if type(node) in _COMPARISONS:
            sign = _COMPARISONS[type(node)]
            a, b = self._phrase(node.this, names), self._phrase(node.expression, names)
            return self._say(_OPPOSITE[sign] if negated else sign, a=a, b=b)
        if isinstance(node, exp.In | exp.Like | exp.ILike):
            return self._membership(node, names, no) if isinstance(node, exp.In) else self._matching(node, names, no)
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            return self._say(f"{no}missing", a=self._phrase(node.this, names))
        if isinstance(node, exp.Between):
            low, high = (self._phrase(node.args[end], names) for end in ("low", "high"))
            return self._say(f"{no}between", a=self._phrase(node.this, names), low=low, high=high)
        text = self._inner(node.this) if isinstance(node, exp.Exists) else self._phrase(node, names)
        if isinstance(node, exp.Exists):
            return self._say(f"{no}exists", query=text)
        return self._say("not", a=text) if negated else text

    def _membership(self, node: exp.In, names: _Names, no: str) -> str:
        a, query = self._phrase(node.this, names), node.args.get("query")
        if query is not None:
            return self._say(f"{no}in query", a=a, query=self._inner(query))
        members = self._words["list"].join(self._phrase(member, names) for member in node.expressions)
        return self._say(f"{no}in", a=a, members=members)

    def _matching(self, node: exp.Expr, names: _Names, no: str) -> str:
        a, pattern = self._phrase(node.this, names), node.expression
        if not (isinstance(pattern, exp.Literal) and pattern.is_string):
            return self._say(f"{no}like", a=a, b=self._phrase(pattern, names))
        text = pattern.this
        middle = text.strip("%")
        kinds = {(True, True): "contains", (False, True): "begins", (True, False): "ends", (False, False): "="}
        kind = kinds[text.startswith("%"), text.endswith("%")]
        if "%" in middle or "_" in middle or not middle or kind == "=":
            return self._say(f"{no}like", a=a, b=self._text(text))
        return self._say(f"{no}{kind}", a=a, b=self._text(middle))

    # Values

    def _phrase(self, node: exp.Expr, names: _Names) -> str:
        if isinstance(node, exp.Alias):
            return self._phrase(node.this, names)
        if isinstance(node, exp.Column | exp.Star):
            return self._column(node, names)
        if isinstance(node, exp.Literal):
            return self._text(node.this) if node.is_string else str(node.this)
        if isinstance(node, exp.Paren | exp.Subquery):
            inner = isinstance(node, exp.Subquery)
            return self._inner(node) if inner else self._say("brackets", x=self._phrase(node.this, names))
        if type(node) in _ARITHMETIC:
            left, right = self._phrase(node.this, names), self._phrase(node.expression, names)
            return f"{left} {_ARITHMETIC[type(node)]} {right}"
        return self._aggregate(node, names) or node.sql(self._dialect)

    def _column(self, node: exp.Expr, names: _Names) -> str:
        if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
            return self._name(names.column(node))
        table = node.table if isinstance(node, exp.Column) else ""
        return (
            self._say("every column of", table=self._name(names.table(table))) if table else self._say("every column")
        )

    def _aggregate(self, node: exp.Expr, names: _Names) -> str | None:
        inner = node.this
        different = isinstance(inner, exp.Distinct)
        if isinstance(inner, exp.Distinct):
            argument = self._listed(self._phrase(each, names) for each in inner.expressions)
        elif isinstance(inner, exp.Expr):
            argument = self._phrase(inner, names)
        else:
            return None
        if isinstance(node, exp.Count):
            if isinstance(inner, exp.Star):
                return self._words["rows"]
            return self._say("count different" if different else "count", x=argument)
        if type(node) not in _AGGREGATES:
            return None
        return self._say(_AGGREGATES[type(node)], x=self._say("different", x=argument) if different else argument)

    def _listed(self, phrases: Iterator[str] | Sequence[str]) -> str:
        every = list(phrases)
        if len(every) < 2:
            return "".join(every)
        return self._words["list"].join(every[:-1]) + self._words["last of list"] + every[-1]

    def _name(self, name: str) -> str:
        """A name, in quotes where it could be taken for words of the sentence."""
        return name if self._plain_names and _WORD.fullmatch(name) else self._say("name", name=name)

    def _text(self, text: str) -> str:
        return self._say("text", text=text)

    def _say(self, template: str, **parts: str) -> str:
        return self._words[template].format(**parts)


class _Names:
    """What a query calls its tables, and whether a column needs its table's name to be understood."""

    def __init__(self, tables: Mapping[str, str], *, several: bool) -> None:
        self._tables = tables
        self._several = several

    @classmethod
    def of(cls, select: exp.Select) -> _Names:
        """Read the names from FROM and JOIN."""
        start = select.args.get("from_")
        nodes = [start.this] if start is not None else []
        nodes += [join.this for join in select.args.get("joins") or []]
        tables = [node for node in nodes if isinstance(node, exp.Table)]
        full = {node.alias_or_name: ".".join(part.name for part in node.parts) for node in tables}
        # a table that is joined with itself keeps its aliases
        twice = {name for name in full.values() if list(full.values()).count(name) > 1}
        shown = {alias: f"{name} ({alias})" if name in twice else name for alias, name in full.items()}
        return cls(shown, several=len(nodes) > 1)

    def table(self, called: str) -> str:
        """Return the table behind the name that the query uses."""
        return self._tables.get(called, called)

    def column(self, node: exp.Column) -> str:
        """Return a column, with its table where there are several."""
        if not node.table or not self._several:
            return node.name
        return f"{self.table(node.table)}.{node.name}"
