from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.runs import wrong_field


@dataclass(frozen=True)
class Inner:
    count: int


@dataclass(frozen=True)
class Outer:
    name: str
    share: float | None
    count: int
    done: bool
    kind: Literal["a", "b"]
    pair: tuple[float, float]
    cells: tuple[tuple[bool | int | float | str | None, ...], ...]
    inner: Inner | None


GOOD: dict[str, Any] = {
    "name": "x",
    "share": 0.5,
    "count": 3,
    "done": False,
    "kind": "a",
    "pair": [1, 2.5],
    "cells": [[-(10**30), 1e305, "x", None, True]],
    "inner": {"count": 1},
}


@given(
    st.builds(
        Outer,
        share=st.none() | st.floats(-1e300, 1e300),
        count=st.integers(0, 2**63),
        pair=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
        inner=st.none() | st.builds(Inner, st.integers(0, 5)),
    )
)
def test_what_was_written_fits_when_it_is_read_back(value: Outer) -> None:
    assert wrong_field(Outer, json.loads(json.dumps(asdict(value)))) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 1),
        ("share", float("nan")),
        ("share", 1e301),
        ("share", True),
        ("share", "1"),
        ("count", -1),
        ("count", 2.0),
        ("count", True),
        ("count", 10**400),
        ("done", 0),
        ("kind", "c"),
        ("kind", []),
        ("pair", [1]),
        ("pair", "ab"),
        ("cells", [1]),
        ("cells", [[[]]]),
        ("inner", {}),
        ("inner", 5),
    ],
)
def test_what_does_not_fit_is_named(field: str, value: object) -> None:
    assert wrong_field(Outer, GOOD) is None
    wrong = wrong_field(Outer, {**GOOD, field: value})
    assert wrong is not None
    assert wrong.startswith(f'"{field}" is ')


def test_a_missing_field_is_named_and_a_new_one_passed_over() -> None:
    assert wrong_field(Inner, {}) == 'no "count"'
    assert wrong_field(Inner, {"count": 1, "later": 2}) is None
    assert wrong_field(Inner, [1]) == "no object"
