"""Whether an adapter's base is the one it was trained on, told from what its `myna.json` notes.

In: that note and a base model's files. Out: a sentence for a person. Knows no formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from myna.models.files import ModelFiles, content_hash

PACKING = "base_packing"
"""Key of the note that says how the base was packed; absent where it was plain."""


def packing_note(files: ModelFiles) -> dict[str, str]:
    """Return what `myna.json` says of how the base is packed."""
    usual = files.usual_packing
    return {} if usual is None else {PACKING: str(usual)}


def other_base(note: Mapping[str, Any], files: ModelFiles) -> str | None:
    """Say how `files` differs from the base that the adapter was trained on; None when it does not, or nobody knows."""
    if note.get("base_hash") in (None, content_hash(files)):
        return None
    name, before, now = note.get("base_model", "a model"), note.get(PACKING), packing_note(files).get(PACKING)
    if before != now:
        return (
            f"the adapter was trained on {name} {_in_words(before)}, {files.public_name} is {_in_words(now)}: "
            "it works on both, but it has learnt to mend the errors of the one that it was trained on"
        )
    return f"the adapter was trained on {name} with other weights or settings than {files.public_name} has"


def _in_words(packing: object) -> str:
    return "in plain numbers" if packing is None else f"in {packing}"
