"""JSON out of a model's or an adapter's folder: bounded in size, and an object.

In: a path. Out: a dictionary. Knows nothing of what it should hold.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from myna.errors import ModelError

SMALL_BYTES = 16 << 20
"""The most that a file of settings may have."""


def read_json(path: Path, *, most_bytes: int = SMALL_BYTES) -> dict[str, Any]:
    """Return the JSON object in `path`. Of a key that stands twice the last value counts, as for other programs.

    Raises `ModelError` naming the file when it is no plain file, larger than `most_bytes`, no JSON, nested too deeply
    for Python to read, or no object.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its other end
            raise ModelError(f"{path}: not a plain file; copy the publisher's file there")
        with path.open("rb") as opened:
            content = opened.read(most_bytes + 1)
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror})") from error
    if len(content) > most_bytes:
        raise ModelError(f"{path}: more than the {most_bytes} bytes that are accepted for such a file")
    try:
        found = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not valid JSON ({error}); download or copy it again") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path}: holds no JSON object")
    return found
