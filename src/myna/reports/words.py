"""Numbers in the words that reports use for them."""

from __future__ import annotations

import math


def loss_words(value: float) -> str:
    """Three decimals: what differs after them is noise."""
    return f"{value:.3f}"


def perplexity_words(loss: float) -> str:
    """The perplexity `exp(loss)` of a mean loss in nats."""
    if loss > 100:
        return "very large"
    value = math.exp(loss)
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def count_words(value: int) -> str:
    """`7.62 M` and the like."""
    for size, unit in ((10**9, " G"), (10**6, " M"), (10**3, " K")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return str(value)


def byte_unit(value: int) -> tuple[str, int]:
    """Return the unit that suits an amount of memory, and its size in bytes."""
    return ("GB", 10**9) if value >= 999_500_000 else ("MB", 10**6)


def byte_words(value: int) -> str:
    """`2.31 GB` and the like, decimal as in the lines that training prints."""
    unit, size = byte_unit(value) if value >= 999_500 else ("kB", 1000)
    return f"{value / size:.3g} {unit}"


def duration_words(seconds: float) -> str:
    """`48.2 s`, `12 min 05 s` or `3 h 20 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
