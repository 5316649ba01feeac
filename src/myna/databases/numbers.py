"""Decimal numbers of a database → the plainest Python number that shows the same digits."""

from __future__ import annotations

from decimal import Decimal

_DIGITS_OF_A_FLOAT = 15


def number(text: str | Decimal) -> int | float | Decimal:
    """Return an int for a whole number, a float where it keeps all digits (or there are none), else the decimal."""
    exact = Decimal(text)
    if not exact.is_finite():
        return float(exact)
    if exact == exact.to_integral_value() and exact.adjusted() < 100:
        return int(exact)
    return float(exact) if len(exact.normalize().as_tuple().digits) <= _DIGITS_OF_A_FLOAT else exact
