"""Whether the starter model's files are those that were shipped: a list of SHA-256 sums beside them.

`SHA256SUMS` is the one place where the sums stand, in the form that `sha256sum --check` reads. Knows nothing of what is
in the files.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from myna.models.files import STARTER_FOLDER
from myna.runs import write_file

SUMS = "SHA256SUMS"


def write_sums(folder: Path = STARTER_FOLDER) -> str:
    """Write the sums of all files of a finished model, and return its content hash."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    lines = "".join(f"{_sum(folder / name)}  {name}\n" for name in names)
    write_file(folder / SUMS, lines)
    return _of_text(lines)


def content_hash(folder: Path = STARTER_FOLDER) -> str | None:
    """Return the hash of the list of sums, which names the version of the model; None when there is no list."""
    try:
        return _of_text((folder / SUMS).read_text(encoding="utf-8"))
    except OSError:
        return None


def damage(folder: Path = STARTER_FOLDER) -> tuple[str, ...]:
    """Return what is wrong with the files, a sentence each; empty when all are as they were shipped."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return (f"{folder / SUMS}: can't be read, so nobody knows whether the starter model is whole",)
    problems = []
    for number, line in enumerate(lines, start=1):
        expected, _, name = line.partition("  ")
        path = folder / name
        if not name or Path(name).name != name:
            problems.append(f"{folder / SUMS}:{number}: expected a SHA-256 sum, two spaces and a file's name")
        elif not path.is_file():
            problems.append(f"{path}: missing")
        elif _sum(path) != expected:
            problems.append(f"{path}: not the file that was shipped")
    return tuple(problems)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
