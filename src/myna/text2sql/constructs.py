"""What a query is made of: SQL → the names of its constructs, by which scores are told apart.

Knows no database and no data set.
"""

from __future__ import annotations

from sqlglot import exp

from myna.text2sql.syntax import parse_query

CONSTRUCTS = (
    "where",
    "several conditions",
    "or",
    "not",
    "like",
    "between",
    "in",
    "null",
    "aggregate",
    "count",
    "sum",
    "average",
    "minimum",
    "maximum",
    "distinct",
    "arithmetic",
    "join",
    "group by",
    "having",
    "order by",
    "limit",
    "subquery",
    "set operation",
    "with",
    "case",
    "window",
)
"""All names, in the order in which a table of them reads well."""

_BY_NODE: dict[type[exp.Expr], tuple[str, ...]] = {
    exp.Where: ("where",),
    exp.And: ("several conditions",),
    exp.Or: ("several conditions", "or"),
    exp.Not: ("not",),
    exp.NEQ: ("not",),
    exp.Like: ("like",),
    exp.ILike: ("like",),
    exp.Between: ("between",),
    exp.In: ("in",),
    exp.Is: ("null",),
    exp.Count: ("count",),
    exp.Sum: ("sum",),
    exp.Avg: ("average",),
    exp.Min: ("minimum",),
    exp.Max: ("maximum",),
    exp.Distinct: ("distinct",),
    exp.Add: ("arithmetic",),
    exp.Sub: ("arithmetic",),
    exp.Mul: ("arithmetic",),
    exp.Div: ("arithmetic",),
    exp.Mod: ("arithmetic",),
    exp.Join: ("join",),
    exp.Group: ("group by",),
    exp.Having: ("having",),
    exp.Limit: ("limit",),
    exp.Union: ("set operation",),
    exp.Intersect: ("set operation",),
    exp.Except: ("set operation",),
    exp.With: ("with",),
    exp.Case: ("case",),
    exp.If: ("case",),
    exp.Window: ("window",),
}


def constructs(sql: str, dialect: str) -> frozenset[str]:
    """Return which of `CONSTRUCTS` the query has, anywhere in it. None of them: a plain SELECT of columns.

    dialect: sqlglot's name of it. Raises `QueryError` (syntax).
    """
    found: set[str] = set()
    for node in parse_query(sql, dialect).walk():
        found.update(_BY_NODE.get(type(node), ()))
        if isinstance(node, exp.AggFunc) and not isinstance(node.parent, exp.Window):
            found.add("aggregate")
        if node.args.get("negate"):
            found.add("not")
        if isinstance(node, exp.Order) and not isinstance(node.parent, exp.Window):
            found.add("order by")
        if isinstance(node, exp.Query) and _is_nested(node):
            found.add("subquery")
    return frozenset(found)


def _is_nested(query: exp.Query) -> bool:
    """Whether a query stands within another one, other than as a branch of a set operation or a part of WITH."""
    parent = query.parent
    if isinstance(query, exp.Subquery):
        # The parentheses around a query; around a whole branch or the whole statement they nest nothing.
        return isinstance(query.this, exp.Query) and parent is not None and not isinstance(parent, exp.SetOperation)
    return parent is not None and not isinstance(parent, exp.SetOperation | exp.Subquery | exp.CTE)
