"""Jinja's filters and tests, each with what it costs.

In: a meter and the filters and tests of transformers' environment. Out: those that a chat template may use.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

from jinja2.environment import Environment
from jinja2.filters import make_attrgetter
from jinja2.nodes import EvalContext
from jinja2.utils import pass_eval_context

from myna.prompts.templates.meter import ELEMENT, STEP, Meter, TooMuchWork, outer_size

Function = Callable[..., Any]
Cost = Callable[..., tuple[Any, ...]]
"""Pays for a filter's call; returns the arguments that the filter is called with."""

_CHEAP = ("attr", "count", "d", "default", "first", "last", "length")
"""These look at one element or none."""
_READING = (
    *("abs", "capitalize", "e", "escape", "filesizeformat", "float", "forceescape", "int", "lower", "max", "min"),
    *("reverse", "safe", "string", "title", "truncate", "upper"),
)
"""These read what they are given once, and what they make is at most a few times larger."""
_SORTING = ("dictsort", "groupby", "sort", "unique")
"""These compare what they are given many times, or hash it."""
_LAZY = ("items", "map", "random", "reject", "rejectattr", "select", "selectattr", "slice")
"""These yield one element after another; what they do to each is paid for by itself."""
_CHEAP_TESTS = (
    *("boolean", "callable", "defined", "escaped", "false", "filter", "float", "integer", "iterable", "mapping"),
    *("none", "number", "sameas", "sequence", "string", "test", "true", "undefined"),
)


def metered_filters(meter: Meter, theirs: Mapping[str, Any]) -> dict[str, Function]:
    """Return the filters that a chat template may use."""
    return {
        **{name: theirs[name] for name in _CHEAP},
        **{name: _reading(meter, theirs[name]) for name in _READING},
        **{name: _sorting(meter, theirs[name]) for name in _SORTING},
        **{name: _lazy(meter, theirs[name]) for name in _LAZY},
        **{name: _costing(meter, theirs[name], cost) for name, cost in _costs(meter).items()},
        "format": _format(meter, theirs["format"]),
        "join": _join(meter, theirs["join"]),
        "list": lambda value: list(meter.iterate(value)),
        "trim": _trim(meter, theirs["trim"]),
        "tojson": _to_json(meter, theirs["tojson"]),
    }


def metered_tests(meter: Meter, theirs: Mapping[str, Any]) -> dict[str, Function]:
    """Return the tests."""
    return {name: test if name in _CHEAP_TESTS else _reading(meter, test) for name, test in theirs.items()}


def _reading(meter: Meter, function: Function) -> Function:
    @functools.wraps(function)
    def metered(*args: Any, **kwargs: Any) -> Any:
        args = tuple(map(meter.settled, args))
        meter.weigh(*args, *kwargs.values())
        return meter.paid(function(*args, **kwargs))

    return metered


def _sorting(meter: Meter, function: Function) -> Function:
    @functools.wraps(function)
    def metered(*args: Any, **kwargs: Any) -> Any:
        args = tuple(map(meter.settled, args))
        before = meter.left
        meter.weigh(*args, *kwargs.values())
        meter.spend(15 * (before - meter.left))  # the logarithm of the longest list that the budget allows
        for value in args:
            if isinstance(value, list | tuple | range):
                meter.hashing(value)
        return meter.paid(function(*args, **kwargs))

    return metered


def _lazy(meter: Meter, function: Function) -> Function:
    @functools.wraps(function)
    def metered(*args: Any, **kwargs: Any) -> Any:
        return meter.paid(function(*args, **kwargs))

    return metered


def _costing(meter: Meter, function: Function, cost: Cost) -> Function:
    @functools.wraps(function)
    def metered(*args: Any, **kwargs: Any) -> Any:
        return meter.paid(function(*cost(*map(meter.settled, args), **kwargs)))

    return metered


def _costs(meter: Meter) -> dict[str, Cost]:
    """Return what filters cost that can make much of little; parameters are named as the filters name theirs."""

    def batch(value: Any, linecount: int, fill_with: Any = None) -> tuple[Any, ...]:
        meter.spend(ELEMENT * abs(linecount))
        return value, linecount, fill_with

    def center(value: Any, width: int = 80) -> tuple[Any, ...]:
        meter.weigh(value)
        meter.spend(abs(width))
        return value, width

    def indent(s: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> tuple[Any, ...]:
        meter.weigh(s)
        lines = len(s.splitlines()) + 1
        meter.spend(lines * (len(width) if isinstance(width, str) else max(0, width)))
        return s, width, first, blank

    def replace(eval_ctx: EvalContext, s: Any, old: Any, new: Any, count: int | None = None) -> tuple[Any, ...]:
        meter.weigh(s, old, new)
        meter.replacing(str(s), str(old), str(new))
        return eval_ctx, s, old, new, count

    def rounded(value: Any, precision: int = 0, method: str = "common") -> tuple[Any, ...]:
        meter.spend(abs(precision) ** 2)
        return value, precision, method

    def sum_(environment: Environment, iterable: Any, attribute: Any = None, start: Any = 0) -> tuple[Any, ...]:
        values = list(meter.iterate(iterable))
        if not isinstance(start, int | float):  # adding a list to others copies all of them
            meter.spend(len(values) * sum(map(outer_size, values)))
        return environment, values, attribute, start

    def urlencode(value: Any) -> tuple[Any, ...]:
        before = meter.left
        meter.weigh(value)
        meter.spend(11 * (before - meter.left))  # a character becomes up to twelve
        return (value,)

    return {
        "batch": batch,
        "center": center,
        "indent": indent,
        "replace": replace,
        "round": rounded,
        "sum": sum_,
        "urlencode": urlencode,
    }


def _trim(meter: Meter, function: Function) -> Function:
    @functools.wraps(function)
    def metered(value: Any, chars: str | None = None) -> Any:
        if type(value) is str and chars is None:
            meter.spend(STEP + len(value))
            return value.strip()
        meter.weigh(value)
        meter.spend(len(str(value)) * len(chars or "") >> 5)
        return meter.paid(function(value, chars))

    return metered


def _format(meter: Meter, function: Function) -> Function:
    @functools.wraps(function)
    def metered(value: Any, *args: Any, **kwargs: Any) -> Any:
        meter.weigh(value)
        meter.formatting(str(value), "%", kwargs or args)
        return meter.paid(function(value, *args, **kwargs))

    return metered


def _join(meter: Meter, function: Function) -> Function:
    @pass_eval_context
    def metered(eval_ctx: EvalContext, value: Any, d: Any = "", attribute: Any = None) -> Any:
        values = list(meter.iterate(value))
        if attribute is not None:
            values = list(map(make_attrgetter(eval_ctx.environment, attribute), values))
        meter.weigh(d, *values)
        meter.spend(len(values) * len(str(d)))
        return function(eval_ctx, values, d)

    return metered


def _to_json(meter: Meter, function: Function) -> Function:
    @functools.wraps(function)
    def metered(
        x: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> Any:
        meter.weigh(x)
        if indent is None and separators is None:
            return meter.paid(function(x, ensure_ascii=ensure_ascii, sort_keys=sort_keys))
        # indents and separators are written again and again: make the same text piece by piece
        for value in (indent, *(separators or ())):
            if (value if isinstance(value, int) else len(value or "")) > 1_000:
                raise TooMuchWork
        encoder = json.JSONEncoder(ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
        return "".join(map(meter.paid, encoder.iterencode(x)))

    return metered
