"""mlx_lm's `hf_dataset` entry of a YAML file → a data folder of ours, through the `datasets` library.

A hub id or a local dataset folder goes in; `train.jsonl`, `valid.jsonl`, `test.jsonl` and `data.json` come
out, and from there on the data is read like any other. The library is optional. Knows no tokenizer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from myna.data.messages import without_nulls
from myna.data.records import OTHER_FORMS, Keys
from myna.errors import DataError, MissingDependency, MynaError, did_you_mean, excerpt, listing
from myna.runs import restore, write_folder

_SPLITS = {"train": "train[:80%]", "valid": "train[-10%:]", "test": None}
"""mlx_lm's defaults."""
_FEATURES = {
    "prompt_feature": "prompt",
    "completion_feature": "completion",
    "chat_feature": "messages",
    "text_feature": "text",
}
_OTHER_KEYS = ("path", "name", "config", "train_split", "valid_split", "test_split", "mask_prompt")
_KEPT_COLUMNS = ("tools", "sql")
_RECORD = "data.json"


def fetch_dataset(entry: Mapping[str, Any] | Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Write the splits that an `hf_dataset` entry, or a list of them, names into a new data folder.

    `path` is a hub id or a folder that `datasets.load_dataset` reads; `name` and `config` go to it as they
    are; `prompt_feature`, `completion_feature`, `chat_feature` and `text_feature` name the columns. Returns
    the folder; one that was made from the same entry is used again. Raises `DataError` for an entry, a data
    set, a split or a column that is not there and for a folder with anything else in it, and
    `MissingDependency` when `datasets` is not installed. Nothing is left behind when it fails.
    """
    entries = [dict(each) for each in ([entry] if isinstance(entry, Mapping) else entry)]
    for each in entries:
        _check(each)
    source = {"hf_dataset": entries}
    restore(folder)
    if folder.exists():
        if _made_from(folder) != json.loads(json.dumps(source)):
            raise DataError(f"{folder}: exists and was not made from this hf_dataset entry; name a new folder")
        return folder
    with write_folder(folder) as partial:
        splits = {split: _write_split(entries, split, partial / f"{split}.jsonl") for split in _SPLITS}
        made = {"source": source, "splits": {split: facts for split, facts in splits.items() if facts}}
        (partial / _RECORD).write_text(json.dumps(made, ensure_ascii=False, indent=2) + "\n", "utf-8")
    return folder


def _made_from(folder: Path) -> Any:
    try:
        return json.loads((folder / _RECORD).read_text("utf-8"))["source"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _check(entry: Mapping[str, Any]) -> None:
    known = [*_OTHER_KEYS, *_FEATURES]
    for key in entry:
        if key not in known:
            raise DataError(
                f"hf_dataset: unknown key {excerpt(key)}{did_you_mean(key, known)}; known: {', '.join(known)}"
            )
    if not isinstance(entry.get("path"), str):
        raise DataError("hf_dataset: needs a path, the id of a data set or a folder with one")
    if (entry.get("config") or {}).get("trust_remote_code"):
        raise DataError("hf_dataset: trust_remote_code is refused: Myna runs no code that comes with data")


def _write_split(entries: Iterable[Mapping[str, Any]], split: str, file: Path) -> dict[str, Any] | None:
    """Write one split of all entries, one after another; return its count and hash, None for no rows."""
    count, digest = 0, hashlib.sha256()
    for entry in entries:
        wanted = entry.get(f"{split}_split", _SPLITS[split])
        if wanted is None:
            continue
        rows = _load(entry, wanted)
        columns = _columns(entry, rows.column_names)
        with file.open("ab") as lines:
            for row in rows.select_columns(list(columns)):
                line = _line({columns[name]: value for name, value in row.items()}, entry)
                digest.update(line)
                lines.write(line)
        count += len(rows)
    return {"count": count, "content_hash": digest.hexdigest()} if count else None


def _line(record: Mapping[str, Any], entry: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(without_nulls(record), ensure_ascii=False).encode() + b"\n"
    except (TypeError, UnicodeEncodeError) as error:
        raise DataError(f"hf_dataset: {entry['path']} holds what is no text ({error}); name other columns") from error


def _load(entry: Mapping[str, Any], split: str) -> Any:
    """Return one `datasets.Dataset`."""
    try:
        datasets = import_module("datasets")
    except ImportError as error:
        raise MissingDependency(
            "hf_dataset needs the datasets library; install it with: pip install datasets"
        ) from error
    options = {"name": entry["name"]} if entry.get("name") else {}
    try:
        return datasets.load_dataset(entry["path"], split=split, **{**options, **(entry.get("config") or {})})
    except MynaError:
        raise
    except Exception as error:  # the library raises whatever its readers, file systems and the network raise
        raise DataError(f"hf_dataset: {entry['path']}, split {excerpt(split)} can't be loaded: {error}") from error


def _columns(entry: Mapping[str, Any], found: Sequence[str]) -> dict[str, str]:
    """Return which column goes under which key of ours; mlx_lm's order decides between formats."""
    default = Keys()
    named = {key: str(entry.get(feature, key)) for feature, key in _FEATURES.items()}
    for wanted in ((default.prompt, default.completion), (default.messages,), (default.text,)):
        if all(named[key] in found for key in wanted):
            kept = {column: column for column in _KEPT_COLUMNS if column in found}
            return kept | {named[key]: key for key in wanted}
    for needed, optional in OTHER_FORMS:
        if all(column in found for column in needed):
            return {column: column for column in (*_KEPT_COLUMNS, *needed, *optional) if column in found}
    raise DataError(
        f"hf_dataset: {entry['path']} has no column for messages, prompt with completion, or text "
        f"(found: {listing(found)}); name them with prompt_feature and completion_feature, chat_feature "
        "or text_feature"
    )
