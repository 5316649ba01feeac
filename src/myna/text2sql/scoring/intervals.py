"""How sure a rate is: counts of right answers → a share with its 95 % Wilson interval.

Knows nothing of SQL or of what was counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_Z = 1.959963984540054
"""The 97.5th percentile of the standard normal distribution: 95 % lie within ± z."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`right` of `of` questions."""

    right: int
    of: int

    @property
    def share(self) -> float | None:
        """Between 0 and 1; None when there was nothing to count."""
        return self.right / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % Wilson score interval of the share, None when there was nothing to count.

        E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927). Unlike
        share ± 1.96 standard errors it stays within 0 … 1 and is honest at 0 % and 100 %: 50 right of 50 may still
        be a model that is right 93 % of the time.
        """
        if not self.of:
            return None
        share, z2 = self.right / self.of, _Z * _Z
        centre = (share + z2 / (2 * self.of)) / (1 + z2 / self.of)
        half = _Z / (1 + z2 / self.of) * math.sqrt(share * (1 - share) / self.of + z2 / (4 * self.of * self.of))
        # Rounding may leave 1e-17 where the formula gives exactly 0 or 1.
        low = 0.0 if self.right == 0 else centre - half
        high = 1.0 if self.right == self.of else centre + half
        return low, high

    def as_dict(self) -> dict[str, Any]:
        """Return share, interval and counts for JSON."""
        interval = self.interval
        return {
            "share": self.share,
            "interval": None if interval is None else list(interval),
            "right": self.right,
            "of": self.of,
        }
