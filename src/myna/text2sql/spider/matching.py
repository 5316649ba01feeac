"""Exact set match and hardness, by Spider's published definitions.

Two queries and a schema go in, a verdict comes out; no query is run.

**Exact set match** (Yu et al. 2018, section 6, as the evaluator published with the test suites computes it): two
queries match when each of `COMPONENTS` does.

- SELECT, and the conditions of WHERE, are multisets; GROUP BY, HAVING and ORDER BY are lists; FROM is a multiset of
  tables, and what stands after ON does not count; a LIMIT is there or not. The words AND and OR of WHERE are a set, and
  so are the keywords of the whole query. Set operations match when the queries on both sides do.
- Values don't count: neither literals nor columns on the right of a comparison. DISTINCT does not count. Table aliases
  are resolved; columns that foreign keys join count as one, where their tables stand in the first FROM.
- A nested query, in FROM or in a condition, is one part: it matches one that is written alike, with DISTINCT and the
  order of its parts, values left out.

**Hardness** counts components in the gold query (the tables of `hardness`). Two of the evaluator's habits are kept,
because every published table by hardness has them: HAVING is no component, and a negated condition counts as an
aggregate, as does each AND or OR of HAVING.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal, TypeAlias

from myna.databases.schema import Schema
from myna.errors import QueryError
from myna.text2sql.spider.clauses import Clauses, Condition, Part, read_clauses
from myna.text2sql.syntax import nesting_bounded, parse_query

Hardness: TypeAlias = Literal["easy", "medium", "hard", "extra"]

COMPONENTS = (
    "select",
    "select (no aggregate)",
    "where",
    "where (no operator)",
    "group by (no having)",
    "group by",
    "order by",
    "and/or",
    "set operation",
    "keywords",
    "tables",
)
"""What is matched by itself; the first ten are the evaluator's partial matches."""

_DIALECT = "sqlite"


def exact_set_match(gold_sql: str, predicted_sql: str, schema: Schema, *, values: bool = False) -> bool:
    """Whether two queries match by the definition above.

    A prediction that can't be parsed, or names a column that none of its tables has, matches nothing.

    schema: of the question's database, with its foreign keys as the benchmark has them (`read_schemas`).
    values: whether literals count too. Raises `QueryError` when the gold query can't be parsed.
    """
    return all(component_matches(gold_sql, predicted_sql, schema, values=values).values())


def component_matches(gold_sql: str, predicted_sql: str, schema: Schema, *, values: bool = False) -> Mapping[str, bool]:
    """Return for each of `COMPONENTS` whether the two queries match in it; parameters as in `exact_set_match`."""
    gold = _clauses(gold_sql, schema, values, strict=False)
    try:
        predicted = _clauses(predicted_sql, schema, values, strict=True)
        with nesting_bounded():
            return _compare(gold, predicted)
    except QueryError:
        return dict.fromkeys(COMPONENTS, False)


@lru_cache(maxsize=64)  # a gold query meets many predictions
def _clauses(sql: str, schema: Schema, values: bool, *, strict: bool) -> Clauses:
    with nesting_bounded():
        return read_clauses(parse_query(sql, _DIALECT), schema, values=values, strict=strict)


def _compare(gold: Clauses, predicted: Clauses) -> dict[str, bool]:
    def same_list(name: str) -> bool:
        return bool(getattr(gold, name) == getattr(predicted, name))

    def same_multiset(parts: Iterable[Part], others: Iterable[Part]) -> bool:
        return Counter(parts) == Counter(others)

    ordered_alike = same_list("order_by") and same_list("direction")
    return {
        "select": same_multiset(gold.select, predicted.select),
        "select (no aggregate)": same_multiset(
            (item[1] for item in gold.select), (item[1] for item in predicted.select)
        ),
        "where": same_multiset(gold.where.items, predicted.where.items),
        "where (no operator)": same_multiset(
            (item.part for item in gold.where.items), (item.part for item in predicted.where.items)
        ),
        "group by (no having)": same_multiset(map(_column, gold.group_by), map(_column, predicted.group_by)),
        "group by": not (gold.group_by or predicted.group_by) or (same_list("group_by") and same_list("having")),
        "order by": not (gold.order_by or predicted.order_by) or (ordered_alike and same_list("limit")),
        "and/or": set(gold.where.connectors) == set(predicted.where.connectors),
        "set operation": _same_operation(gold, predicted),
        "keywords": _keywords(gold) == _keywords(predicted),
        "tables": same_multiset(gold.tables, predicted.tables),
    }


def _column(part: Part) -> Part:
    """Return the name of a column without its table."""
    return part.rpartition(".")[2] if isinstance(part, str) else part


def _same_operation(gold: Clauses, predicted: Clauses) -> bool:
    if gold.operand is None or predicted.operand is None:
        return gold.operand is predicted.operand
    return gold.operation == predicted.operation and all(_compare(gold.operand, predicted.operand).values())


def _conditions(clauses: Clauses) -> tuple[Condition, ...]:
    return clauses.on.items + clauses.where.items + clauses.having.items


def _connectors(clauses: Clauses) -> tuple[str, ...]:
    return clauses.on.connectors + clauses.where.connectors + clauses.having.connectors


def _keywords(clauses: Clauses) -> frozenset[str]:
    present = {
        "where": clauses.where.items,
        "group by": clauses.group_by,
        "having": clauses.having.items,
        "order by": clauses.order_by,
        clauses.direction: clauses.order_by,
        "limit": clauses.limit,
        clauses.operation: clauses.operation,
        "or": "or" in _connectors(clauses),
        "not": any(condition.negated for condition in _conditions(clauses)),
        "in": any(condition.operator == "in" for condition in _conditions(clauses)),
        "like": any(condition.operator == "like" for condition in _conditions(clauses)),
    }
    return frozenset(word for word, is_there in present.items() if is_there) | clauses.other_keywords


def hardness(sql: str) -> Hardness:
    """Return the hardness of a gold query. Raises `QueryError` when it can't be parsed.

    One kind counts WHERE, GROUP BY, ORDER BY, LIMIT, and each JOIN, OR and LIKE; another each nested query and set
    operation; a third how many are true of: several aggregates, several columns selected, several conditions in WHERE,
    several columns in GROUP BY.

    | | first | second | third |
    |---|---|---|---|
    | easy | ≤ 1 | 0 | 0 |
    | medium | ≤ 1 | 0 | ≤ 2 |
    | medium | 2 | 0 | ≤ 1 |
    | hard | ≤ 2 | 0 | > 2 (medium's bounds exceeded) |
    | hard | 3 | 0 | ≤ 2 |
    | hard | ≤ 1 | 1 | 0 |
    | extra | all others | | |
    """
    clauses = _clauses(sql, Schema(()), False, strict=False)
    first, second, third = _first_kind(clauses), _second_kind(clauses), _third_kind(clauses)
    if second == 0:
        if first <= 1 and third == 0:
            return "easy"
        if (first <= 1 and third <= 2) or (first <= 2 and third < 2):
            return "medium"
        if (first <= 2 and third > 2) or (first == 3 and third <= 2):
            return "hard"
    return "hard" if first <= 1 and second == 1 and third == 0 else "extra"


def _first_kind(clauses: Clauses) -> int:
    present = (clauses.where.items, clauses.group_by, clauses.order_by, clauses.limit)
    likes = sum(condition.operator == "like" for condition in _conditions(clauses))
    joins = max(len(clauses.tables) - 1, 0)
    return sum(map(bool, present)) + joins + _connectors(clauses).count("or") + likes


def _second_kind(clauses: Clauses) -> int:
    nested = sum(isinstance(value, Clauses) for condition in _conditions(clauses) for value in condition.values)
    return nested + (clauses.operand is not None)


def _third_kind(clauses: Clauses) -> int:
    negated = sum(condition.negated for condition in clauses.where.items + clauses.having.items)
    in_order = sum(_aggregates(part) for part in clauses.order_by)
    in_group = sum(_aggregates(part) for part in clauses.group_by)
    selected = sum(bool(aggregate) for aggregate, _ in clauses.select)
    aggregates = selected + negated + in_order + in_group + len(clauses.having.connectors)
    several = (aggregates, len(clauses.select), len(clauses.where.items), len(clauses.group_by))
    return sum(number > 1 for number in several)


def _aggregates(part: Part) -> int:
    """Count the aggregates of a part: itself, or both sides of arithmetic."""
    if not isinstance(part, tuple):
        return 0
    if part[0] in ("+", "-", "*", "/"):
        return _aggregates(part[1]) + _aggregates(part[2])
    return int(part[0] in ("max", "min", "count", "sum", "avg"))
