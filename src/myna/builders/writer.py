"""A new data folder, written split by split: `train.jsonl`, `valid.jsonl`, `test.jsonl`, databases and `data.json`.

Builders give it records one at a time, in order; nothing is held in memory but counts. The folder appears whole or
not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from myna.databases.allowed import allow, shown_place
from myna.errors import DataError, RunError
from myna.models.adapters import PROMPT
from myna.runs import restore, write_folder
from myna.text2sql.facts import NOTE
from myna.text2sql.prompt_settings import PromptSettings

SPLITS = ("train", "valid", "test")

_LEFT_BY_FILE_MANAGERS = frozenset({".DS_Store", "Thumbs.db"})
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Built:
    """What a builder made."""

    folder: Path
    counts: Mapping[str, int]
    """Examples of each split that has any."""
    skipped: Mapping[str, int]
    """How many of the source's examples were left out, by reason."""
    notes: tuple[str, ...] = ()
    """What a person should know about it, a sentence each."""

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` shows."""
        return {
            "folder": str(self.folder),
            "counts": dict(self.counts),
            "skipped": dict(self.skipped),
            "notes": list(self.notes),
        }


@dataclass(slots=True)
class FolderWriter:
    """An unfinished data folder at `path`. Made by `new_data_folder`."""

    path: Path
    prompt: PromptSettings | None = None
    databases: dict[str, str] = field(default_factory=dict)
    """Name → where it is: a path relative to the folder, an absolute one, or a URL without password."""
    notes: list[str] = field(default_factory=list)
    _skipped: Counter[str] = field(default_factory=Counter)
    _files: dict[str, BinaryIO] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _hashes: dict[str, Any] = field(default_factory=dict)

    def add(self, split: str, record: Mapping[str, Any]) -> None:
        """Append `record` as one line of `split`."""
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        if split not in self._files:
            self._files[split] = (self.path / f"{split}.jsonl").open("wb")
            self._hashes[split] = hashlib.sha256()
        self._files[split].write(line)
        self._hashes[split].update(line)
        self._counts[split] += 1

    def skip(self, reason: str, count: int = 1) -> None:
        """Count an example of the source that is left out."""
        self._skipped[reason] += count

    def _finish(self, source: Mapping[str, Any], seed: int | None) -> None:
        for file in self._files.values():
            file.close()
        splits = {
            split: {"count": self._counts[split], "content_hash": self._hashes[split].hexdigest()}
            for split in SPLITS
            if split in self._files
        }
        self._allow_databases()
        made = {
            "source": source,
            "seed": seed,
            PROMPT: self.prompt.as_dict() if self.prompt is not None else None,
            "splits": splits,
            "skipped": dict(self._skipped),
            "notes": self.notes,
            "databases": self.databases,
            "files": [name for name in _files(self.path) if name.removesuffix(".jsonl") not in splits],
        }
        content = {key: value for key, value in made.items() if value not in (None, {}, [])}
        (self.path / NOTE).write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", "utf-8")

    def _allow_databases(self) -> None:
        """Let the folder name databases that are not in it: whoever made it has named them."""
        try:
            allow(*(place for place in self.databases.values() if "://" in place or os.path.isabs(place)))
        except RunError as error:
            self.notes.append(f"scoring will ask you to allow its databases: {error}")

    def built(self, folder: Path) -> Built:
        """Return what was made, under the name the folder ends with."""
        counts = {split: self._counts[split] for split in SPLITS if self._counts[split]}
        return Built(folder, counts, dict(self._skipped), tuple(self.notes))


@contextmanager
def new_data_folder(
    out: Path, source: Mapping[str, Any], *, origin: str, seed: int | None = None, prompt: PromptSettings | None = None
) -> Iterator[FolderWriter]:
    """Give a writer for the new data folder `out`; `source` says in `data.json` how it was made.

    origin: the key of `source` under which it names the file, folder or database that the data is made of.
    prompt: what its prompts show of databases, for asking alike whatever learns them.

    The folder stands there when the block ends well. It replaces data that was made of the same origin before, with
    whatever settings. Raises `DataError` when anything else stands at `out`, be it a single file of a person's own
    beside such data, or when no example was written; `ResourceError` (disk full) and `RunError` (not permitted).
    """
    _check_place(out, source, origin)
    with write_folder(out) as partial, ExitStack() as files:
        writer = FolderWriter(partial, prompt)
        files.callback(lambda: [file.close() for file in writer._files.values()])
        yield writer
        if not writer._counts:
            left_out = "; ".join(f"{count} left out: {reason}" for reason, count in writer._skipped.items())
            raise DataError(f"{out}: nothing was written, the source has no example that can be used. {left_out}")
        writer._finish(source, seed)


def _check_place(out: Path, source: Mapping[str, Any], origin: str) -> None:
    restore(out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    made = _made(out)
    older = made.get("source")
    if not isinstance(older, dict) or "builder" not in older:
        raise DataError(f"{out}: exists and was not made by myna data; name a new folder with --out")
    if older["builder"] != source["builder"] or _place(older.get(origin)) != _place(source[origin]):
        of = f" of {_shown(older.get(origin))}" if older["builder"] == source["builder"] else ""
        raise DataError(
            f"{out}: holds other data, made by myna data {older['builder']}{of}; name another folder with --out, or "
            "remove this one"
        )
    if own := _not_made(out, made):
        more = f" and {len(own) - _NAMED} more" if len(own) > _NAMED else ""
        raise DataError(
            f"{out}: making its data again would delete what was not made with it ({', '.join(own[:_NAMED])}{more}); "
            "move that away, name another folder with --out, or remove this one"
        )


def _made(folder: Path) -> Mapping[str, Any]:
    try:
        made = json.loads((folder / NOTE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return made if isinstance(made, dict) else {}


def _place(named: Any) -> Any:
    """Return what is the same for all ways to name a file or folder."""
    if isinstance(named, list):
        return [_place(each) for each in named]
    return Path(named).expanduser().resolve() if isinstance(named, str) and "://" not in named else named


def _shown(named: Any) -> str:
    return ", ".join(map(shown_place, map(str, named))) if isinstance(named, list) else shown_place(str(named))


def _files(folder: Path) -> list[str]:
    """Return the names of all files below a folder; a link is one, wherever it leads."""
    below = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in below)


def _not_made(folder: Path, made: Mapping[str, Any]) -> list[str]:
    """Return the files that `data.json` does not account for, and the splits that were changed after it was written."""
    splits, others = made.get("splits"), made.get("files")
    known = [NOTE, *(others if isinstance(others, list) else ())]
    hashes = {
        f"{split}.jsonl": facts.get("content_hash")
        for split, facts in (splits.items() if isinstance(splits, dict) else ())
        if isinstance(facts, dict)
    }
    found = []
    for name in _files(folder):
        if name in hashes:
            if _content_hash(folder / name) != hashes[name]:
                found.append(f"{name}, which was changed")
        elif name not in known and Path(name).name not in _LEFT_BY_FILE_MANAGERS:
            found.append(name)
    return found


def _content_hash(path: Path) -> str | None:
    """Return the hash that `data.json` has of a split, None for what is no file."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
