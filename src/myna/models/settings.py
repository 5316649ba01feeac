"""Numbers and texts out of a configuration: of the kind and in the range that they have to be.

In: a file, a key and the value that stands there. Out: the value, or a `ModelError` that names all three. Knows no
configuration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from myna.errors import ModelError


def whole(file: Path, key: str, value: Any, *, least: int = 1, most: int = 1 << 31) -> int:
    """Return a whole number from `least` to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _wrong(file, key, value, f"a whole number from {least} to {most}")
    return value


def number(file: Path, key: str, value: Any, *, least: float, most: float) -> float:
    """Return a number from `least` to `most`, which may be whole."""
    # a whole number too large for a float compares as it should, and would not convert
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise _wrong(file, key, value, f"a number from {least:g} to {most:g}")
    return float(value)


def flag(file: Path, key: str, value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise _wrong(file, key, value, "true or false")
    return value


def text(file: Path, key: str, value: Any) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise _wrong(file, key, value, "a text")
    return value


def mapping(file: Path, key: str, value: Any) -> Mapping[str, Any]:
    """Return an object."""
    if not isinstance(value, Mapping):
        raise _wrong(file, key, value, "an object")
    return value


def _wrong(file: Path, key: str, value: Any, expected: str) -> ModelError:
    if isinstance(value, float) and not math.isfinite(value):
        shown = str(value)
    elif isinstance(value, int) and abs(value) > 10**30:
        shown = "a number of more than 30 digits"
    else:
        shown = repr(value)
    return ModelError(f"{file}: {key} is {shown if len(shown) <= 100 else shown[:100] + ' …'}; expected {expected}")


def dropout(file: Path, key: str, value: Any) -> float:
    """Return a probability of dropping, below 1; None is 0."""
    return number(file, key, 0.0 if value is None else value, least=0.0, most=math.nextafter(1.0, 0.0))
