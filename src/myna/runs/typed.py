"""Whether JSON that was read back fits the dataclass that it was written from: files may be damaged, or not ours.

A dataclass and a JSON object go in, what is wrong comes out. Knows none of the classes.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

_LARGEST_WHOLE = 2**63
_LARGEST = 1e300
"""Beyond any number that Myna writes, and small enough to be added up and drawn."""


def wrong_field(kind: type, content: object) -> str | None:
    """Say which field of the dataclass `kind` has no value of its type in `content`, from JSON; None when all have.

    Keys that are no fields are passed over. Whole numbers are counts, from 0 on; where text may stand too, as in a cell
    of a database, any number may. Tuples are JSON's lists.
    """
    if not isinstance(content, Mapping):
        return "no object"
    for name, annotation in _annotations(kind).items():
        if name not in content:
            return f'no "{name}"'
        if not _fits(content[name], annotation):
            shown = json.dumps(content[name])
            more = "…" if len(shown) > 60 else ""
            return f'"{name}" is {shown[:60]}{more}, expected {_words(annotation)},'
    return None


@cache
def _annotations(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _fits(value: object, wanted: Any, *, cell: bool = False) -> bool:
    origin, parts = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each, cell=str in parts) for each in parts)
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in parts)
    if origin is tuple:
        return isinstance(value, list) and _all_fit(value, parts)
    if is_dataclass(wanted):
        return wrong_field(cast("type", wanted), value) is None
    if wanted is float or wanted is int:
        return _is_number(value, wanted, cell=cell)
    return isinstance(value, type(None) if wanted is None else wanted)


def _all_fit(values: list[object], parts: tuple[Any, ...]) -> bool:
    if parts[-1] is Ellipsis:
        return all(_fits(each, parts[0]) for each in values)
    return len(values) == len(parts) and all(map(_fits, values, parts))


def _is_number(value: object, wanted: type, *, cell: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if wanted is int else int | float):
        return False
    return cell or (0 <= value <= _LARGEST_WHOLE if wanted is int else -_LARGEST <= value <= _LARGEST)


def _words(wanted: Any) -> str:
    origin, parts = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        return " or ".join(map(_words, parts))
    if origin is Literal:
        return " or ".join(map(str, parts))
    if origin is tuple:
        return "a list"
    if is_dataclass(wanted):
        return "an object"
    names = {float: "a number", int: "a whole number from 0 on", str: "text", bool: "true or false"}
    return names.get(wanted, "null")
