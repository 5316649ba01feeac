"""What is trained on top of a base model: which layers, with which rank and scale, and how it starts.

In: a base model's tensor headers and a few settings. Out: an `AdapterSpec` and the first adapter's arrays. Knows no
tensor library and no file format: arrays are NumPy, names are those of the base model's files.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from myna.errors import AdapterError, did_you_mean
from myna.models.files import ModelFiles
from myna.models.layers import layer_count, layer_index, linear_layers, path_in_layer
from myna.models.tensors import FLOATING_TYPES


@dataclass(frozen=True, slots=True)
class LoraTarget:
    """One adapted linear layer: `y = W x + scale · B (A x)`.

    rank: rows of A `[rank, in]` and columns of B `[out, rank]`. scale: alpha / rank, for rsLoRA alpha / √rank.
    """

    rank: int
    scale: float


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """Which tensors of a model are trained, and how.

    kind `lora` (Hu et al. 2021, arXiv 2106.09685) or `dora` (Liu et al. 2024, arXiv 2402.09353): `targets` maps the
    path of each adapted linear layer, such as `model.layers.0.self_attn.q_proj`, to its rank and scale; the trainable
    tensors are `<path>.lora_A.weight`, `<path>.lora_B.weight` and, for DoRA, `<path>.lora_magnitude_vector`.
    kind `full`: `weights` are the names of the base model's tensors that are trained themselves.
    dropout: probability that an input of A is dropped in training.
    """

    kind: Literal["lora", "dora", "full"]
    targets: Mapping[str, LoraTarget]
    weights: tuple[str, ...] = ()
    dropout: float = 0.0


MOST_SCALE = 1e6
"""The largest scale, in either direction: a thousand times what is ever used, and far from where numbers overflow."""

DEFAULT_LAYERS = 16
"""How many decoder layers are trained when nobody says, as in mlx_lm."""


def resolve(
    files: ModelFiles,
    *,
    kind: Literal["lora", "dora", "full"],
    keys: Sequence[str] | None,
    num_layers: int | None,
    rank: int,
    scale: float,
    dropout: float,
) -> AdapterSpec:
    """Say what these settings mean for this model, from its tensor headers alone.

    keys: linear layers by their path in a decoder layer (`self_attn.q_proj`) or the end of it (`q_proj`); None takes
    all. num_layers: decoder layers counted from the top, -1 all, None 16 or as many as there are; with kind `full`,
    -1 means every tensor, embeddings and head too. Raises `AdapterError` for more layers than the model has, an
    unknown key, a rank above the size of a layer, a scale or dropout out of range, or kind `full` on a quantised model.
    """
    count = layer_count(files)
    num_layers = min(DEFAULT_LAYERS, count) if num_layers is None else num_layers
    if not 1 <= num_layers <= count and num_layers != -1:
        raise AdapterError(
            f"num_layers is {num_layers}, but {files.public_name} has {count} decoder layers; "
            f"choose 1 to {count}, or -1 for all"
        )
    lowest = 0 if num_layers == -1 else count - num_layers
    if kind == "full":
        _refuse_packed(files)
        return AdapterSpec("full", {}, _trained_weights(files, None if num_layers == -1 else lowest))
    if not -MOST_SCALE <= scale <= MOST_SCALE or rank < 1 or not 0 <= dropout < 1:  # so that NaN is none of these
        raise AdapterError(
            f"rank is {rank}, scale {scale:g} and dropout {dropout:g}; expected a rank of 1 or more, a scale between "
            f"±{MOST_SCALE:g} and a dropout of 0 or more and below 1"
        )
    linear = linear_layers(files)
    targets = [path for path in _paths_with_keys(files, linear, keys) if (layer_index(path) or 0) >= lowest]
    for path in targets:
        if rank > min(linear[path]):
            raise AdapterError(
                f"rank {rank} is more than {path} can have ({' × '.join(map(str, linear[path]))}); "
                f"choose at most {min(linear[path])}, or leave this layer out"
            )
    return AdapterSpec(kind, dict.fromkeys(targets, LoraTarget(rank, scale)), dropout=dropout)


def _refuse_packed(files: ModelFiles) -> None:
    if files.quantisation is not None:
        raise AdapterError(
            f"{files.public_name} is quantised: packed weights can't be trained themselves; train an adapter on it "
            "(--fine-tune-type lora or dora), or give the model in 16 or 32 bits that it was made from"
        )


def _trained_weights(files: ModelFiles, lowest: int | None) -> tuple[str, ...]:
    tied = files.text_config.get("tie_word_embeddings") is True
    return tuple(
        name
        for name, info in sorted(files.tensors.items())
        if info.dtype in FLOATING_TYPES
        and not name.endswith(".inv_freq")  # a constant that old checkpoints carry
        and not (tied and name == "lm_head.weight")  # a copy of the embedding that some folders carry
        and (lowest is None or ((index := layer_index(name)) is not None and index >= lowest))
    )


def _paths_with_keys(files: ModelFiles, linear: Mapping[str, tuple[int, int]], keys: Sequence[str] | None) -> list[str]:
    if keys is None:
        return list(linear)
    known = {path_in_layer(path) for path in linear}
    for key in keys:
        if not any(_ends_with(path, key) for path in linear):
            raise AdapterError(
                f"{files.public_name} has no linear layer {key!r} in its decoder layers"
                f"{did_you_mean(key, [*known, *(name.rpartition('.')[2] for name in known)])}; "
                f"it has {', '.join(sorted(known))}"
            )
    return [path for path in linear if any(_ends_with(path, key) for key in keys)]


def _ends_with(path: str, key: str) -> bool:
    return path == key or path.endswith(f".{key}")


def tensor_shapes(spec: AdapterSpec, files: ModelFiles) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every trainable tensor.

    Raises `AdapterError` naming the first layer or tensor that the base model does not have.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for path, target in spec.targets.items():
        shape = files.shape(f"{path}.weight") if f"{path}.weight" in files.tensors else ()
        if len(shape) != 2:
            raise AdapterError(f"{files.public_name} has no linear layer {path}")
        out, inputs = shape
        shapes[f"{path}.lora_A.weight"] = (target.rank, inputs)
        shapes[f"{path}.lora_B.weight"] = (out, target.rank)
        if spec.kind == "dora":
            shapes[f"{path}.lora_magnitude_vector"] = (out,)
    for name in spec.weights:
        if name not in files.tensors:
            raise AdapterError(f"{files.public_name} has no tensor {name}")
        if files.packing(name.rpartition(".")[0]) is not None:
            raise AdapterError(
                f"{files.public_name} has {name} packed in {files.packing(name.rpartition('.')[0])}; fully trained "
                "weights only go on plain ones, give the model in 16 or 32 bits that it was made from"
            )
        shapes[name] = files.tensors[name].shape
    return shapes


def initial_tensors(spec: AdapterSpec, files: ModelFiles, seed: int) -> dict[str, NDArray[np.float32]]:
    """Return how a fresh adapter starts: A uniform in ±1/√in, B zero, so that it changes nothing.

    Each A has a random stream of its own, from `seed` and its name (NumPy's PCG64), so that neither the machine nor
    the choice of other layers changes it. DoRA's magnitudes are left out: they are the base weights' row norms, which
    an engine takes from the weights it has loaded. Nothing for kind `full`, which starts from the base.
    """
    tensors: dict[str, NDArray[np.float32]] = {}
    for name, shape in tensor_shapes(spec, files).items():
        if name.endswith(".lora_A.weight"):
            stream = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
            random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, stream])))
            bound = np.float32(1 / math.sqrt(shape[1]))
            tensors[name] = (random.random(shape, dtype=np.float32) * 2 - 1) * bound
        elif name.endswith(".lora_B.weight"):
            tensors[name] = np.zeros(shape, np.float32)
    return tensors
