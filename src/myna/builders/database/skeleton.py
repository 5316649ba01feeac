"""A query's skeleton: its constructs and the shape of its joins, without names and values.

    SELECT T1.name, COUNT(*) FROM a AS T1 JOIN b AS T2 ON T1.id = T2.a WHERE T2.x != 'y' GROUP BY T1.id
    SELECT COUNT(*), _ FROM t JOIN t ON _ = _ WHERE _ <> ? GROUP BY _

`_` is a column, `?` a value. What differs by names, by spelling (`!=`, ASC, parentheses that change nothing) or by the
order of chosen columns, of conditions or of joins has the same skeleton. Knows no schema.
"""

from __future__ import annotations

from sqlglot import exp

from myna.text2sql.syntax import nesting_bounded, parse_query

_SIGNS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.Like: "LIKE",
    exp.Is: "IS",
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
}
_CLAUSES = (("where", "WHERE"), ("group", "GROUP BY"), ("having", "HAVING"), ("order", "ORDER BY"), ("limit", "LIMIT"))


@nesting_bounded()
def skeleton(sql: str, dialect: str = "sqlite") -> str:
    """Return the skeleton of a query. dialect: sqlglot's name of its SQL. Raises `QueryError` (syntax)."""
    return _text(parse_query(sql, dialect))


def _text(node: exp.Expr) -> str:  # noqa: PLR0911, PLR0912 -- one return for each kind of node
    if type(node) in _SIGNS:
        return f"{_text(node.this)} {_SIGNS[type(node)]} {_right(node)}"
    match node:
        case exp.Select():
            return _select(node)
        case exp.SetOperation():
            every = " ALL" if isinstance(node, exp.Union) and node.args.get("distinct") is False else ""
            return f"{_text(node.this)} {type(node).__name__.upper()}{every} {_text(node.expression)}"
        case exp.Subquery():
            return f"({_text(node.this)})"
        case exp.Paren() | exp.Alias() | exp.Where() | exp.Having():
            return _text(node.this)
        case exp.Column():
            return "*" if isinstance(node.this, exp.Star) else "_"
        case exp.Star():
            return "*"
        case exp.Literal() | exp.Boolean() | exp.Neg() | exp.Null():
            return "NULL" if isinstance(node, exp.Null) else "?"
        case exp.And() | exp.Or():
            return _connected(node)
        case exp.Not():
            return f"NOT {_text(node.this)}"
        case exp.Between():
            return f"{_text(node.this)} BETWEEN ? AND ?"
        case exp.In():
            query = node.args.get("query")
            return f"{_text(node.this)} IN {_text(query) if query else '(?)'}"
        case exp.Ordered():
            return _text(node.this) + (" DESC" if node.args.get("desc") else "")
        case exp.Limit():
            return "?"
        case exp.Distinct():
            return "DISTINCT " + ", ".join(map(_text, node.expressions))
        case exp.Group() | exp.Order():
            return ", ".join(map(_text, node.expressions))
        case exp.Func():
            return f"{node.sql_name()}({_text(node.this) if node.this else ''})"
    return f"<{node.key}>"


def _right(node: exp.Expr) -> str:
    """The right side of an operator, where a text in double quotes, as Spider has them, is a value."""
    right = node.expression
    quoted = isinstance(right, exp.Column) and not right.table and right.this.args.get("quoted")
    return "?" if quoted else _text(right)


def _select(node: exp.Select) -> str:
    distinct = "DISTINCT " if node.args.get("distinct") else ""
    items = sorted(map(_text, node.expressions))
    parts = [f"SELECT {distinct}{', '.join(items)} {_sources(node)}"]
    parts += [f"{words} {_text(node.args[name])}" for name, words in _CLAUSES if node.args.get(name)]
    parts += [f"<{name}>" for name in ("with_", "offset", "windows", "qualify") if node.args.get(name)]
    return " ".join(parts)


def _sources(node: exp.Select) -> str:
    """FROM and its joins. The conditions stand together: which of the joins they were written at changes nothing."""
    start = node.args.get("from_")
    joins = node.args.get("joins") or []
    if start is None:
        return "<no table>"
    tables = ["t" if isinstance(each.this, exp.Table) else _text(each.this) for each in (start, *joins)]
    sides = sorted(join.side for join in joins)
    text = tables[0] + "".join(
        f" {side} JOIN {table}".replace("  ", " ") for side, table in zip(sides, tables[1:], strict=True)
    )
    conditions = [
        join.args["on"] for join in joins if join.args.get("on") and not isinstance(join.args["on"], exp.Boolean)
    ]
    count = sum(len(list(each.unnest().flatten())) if isinstance(each.unnest(), exp.And) else 1 for each in conditions)
    return f"FROM {text}" + (f" ON {' AND '.join(['_ = _'] * count)}" if count else "")


def _connected(node: exp.Expr) -> str:
    """Conditions of one connective in alphabetical order; a different one among them in parentheses."""
    parts = []
    for part in node.flatten():
        inner = part.unnest() if isinstance(part, exp.Paren) else part
        text = _text(inner)
        parts.append(f"({text})" if isinstance(inner, exp.And | exp.Or) else text)
    return (" AND " if isinstance(node, exp.And) else " OR ").join(sorted(parts))
