"""What a model is, told from its files alone: for `myna model info` and for planning.

In: a model's folder or hub id. Out: a `ModelInfo`. Loads neither weights nor a tokenizer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myna.models.files import ModelFiles, content_hash, locate, read_json
from myna.models.layers import layer_count, linear_layers, path_in_layer


@dataclass(frozen=True, slots=True)
class TokenizerInfo:
    """Tokenizer facts that its files state.

    files: their names; empty when the folder has no tokenizer. kind: the algorithm (`BPE`, `Unigram` …) or, where
    only a SentencePiece model is there, `sentencepiece`. entries: of vocabulary and added tokens, None when unknown.
    """

    files: tuple[str, ...]
    kind: str | None
    entries: int | None
    chat_template: bool
    beginning: str | None
    end: str | None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model in figures.

    parameters: numbers stored; for packed (quantised) weights the packed words are counted. dtypes: how many of them
    are kept in each type. layers: decoder layers. linear: what an adapter can be put on: path in a layer to shape
    `(out, in)`, of the lowest layer that has it. quantisation: None for plain weights.
    """

    name: str
    architecture: str
    parameters: int
    dtypes: Mapping[str, int]
    bytes: int
    shards: int
    layers: int
    hidden_size: int | None
    vocabulary_size: int | None
    context_length: int | None
    tied_embeddings: bool
    linear: Mapping[str, tuple[int, int]]
    quantisation: str | None
    tokenizer: TokenizerInfo
    content_hash: str


def describe(model: str) -> ModelInfo:
    """Describe the model in a folder, or of a hub id, which is downloaded; quantised ones too.

    Raises `ModelError` as `myna.models.files.find` does.
    """
    files = locate(model)
    dtypes: Counter[str] = Counter()
    for info in files.tensors.values():
        dtypes[info.dtype] += info.size
    linear: dict[str, tuple[int, int]] = {}
    for path, shape in linear_layers(files).items():
        linear.setdefault(path_in_layer(path), shape)
    config = files.text_config
    return ModelInfo(
        name=files.public_name,
        architecture=files.architecture,
        parameters=dtypes.total(),
        dtypes=dict(dtypes.most_common()),
        bytes=sum(file.stat().st_size for file in files.shards),
        shards=len(files.shards),
        layers=layer_count(files),
        hidden_size=_number(config, "hidden_size"),
        vocabulary_size=_number(config, "vocab_size"),
        context_length=_number(config, "max_position_embeddings"),
        tied_embeddings=not any(name.endswith("lm_head.weight") for name in files.tensors),
        linear=linear,
        quantisation=files.quantisation,
        tokenizer=_describe_tokenizer(files),
        content_hash=content_hash(files),
    )


def _number(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) else None


_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)


def _describe_tokenizer(files: ModelFiles) -> TokenizerInfo:
    folder = files.folder
    present = tuple(name for name in _TOKENIZER_FILES if (folder / name).is_file())
    settings = _object(folder / "tokenizer_config.json")
    fast = _object(folder / "tokenizer.json")
    model = fast.get("model") or {}
    vocabulary = model.get("vocab")
    names = {token["content"] for token in fast.get("added_tokens") or []}
    if isinstance(vocabulary, dict):
        names |= vocabulary.keys()
    elif isinstance(vocabulary, list):  # Unigram: pairs of piece and score
        names |= {piece for piece, _ in vocabulary}
    return TokenizerInfo(
        files=present,
        kind=model.get("type") or ("sentencepiece" if "tokenizer.model" in present else None),
        entries=len(names) or None,
        chat_template="chat_template" in settings or "chat_template.jinja" in present,
        beginning=_token(settings.get("bos_token")),
        end=_token(settings.get("eos_token")),
    )


def _object(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _token(value: Any) -> str | None:
    """A token stands as text, or as an object with its `content`."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None
