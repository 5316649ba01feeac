"""Which examples go to validation when a folder has no valid.jsonl, and which examples are the same.

Content keys (64-bit numbers) go in and out. The choice hangs on an example's content and the seed alone, so
that duplicates fall on the same side and a file that grows keeps its old examples there. Knows no files.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myna.data.example import Example

VALIDATION_SHARE = 0.1


def content_key(example: Example, seed: int) -> int:
    """Return a 64-bit number that equal examples share, whatever format they came in.

    Equal means: the same roles and texts up to Unicode normalisation (NFC) and white space. SQL facts and
    line numbers do not count.
    """
    content: Any = [example.text] if example.kind == "text" else [example.messages, example.tools]
    canonical = json.dumps(_canonical(content), ensure_ascii=False, sort_keys=True)
    digest = hashlib.blake2b(canonical.encode(), digest_size=8, salt=seed.to_bytes(16, "little"))
    return int.from_bytes(digest.digest(), "little")


def choose_validation(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return for each example whether it goes to validation: about a tenth, at least one where possible.

    `keys` are the content keys, uint64 `[examples]`. All False when there is only one distinct content.
    """
    distinct = np.unique(keys)
    if len(distinct) < 2:
        return np.zeros(len(keys), dtype=np.bool_)
    # Neither side may stay empty: the smallest key always goes to validation, the largest always stays.
    last = max(np.uint64(VALIDATION_SHARE * 2**64), distinct[0])
    chosen: NDArray[np.bool_] = (keys <= last) & (keys != distinct[-1])
    return chosen


def _canonical(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(unicodedata.normalize("NFC", value).split())
    if isinstance(value, Mapping):
        return {key: _canonical(item) for key, item in value.items() if item is not None}
    if isinstance(value, Sequence):
        return [_canonical(item) for item in value]
    return value
