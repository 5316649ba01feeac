import random
import sqlite3
from collections import Counter
from decimal import Decimal
from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.databases.query import Result
from myna.errors import QueryError
from myna.text2sql.comparison import is_ordered, same_result

CELLS = st.sampled_from([None, 0, 1, 1.0, 2, "1", "a", "A", b"a", True, -0.5])


def result(rows, *, truncated=False):
    width = len(rows[0]) if rows else 1
    return Result(tuple(f"c{n}" for n in range(width)), tuple(map(tuple, rows)), truncated, 0.0)


def tables(rows=5, columns=4):
    return st.integers(1, columns).flatmap(
        lambda width: st.lists(st.tuples(*[CELLS] * width), min_size=1, max_size=rows)
    )


def by_trying_everything(gold, predicted, ordered):
    """The published rule in its plainest form: some order of columns makes the rows equal."""
    if not gold and not predicted:
        return True
    if len(gold) != len(predicted) or len(gold[0]) != len(predicted[0]):
        return False
    for order in permutations(range(len(gold[0]))):
        turned = [tuple(row[column] for column in order) for row in predicted]
        if turned == gold if ordered else Counter(turned) == Counter(gold):
            return True
    return False


@given(st.data(), st.booleans())
@settings(max_examples=400, deadline=None)
def test_the_answer_is_that_of_trying_every_order_of_columns(data, ordered):
    gold = data.draw(tables())
    if data.draw(st.booleans()):
        predicted = data.draw(tables())
    else:  # a near miss: rows and columns in another order, perhaps one cell changed
        order = data.draw(st.permutations(range(len(gold[0]))))
        predicted = [tuple(row[column] for column in order) for row in gold]
        predicted = predicted if ordered else data.draw(st.permutations(predicted))
        if data.draw(st.booleans()):
            row, column = data.draw(st.sampled_from([*product(range(len(gold)), range(len(gold[0])))]))
            changed = list(predicted[row])
            changed[column] = data.draw(CELLS)
            predicted = [*predicted[:row], tuple(changed), *predicted[row + 1 :]]
    expected = by_trying_everything(gold, predicted, ordered)
    assert same_result(result(gold), result(predicted), ordered=ordered) is expected


@pytest.mark.parametrize("ordered", [True, False])
def test_thirty_columns_of_zeros_and_ones_are_compared_without_trying_their_orders(ordered):
    rng = random.Random(1)
    gold = [tuple(rng.randint(0, 1) for _ in range(30)) for _ in range(40)]
    order = rng.sample(range(30), 30)
    turned = [tuple(row[column] for column in order) for row in gold]
    assert same_result(result(gold), result(turned), ordered=ordered)
    one = list(turned[7])
    one[3] = 1 - one[3]
    assert not same_result(result(gold), result([*turned[:7], tuple(one), *turned[8:]]), ordered=ordered)


def test_columns_that_only_their_pattern_tells_apart_are_matched_exactly():
    # One ring of 12 columns against two rings of 6: every column has the same cells, every row too.
    def rings(*sizes):
        rows, start = [], 0
        for size in sizes:
            for place in range(size):
                row = [0] * sum(sizes)
                row[start + place] = row[start + (place + 1) % size] = 1
                rows.append(tuple(row))
            start += size
        return rows

    rng = random.Random(3)
    order = rng.sample(range(12), 12)
    shuffled = [tuple(row[column] for column in order) for row in rng.sample(rings(12), 12)]
    assert same_result(result(rings(12)), result(shuffled), ordered=False)
    assert not same_result(result(rings(12)), result(rings(6, 6)), ordered=False)


def test_many_equal_columns_cost_nothing():
    gold = [tuple([row] * 40) for row in range(200)]
    assert same_result(result(gold), result(gold[::-1]), ordered=False)
    assert not same_result(result(gold), result([*gold[:-1], (*[7] * 39, 8)]), ordered=False)


def test_columns_move_as_wholes_and_not_row_by_row():
    assert same_result(result([(1, 2), (3, 4)]), result([(2, 1), (4, 3)]), ordered=False)
    assert not same_result(result([(1, 2), (3, 4)]), result([(2, 1), (3, 4)]), ordered=False)


def test_rows_are_a_multiset_unless_the_gold_orders():
    once, twice = result([(1,), (2,)]), result([(1,), (2,), (2,)])
    assert not same_result(once, twice, ordered=False)
    assert not same_result(result([(1,), (1,), (2,)]), twice, ordered=False)
    assert same_result(once, result([(2,), (1,)]), ordered=False)
    assert not same_result(once, result([(2,), (1,)]), ordered=True)


@pytest.mark.parametrize(
    ("gold", "predicted", "same"),
    [
        (1, 1.0, True),
        (Decimal("1.50"), 1.5, True),
        (0.1 + 0.2, 0.3, False),  # no tolerance, as in the published evaluators
        (1, "1", False),
        (None, None, True),
        (None, "", False),
        (None, 0, False),
        (True, 1, True),
        (float("nan"), float("nan"), True),
        (Decimal("NaN"), float("nan"), True),
        ("a", "A", False),
        ("a", b"a", False),
        (bytearray(b"a"), b"a", True),
        ([1, [2]], [1.0, [2]], True),
        ({"a": [1]}, {"a": [1.0]}, True),
        ({"a": 1}, {"a": 2}, False),
        (2**63, float(2**63), True),
        (2**63 + 1, float(2**63), False),
    ],
)
def test_cells_compare_by_value(gold, predicted, same):
    for ordered in (True, False):
        assert same_result(result([(gold,)]), result([(predicted,)]), ordered=ordered) is same


def test_results_without_rows_are_the_same_whatever_their_columns():
    assert same_result(Result(("a", "b"), (), False, 0.0), Result(("c",), (), False, 0.0), ordered=False)
    assert not same_result(result([]), result([(None,)]), ordered=False)


def test_a_cut_result_is_never_that_of_one_that_was_not_cut():
    rows = [(1,), (2,)]
    assert not same_result(result(rows, truncated=True), result(rows), ordered=False)
    assert not same_result(result([]), result([], truncated=True), ordered=False)
    assert same_result(result(rows, truncated=True), result(rows, truncated=True), ordered=False)


@pytest.mark.parametrize(
    ("sql", "ordered"),
    [
        ("SELECT a FROM t ORDER BY a", True),
        ("SELECT a FROM t", False),
        ("SELECT a FROM (SELECT a FROM t ORDER BY a)", False),
        ("SELECT a FROM t WHERE a = (SELECT a FROM t ORDER BY a LIMIT 1)", False),
        ("SELECT a FROM t UNION SELECT a FROM u ORDER BY a", True),
        ("WITH x AS (SELECT a FROM t ORDER BY a) SELECT a FROM x", False),
        ("WITH x AS (SELECT a FROM t) SELECT a FROM x ORDER BY 1", True),
        ("SELECT sum(a) OVER (ORDER BY a) FROM t", False),
        ("SELECT 'order by' FROM t", False),
    ],
)
def test_only_the_outermost_order_by_orders(sql, ordered):
    assert is_ordered(sql, "sqlite") is ordered


def test_what_cannot_be_parsed_has_no_order():
    with pytest.raises(QueryError) as caught:
        is_ordered("SELECT FROM WHERE", "sqlite")
    assert caught.value.kind == "syntax"


def test_real_rows_compare_as_the_database_gives_them():
    connection = sqlite3.connect(":memory:")
    query = "SELECT 1, 1.0, 'x', x'00', NULL UNION ALL SELECT 2, 2.5, 'y', x'01', NULL"
    rows = connection.execute(query).fetchall()
    turned = connection.execute(f"SELECT * FROM ({query}) ORDER BY 1 DESC").fetchall()
    connection.close()
    assert same_result(result(rows), result(turned), ordered=False)
    assert not same_result(result(rows), result(turned), ordered=True)
