"""File names out of a model's index or a hub's listing: which may be used on every system.

In: a name. Out: whether it names a file inside a folder, and nothing else, on Linux, macOS and Windows.
"""

from __future__ import annotations

import re

_ODD = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\[\]]')
_RESERVED = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|COM[0-9¹²³]|LPT[0-9¹²³])(?:\..*)?", re.IGNORECASE)
"""Devices, with or without an extension
(https://learn.microsoft.com/windows/win32/fileio/naming-a-file)."""


def is_plain_name(name: str) -> bool:
    """Tell whether `name` is that of a file in a folder: no path, no device, no drive, no pattern."""
    return (
        0 < len(name.encode("utf-8", "replace")) <= 255
        and not _ODD.search(name)
        and not name.endswith((".", " "))
        and not _RESERVED.fullmatch(name)
    )
