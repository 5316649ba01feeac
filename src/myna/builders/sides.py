"""Which side of a split something falls on: by a hash of what it is and a seed, so that equals fall together.

64-bit keys go in (`myna.data.split.content_key` makes one of an example, `key_of` one of a name); the name of a split
comes out. What a source gains later moves nothing that was in it before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from myna.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Shares:
    """About which share goes to validation and to testing. Raises `RecipeError` for shares that can't be."""

    valid: float
    test: float

    def __post_init__(self) -> None:
        if not (0 <= self.valid < 1 and 0 <= self.test < 1 and self.valid + self.test < 1):
            raise RecipeError(
                f"shares of {self.valid} for validation and {self.test} for testing leave nothing to train on; "
                "give shares of at least 0 that add up to less than 1"
            )

    def side(self, key: int) -> str:
        """Return the split that the 64-bit `key` falls into."""
        place = key / 2**64
        if place < self.test:
            return "test"
        return "valid" if place < self.test + self.valid else "train"


def key_of(name: str, seed: int) -> int:
    """Return a 64-bit number that hangs on `name` and `seed` alone."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest())
