"""What a tokenizer's files say, and whether the model's configuration says the same.

In: a model's folder. Out: a `TokenizerInfo`, and sentences about what does not agree. Loads no tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myna.models.files import ModelFiles
from myna.models.json_files import read_json
from myna.models.tokenizer_files import read_tokenizer


@dataclass(frozen=True, slots=True)
class TokenizerInfo:
    """Tokenizer facts that its files state.

    files: their names; empty when the folder has no tokenizer. kind: the algorithm (`BPE`, `Unigram` …) or, where
    only a SentencePiece model is there, `sentencepiece`. entries: of vocabulary and added tokens, None when unknown.
    special: the special tokens by what they are for: `bos`, `eos`, `pad`, `unk`.
    """

    files: tuple[str, ...]
    kind: str | None
    entries: int | None
    chat_template: bool
    special: Mapping[str, str]


_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
_PURPOSES = {"bos": "beginning", "eos": "end", "pad": "padding", "unk": "unknown"}
_EMBEDDING = "embed_tokens.weight"


def describe_tokenizer(folder: Path) -> TokenizerInfo:
    """Describe the tokenizer in a folder. Raises `ModelError` for a file that is not what its name says."""
    present = tuple(name for name in _FILES if (folder / name).is_file())
    fast = read_tokenizer(folder)
    settings = _object(folder / "tokenizer_config.json")
    return TokenizerInfo(
        files=present,
        kind=(fast.get("model") or {}).get("type") or ("sentencepiece" if "tokenizer.model" in present else None),
        entries=len(_entries(fast)) or None,
        chat_template="chat_template" in settings or "chat_template.jinja" in present,
        special=_special(settings),
    )


def disagreements(files: ModelFiles) -> tuple[str, ...]:
    """Say, a sentence each, where tokenizer, `config.json` and the embedding say different things."""
    entries = _entries(read_tokenizer(files.folder))
    special = _special(_object(files.folder / "tokenizer_config.json"))
    found = [*files.notices]
    if not any((files.folder / name).is_file() for name in _FILES):
        found.append("the folder has no tokenizer")
    rows = next((files.shape(name)[0] for name in files.tensors if name.endswith(_EMBEDDING)), None)
    said = files.text_config.get("vocab_size")
    if isinstance(said, int) and rows is not None and rows != said:
        found.append(f"config.json says vocab_size {said}, the embedding has {rows} rows")
    if entries and rows is not None and (highest := max(entries.values())) >= rows:
        found.append(f"the tokenizer has ids up to {highest}, the embedding only {rows} rows")
    for name, token in special.items():
        if entries and token not in entries:
            found.append(f"the tokenizer's {_PURPOSES[name]} token {token!r} is not among its entries")
            continue
        ids = _configured_ids(files, name)
        if entries and ids and name != "unk" and entries[token] not in ids:
            names = {index: text for text, index in entries.items()}
            other = ", ".join(f"{index} ({names[index]!r})" if index in names else str(index) for index in ids)
            found.append(
                f"the tokenizer's {_PURPOSES[name]} token is {entries[token]} ({token!r}), config.json's is {other}"
            )
    return tuple(found)


def _configured_ids(files: ModelFiles, name: str) -> list[int]:
    """Return the ids that the configuration, also that of generation, gives a special token; several may end a text."""
    ids: list[int] = []
    for config in (files.config, files.text_config, _object(files.folder / "generation_config.json")):
        value = config.get(f"{name}_token_id")
        ids += value if isinstance(value, list) else [] if value is None else [value]
    return list(dict.fromkeys(ids))


def _special(settings: Mapping[str, Any]) -> dict[str, str]:
    tokens = {name: _token(settings.get(f"{name}_token")) for name in _PURPOSES}
    return {name: token for name, token in tokens.items() if token is not None}


def _entries(fast: Mapping[str, Any]) -> dict[str, int]:
    """Return every token of a `tokenizer.json` with its id."""
    vocabulary = (fast.get("model") or {}).get("vocab")
    entries: dict[str, int] = {}
    if isinstance(vocabulary, dict):
        entries |= vocabulary
    elif isinstance(vocabulary, list):  # Unigram: pairs of piece and score
        entries |= {piece: index for index, (piece, _) in enumerate(vocabulary)}
    return entries | {token["content"]: token["id"] for token in fast.get("added_tokens") or []}


def _object(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _token(value: Any) -> str | None:
    """A token stands as text, or as an object with its `content`."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None
