"""What a model is, told from its files alone: for `myna model info` and for planning.

In: a model's folder or hub id. Out: a `ModelInfo`. Loads neither weights nor a tokenizer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from myna.models.files import ModelFiles, content_hash, locate
from myna.models.layers import layer_count, linear_layers, path_in_layer
from myna.models.packed import PACKED_PARTS
from myna.models.tokenizer_info import TokenizerInfo, describe_tokenizer, disagreements


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model in figures.

    parameters: of the model, unpacked where MLX packed them. dtypes: how many numbers are stored in each type. memory:
    bytes that weights take at each width (below 16 bits the matrices, in groups of 64 with a scale and a bias each).
    layers: decoder layers. linear: what an adapter can be put on: path in a layer to shape `(out, in)`, of the lowest
    layer that has it. quantisation: the program that packed the weights, None for plain ones. packings: how MLX packed
    them, with the number of matrices so packed, the most frequent first. disagreements: between tokenizer and
    configuration.
    """

    name: str
    architecture: str
    parameters: int
    dtypes: Mapping[str, int]
    memory: Mapping[str, int]
    bytes: int
    shards: int
    layers: int
    hidden_size: int | None
    vocabulary_size: int | None
    context_length: int | None
    tied_embeddings: bool
    linear: Mapping[str, tuple[int, int]]
    quantisation: str | None
    packings: Mapping[str, int]
    tokenizer: TokenizerInfo
    disagreements: tuple[str, ...]
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
    matrices, others = _counts(files)
    return ModelInfo(
        name=files.public_name,
        architecture=files.architecture,
        parameters=matrices + others,
        dtypes=dict(dtypes.most_common()),
        memory=_memory(matrices, others),
        bytes=sum(file.stat().st_size for file in files.shards),
        shards=len(files.shards),
        layers=layer_count(files),
        hidden_size=_number(config, "hidden_size"),
        vocabulary_size=_number(config, "vocab_size"),
        context_length=_number(config, "max_position_embeddings"),
        tied_embeddings=not any(name.endswith("lm_head.weight") for name in files.tensors),
        linear=linear,
        quantisation=files.quantisation,
        packings=_packings(files),
        tokenizer=describe_tokenizer(files.folder),
        disagreements=disagreements(files),
        content_hash=content_hash(files),
    )


def _number(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) else None


def _packings(files: ModelFiles) -> dict[str, int]:
    found = (files.packing(name.removesuffix(".weight")) for name in files.tensors if name.endswith(".weight"))
    return dict(Counter(str(packing) for packing in found if packing is not None).most_common())


_GROUP_SIZE = 64


def _counts(files: ModelFiles) -> tuple[int, int]:
    """Return how many parameters are in matrices and how many elsewhere; scales and biases of packed ones are none."""
    matrices = others = 0
    for name in files.tensors:
        if name.endswith(PACKED_PARTS) and files.packing(name.rpartition(".")[0]) is not None:
            continue
        shape = files.shape(name)
        if len(shape) == 2:
            matrices += math.prod(shape)
        else:
            others += math.prod(shape)
    return matrices, others


def _memory(matrices: int, others: int) -> dict[str, int]:
    plain = {f"{bits} bits": (matrices + others) * bits // 8 for bits in (32, 16)}
    overhead = 2 * 16 / _GROUP_SIZE  # bits a weight: a scale and a bias for each group
    return plain | {f"{bits} bits": int(matrices * (bits + overhead) / 8) + others * 2 for bits in (8, 4)}
