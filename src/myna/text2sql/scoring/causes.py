"""Why an answer is wrong: one of a few causes, found by comparing its syntax tree with the gold query's.

Both queries, and the error that the predicted one met, go in. The causes are ordered: what the database says of it
first, then what it reads, what it selects, its conditions, and what is done with the rows. All that differ are
returned, the first is the cause. Runs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from myna.databases.schema import Schema
from myna.errors import QueryError, QueryErrorKind
from myna.text2sql.scoring.normal_form import normal_form
from myna.text2sql.scoring.verdict import Verdict
from myna.text2sql.syntax import nesting_bounded

NO_SQL = "no SQL"
NOT_JUDGED = "not judged"
"""The process that judged the answer failed or hung: ours to mend, and counted as wrong."""
OTHER = "other"

_OF_ERROR: dict[QueryErrorKind, str] = {
    "syntax": "does not parse",
    "refused": "not a query",
    "unknown table": "unknown table",
    "unknown column": "unknown column",
    "time": "time limit",
    "memory": "memory limit",
    "database": "error of the database",
}

CAUSES = (
    NO_SQL,
    *_OF_ERROR.values(),
    "wrong set operation",
    "wrong table",
    "wrong join",
    "wrong aggregate",
    "wrong column",
    "missing condition",
    "extra condition",
    "wrong condition column",
    "wrong operator",
    "wrong condition value",
    "wrong grouping",
    "wrong order or limit",
    "wrong distinct",
    OTHER,
    NOT_JUDGED,
)
"""All causes, in the order in which the first that applies is given."""


def cause_of_error(error: QueryError) -> str:
    """Return the cause that an error of the predicted SQL is."""
    return _OF_ERROR[error.kind]


def differences(gold: str, predicted: str, dialect: str, schema: Schema | None = None) -> tuple[str, ...]:
    """Return in what two queries that can be parsed differ, in the order of `CAUSES`; `other` when nothing is found."""
    gold_tree, predicted_tree = (normal_form(sql, dialect, schema) for sql in (gold, predicted))
    if gold_tree is None or predicted_tree is None:
        return (OTHER,)
    try:
        with nesting_bounded():
            return _found(gold_tree, predicted_tree)
    except QueryError:
        return (OTHER,)


def _found(gold: exp.Expr, predicted: exp.Expr) -> tuple[str, ...]:
    # Which table a column belongs to counts only where nothing else differs: a wrong table is not a wrong column too.
    found: set[str] = set()
    for qualified in (False, True):
        parts = [_Parts.of(tree, qualified=qualified) for tree in (gold, predicted)]
        found = found or set(_differences(*parts))
    return tuple(cause for cause in CAUSES if cause in found) or (OTHER,)


def because(verdict: Verdict, *causes: str, message: str = "") -> Verdict:
    """Return the verdict with why it is wrong."""
    return replace(verdict, cause=causes[0], differences=causes, message=message)


@dataclass(frozen=True, slots=True)
class _Condition:
    """A comparison in WHERE: `column` `operator` `value`, as text; negated ones have "not " before the operator."""

    column: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a query is made of, all its nested queries included."""

    tables: Counter[str]
    joins: Counter[str]
    set_operations: Counter[str]
    aggregates: Counter[str]
    columns: Counter[str]
    conditions: Counter[_Condition]
    connectors: Counter[str]
    grouping: Counter[str]
    order: Counter[str]
    distinct: int

    @classmethod
    def of(cls, tree: exp.Expr, *, qualified: bool) -> _Parts:
        """Take the normal form `tree` apart, with the names of tables before columns or without."""
        tree = tree.copy()
        selects = list(tree.find_all(exp.Select))
        wheres = [select.args["where"].this for select in selects if select.args.get("where") is not None]
        leaves = [leaf for where in wheres for leaf in _leaves(where, negated=False)]
        joining = [leaf for leaf, _ in leaves if _is_join(leaf)]
        comparing = [(leaf, negated) for leaf, negated in leaves if not _is_join(leaf)]
        outer = [f"{join.side} {join.kind} {_sql(join.args.get('on'))}" for join in tree.find_all(exp.Join)]
        joins = Counter([*map(_sql, joining), *(join for join in outer if join.strip())])
        if not qualified:
            for column in tree.find_all(exp.Column):
                column.set("table", None)
        projected = [each for select in selects for each in select.expressions]
        return cls(
            tables=Counter(table.name for table in tree.find_all(exp.Table)),
            joins=joins,
            set_operations=Counter(type(node).__name__ for node in tree.find_all(exp.SetOperation)),
            aggregates=Counter(name for each in projected if (name := _aggregate(each))),
            columns=Counter(column for each in projected for column in _columns(each)),
            conditions=Counter(_condition(leaf, negated) for leaf, negated in comparing),
            connectors=Counter(type(node).__name__ for where in wheres for node in where.find_all(exp.Or)),
            grouping=Counter(_clauses(selects, "group", "having")),
            order=Counter([*_clauses([tree], "order", "limit", "offset"), *_inner_order(tree)]),
            distinct=sum(1 for _ in tree.find_all(exp.Distinct)),
        )


def _differences(gold: _Parts, predicted: _Parts) -> Iterator[str]:
    if gold.set_operations != predicted.set_operations:
        yield "wrong set operation"  # the rest differs because of it
        return
    if gold.tables != predicted.tables:
        # One side joins a table more, or they read different ones.
        more = gold.tables - predicted.tables and predicted.tables - gold.tables
        yield "wrong table" if more or not (gold.tables & predicted.tables) else "wrong join"
    if gold.joins != predicted.joins:
        yield "wrong join"
    if gold.aggregates != predicted.aggregates:
        yield "wrong aggregate"
    if gold.columns != predicted.columns:
        yield "wrong column"
    yield from _condition_differences(gold.conditions, predicted.conditions)
    if gold.connectors != predicted.connectors:
        yield "wrong operator"
    if gold.grouping != predicted.grouping:
        yield "wrong grouping"
    if gold.order != predicted.order:
        yield "wrong order or limit"
    if gold.distinct != predicted.distinct:
        yield "wrong distinct"


def _condition_differences(gold: Counter[_Condition], predicted: Counter[_Condition]) -> Iterator[str]:
    missing, extra = list((gold - predicted).elements()), list((predicted - gold).elements())
    if len(missing) != len(extra):
        yield "missing condition" if len(missing) > len(extra) else "extra condition"
        return
    columns = [Counter(each.column for each in side) for side in (missing, extra)]
    if columns[0] != columns[1]:
        yield "wrong condition column"
        return
    for name, cause in (("operator", "wrong operator"), ("value", "wrong condition value")):
        sides = [Counter((each.column, getattr(each, name)) for each in side) for side in (missing, extra)]
        if sides[0] != sides[1]:
            yield cause


def _leaves(node: exp.Expr, *, negated: bool) -> Iterator[tuple[exp.Expr, bool]]:
    """Yield the comparisons of a condition, with whether NOT stands before them."""
    if isinstance(node, exp.Connector):
        yield from _leaves(node.this, negated=negated)
        yield from _leaves(node.expression, negated=negated)
    elif isinstance(node, exp.Not):
        yield from _leaves(node.this, negated=not negated)
    else:
        yield node, negated


def _is_join(node: exp.Expr) -> bool:
    left, right = node.this, node.args.get("expression")
    if not isinstance(left, exp.Column) or not isinstance(right, exp.Column):
        return False
    return isinstance(node, exp.EQ) and left.table != right.table


def _condition(node: exp.Expr, negated: bool) -> _Condition:
    operator = f"{'not ' if negated else ''}{type(node).__name__}"
    rest = [value for key, value in sorted(node.args.items()) if key != "this"]
    values = [each for value in rest for each in (value if isinstance(value, list) else [value])]
    # A nested query's own parts are compared as such; here it only counts that one stands there.
    shown = ["(query)" if _holds_query(each) else _sql(each) for each in values if each is not None]
    column = "(query)" if _holds_query(node.this) else _sql(node.this)
    return _Condition(column, operator, ", ".join(shown))


def _holds_query(node: object) -> bool:
    return isinstance(node, exp.Expr) and node.find(exp.Query) is not None


def _aggregate(projected: exp.Expr) -> str:
    """Return the aggregates of one selected expression from the outside in; empty without any."""
    return " ".join(
        type(node).__name__ for node in projected.find_all(exp.AggFunc) if not isinstance(node, exp.Distinct)
    )


def _columns(projected: exp.Expr) -> Iterator[str]:
    """Yield the columns of one selected expression, `*` among them."""
    for node in projected.find_all(exp.Column, exp.Star):
        if not (isinstance(node, exp.Star) and isinstance(node.parent, exp.Column)):
            yield _sql(node)


def _clauses(queries: Sequence[exp.Expr], *names: str) -> Iterator[str]:
    for query in queries:
        for name in names:
            if query.args.get(name) is not None:
                yield _sql(query.args[name])


def _inner_order(tree: exp.Expr) -> Iterator[str]:
    """Yield order and limit of nested queries; they count where they choose rows."""
    for query in tree.find_all(exp.Query):
        if query is not tree:
            yield from _clauses([query], "order", "limit", "offset")


def _sql(node: object) -> str:
    return node.sql(comments=False) if isinstance(node, exp.Expr) else str(node or "")
