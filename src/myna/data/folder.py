"""A data folder: `train.jsonl`, `valid.jsonl`, `test.jsonl` (or `.jsonl.gz`) → lazy sequences of examples.

Opening a folder reads every line once, so that whatever is wrong is said before anything long begins; after
that only an index (24 bytes a line) stays in memory. Knows no tokenizer and no model.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from myna.data.example import Example, Source
from myna.data.lines import Line, LineFile, line_content
from myna.data.records import Keys, read_line
from myna.data.split import choose_validation, content_key
from myna.errors import DataError
from myna.runs import restore

__all__ = ["BadLine", "DataFolder", "Examples", "Keys", "open_folder", "open_split"]

Split: TypeAlias = Literal["train", "valid", "test"]
OnBadExample: TypeAlias = Literal["error", "skip"]

_SUFFIXES = (".jsonl", ".jsonl.gz")
_OTHER_NAMES_OF_VALID = ("validation", "val", "dev", "eval")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was left out, and why."""

    source: Source
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


class Examples(Sequence[Example]):
    """The examples of one file, or some of them, read from disk when they are asked for.

    path: the file as the user named it. skipped: the lines that were left out (`on_bad_example="skip"`).
    """

    def __init__(
        self, lines: LineFile, keys: Keys, places: NDArray[np.uint64], skipped: Sequence[BadLine] = ()
    ) -> None:
        """`places`: uint64 `[examples, 3]`, each line's number, first byte and length."""
        self.path = lines.path
        self.skipped = skipped
        self._lines = lines
        self._keys = keys
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Examples: ...
    def __getitem__(self, index: int | slice) -> Example | Examples:
        if isinstance(index, slice):
            return self.subset(np.arange(len(self))[index])
        number, start, length = (int(value) for value in self._places[index])
        return self._read(number, self._lines.read(start, length))

    def __iter__(self) -> Iterator[Example]:
        for number, content in zip(self._places[:, 0], self.contents(), strict=True):
            yield self._read(int(number), content)

    def subset(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> Examples:
        """Return the examples that `chosen` picks, by indices or by one truth value each."""
        return Examples(self._lines, self._keys, self._places[chosen], self.skipped)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over the lines of these examples, whether they are packed or not and end in CRLF or not."""
        digest = hashlib.sha256()
        for content in self.contents():
            digest.update(content)
            digest.update(b"\n")
        return digest.hexdigest()

    def contents(self) -> Iterator[bytes]:
        """Yield the lines of these examples as they stand in the file, without line ends."""
        return self._lines.read_many((int(start), int(length)) for _, start, length in self._places)

    def values(self, key: str) -> Iterator[tuple[int, Any]]:
        """Yield the line number and what the line has under `key`, None where it has nothing."""
        for number, content in zip(self._places[:, 0], self.contents(), strict=True):
            yield int(number), json.loads(content).get(key)

    def _read(self, number: int, content: bytes) -> Example:
        source = Source(str(self.path), number)
        try:
            return read_line(content, self._keys, source)
        except DataError as error:
            raise DataError(f"{source}: the file was changed while it was in use; start again") from error


@dataclass(frozen=True, slots=True)
class DataFolder:
    """An opened data folder.

    notes: lines for a person, what was split off, left out or looks wrong. made: what its `data.json` says of how it
    was made; empty without one.
    """

    path: Path
    train: Examples
    valid: Examples | None
    test: Examples | None
    notes: tuple[str, ...]
    made: Mapping[str, Any] = field(default_factory=dict)


def open_folder(
    path: Path, *, keys: Keys | None = None, on_bad_example: OnBadExample = "error", seed: int = 0
) -> DataFolder:
    """Open all splits of a data folder and check every line.

    Without valid.jsonl about a tenth of train.jsonl is taken for validation, by a hash of content and `seed`.
    Raises `DataError` for a missing or empty folder or file, and for a bad line unless `on_bad_example`
    is "skip".
    """
    keys = keys or Keys()
    train, train_keys = _open(_file(path, "train"), keys, on_bad_example, seed)
    others = {name: _open_optional(path, name, keys, on_bad_example, seed) for name in ("valid", "test")}
    notes = [*_skip_notes(train), *_unread_notes(path, others["valid"] is not None)]
    opened: dict[str, Examples | None] = {"valid": None, "test": None}
    for name, other in others.items():
        if other is not None:
            opened[name] = other[0]
            notes += [*_skip_notes(other[0]), *_duplicate_notes(train_keys, *other)]
    if opened["valid"] is None:
        held_out = choose_validation(train_keys)
        if held_out.any():
            opened["valid"], train = train.subset(held_out), train.subset(~held_out)
        notes.append(_split_note(path, train, opened["valid"], seed))
    made, problems = _made(path)
    return DataFolder(path, train, opened["valid"], opened["test"], (*notes, *problems), made)


def open_split(
    path: Path, name: Split, *, keys: Keys | None = None, on_bad_example: OnBadExample = "error"
) -> Examples:
    """Open one split that has a file of its own, such as test.jsonl. Raises what `open_folder` raises."""
    return _open(_file(path, name), keys or Keys(), on_bad_example, 0)[0]


def _made(folder: Path) -> tuple[Mapping[str, Any], list[str]]:
    """Return what `data.json` says, and what is wrong with it: the examples can be learnt without it."""
    try:
        content = json.loads((folder / "data.json").read_text("utf-8"))
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError, RecursionError) as error:
        return {}, [f"data.json can't be read ({error}): how the data was made is not remembered"]
    return (content, []) if isinstance(content, dict) else ({}, ["data.json holds no JSON object and is not used"])


def _open_optional(
    path: Path, name: str, keys: Keys, on_bad_example: OnBadExample, seed: int
) -> tuple[Examples, NDArray[np.uint64]] | None:
    if not any((path / f"{name}{suffix}").exists() for suffix in _SUFFIXES):
        return None
    return _open(_file(path, name), keys, on_bad_example, seed)


def _open(file: Path, keys: Keys, on_bad_example: OnBadExample, seed: int) -> tuple[Examples, NDArray[np.uint64]]:
    """Read every line once; return the examples and their content keys."""
    lines = LineFile(file)
    places, contents, skipped = array("Q"), array("Q"), list[BadLine]()
    for line in lines.scan():
        try:
            example = _read(file, line, keys)
        except DataError as error:
            if on_bad_example == "error":
                raise
            source = Source(str(file), line.number)
            skipped.append(BadLine(source, str(error).removeprefix(f"{source}: ")))
        else:
            places.extend((line.number, line.start, line.length))
            contents.append(content_key(example, seed))
    if not contents:
        raise DataError(f"{file}: none of the {len(skipped)} lines can be used; the first: {skipped[0]}")
    examples = Examples(lines, keys, np.frombuffer(places, np.uint64).reshape(-1, 3), tuple(skipped))
    return examples, np.frombuffer(contents, np.uint64)


def _read(file: Path, line: Line, keys: Keys) -> Example:
    source = Source(str(file), line.number)
    return read_line(line_content(line, source), keys, source)


def _file(folder: Path, name: str) -> Path:
    """Return the file of a split; say what is there instead when it is not."""
    restore(folder)
    if not folder.exists():
        raise DataError(f"{folder}: no such data folder{_siblings(folder)}{_hub_hint(folder)}")
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder with train.jsonl, found a file; name the folder it is in")
    found = [file for suffix in _SUFFIXES if (file := folder / f"{name}{suffix}").exists()]
    if len(found) > 1:
        raise DataError(f"{folder}: both {found[0].name} and {found[1].name} are there; keep one of them")
    if not found:
        names = sorted(entry.name for entry in folder.iterdir())
        listing = f"found: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}" if names else "the folder is empty"
        raise DataError(
            f"{folder}: no {name}.jsonl ({listing}); a data folder has train.jsonl, valid.jsonl, test.jsonl"
        )
    return found[0]


def _hub_hint(folder: Path) -> str:
    """Say how a data set of the hub is named where this may be one, as in mlx_lm's `data: mlx-community/WikiSQL`."""
    if folder.is_absolute() or not re.fullmatch(r"[\w.-]+/[\w.-]+", str(folder)) or folder.parent.exists():
        return ""
    return (
        f"; a data set of the Hugging Face hub is named with hf_dataset: {{path: {folder}}}, or --hf-dataset {folder}"
    )


def _siblings(folder: Path) -> str:
    """Name the folders that the user may have meant."""
    parent = folder.parent
    while not parent.is_dir():
        if parent == parent.parent:
            return ""
        folder, parent = parent, parent.parent
    names = [entry.name for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    nearest = difflib.get_close_matches(folder.name, names, n=3, cutoff=0.5) or sorted(names)[:5]
    there = "the folder you are in" if parent == Path() else str(parent)
    if not nearest:
        return f"; {there} holds no folders"
    return f"; nearest in {there}: {', '.join(nearest)}"


def _skip_notes(examples: Examples) -> list[str]:
    if not examples.skipped:
        return []
    return [f"{examples.path.name}: {len(examples.skipped)} bad lines left out; the first: {examples.skipped[0]}"]


def _unread_notes(path: Path, has_valid: bool) -> list[str]:
    files = [path / f"{name}{suffix}" for name in _OTHER_NAMES_OF_VALID for suffix in _SUFFIXES]
    return [
        f"{file.name} is not read; rename it to valid{''.join(file.suffixes)} to validate on it"
        for file in files
        if not has_valid and file.exists()
    ]


def _duplicate_notes(train_keys: NDArray[np.uint64], other: Examples, other_keys: NDArray[np.uint64]) -> list[str]:
    same = int(np.isin(other_keys, train_keys).sum())
    if not same:
        return []
    return [
        f"{other.path.name}: {same} of {len(other)} examples are in the training file too: "
        "the loss on them does not tell how well the model generalises"
    ]


def _split_note(path: Path, train: Examples, valid: Examples | None, seed: int) -> str:
    if valid is None:
        return f"{path}: no valid.jsonl, and train.jsonl holds a single distinct example: nothing is validated"
    return (
        f"{path}: no valid.jsonl, so {len(valid)} of {len(train) + len(valid)} training examples are kept "
        f"for validation, chosen by a hash of their content and seed {seed}"
    )
