"""A base model's folder on disk: which files there are, what is in them, and how to read a tensor from them.

Reads `config.json`, the tokenizer's files and the headers of safetensors files (format specification:
https://github.com/huggingface/safetensors#format). Knows no tensor library and never unpickles anything.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from myna.errors import ModelError
from myna.models import hub, packed
from myna.models.architectures import ARCHITECTURES
from myna.models.configuration import check_against_tensors, check_configuration
from myna.models.json_files import read_json
from myna.models.names import is_plain_name
from myna.models.quantization import Packing
from myna.models.tensors import TensorInfo, read_chunks, read_header, read_into, read_tensor
from myna.runs import restore

__all__ = [
    "ModelFiles",
    "TensorInfo",
    "content_hash",
    "find",
    "locate",
    "read_chunks",
    "read_into",
    "read_tensor",
]

STARTER = "starter"
"""The name of the model that ships with the package; a folder of that name is `./starter`."""
STARTER_FOLDER = Path(__file__).parent.parent / "starter" / "model"

_MOST_INDEX_BYTES = 64 << 20
"""Of the index; that of a model of 700 billion parameters, with 90,000 tensors, has an eighth of it."""
INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")
_PICKLES = ("*.bin", "*.pth", "*.pt", "*.ckpt")


def _public(model: str, folder: Path) -> str:
    """Return a name of the model that tells nothing about this machine."""
    if expanded(model).resolve() != folder:
        return model
    return hub.id_of_cached(folder) or folder.name


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model folder, checked: every shard is there and whole.

    name: what the user asked for. config: `config.json`, corrected where the weights contradict it. tensors: every
    tensor by its name in the files. notices: what was corrected, for a person.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]
    notices: tuple[str, ...] = ()

    @property
    def architecture(self) -> str:
        """`config["model_type"]`, such as `qwen2`."""
        return str(self.config["model_type"])

    @property
    def text_config(self) -> Mapping[str, Any]:
        """The language model's part of `config` (all of it, unless the model also sees or hears)."""
        part = self.config.get("text_config")
        return part if isinstance(part, Mapping) else self.config

    @property
    def public_name(self) -> str:
        """The hub id, or the last part of the folder's path: a name that tells nothing about this machine."""
        return _public(self.name, self.folder)

    @property
    def shards(self) -> dict[Path, dict[str, TensorInfo]]:
        """The tensors by the file they lie in, in the order of the files' names."""
        by_file: dict[Path, dict[str, TensorInfo]] = defaultdict(dict)
        for name, info in self.tensors.items():
            by_file[info.file][name] = info
        return dict(sorted(by_file.items()))

    @property
    def quantisation(self) -> str | None:
        """The program that packed the weights (`mlx`, `gptq`, `awq`, `bitsandbytes` …), None for plain weights."""
        return packed.method(self.config, self.tensors)

    @property
    def usual_packing(self) -> Packing | None:
        """How the packed layers are packed that are no exceptions, None in a folder of plain weights."""
        return packed.usual(self.config)

    def packing(self, path: str) -> Packing | None:
        """Return how the weight of the layer at `path` is packed, None when it is plain."""
        return packed.packing(path, self.config, self.tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the tensor `name`; of packed weights that which they have when they are unpacked."""
        info = self.tensors[name]
        how = self.packing(name.removesuffix(".weight")) if info.dtype == packed.WORDS else None
        return info.shape if how is None else (info.shape[0], how.inputs(info.shape[1]))


def find(model: str, *, supported: bool = True) -> ModelFiles:
    """Return the checked files of a model whose weights can be used: a folder, `starter`, or a hub id to download.

    supported: refuse architectures that the engines don't compute, before weights are downloaded or read. Raises
    `ModelError` when there is no such model, when a file of it is missing, damaged or only a pickle, when its
    `config.json` says what can't be or is not so, or when its weights are packed in a way that is not MLX's.
    """
    files = _locate(model, _require_supported if supported else check_configuration)
    packed.check(model, files.config, files.tensors)
    if files.architecture in ARCHITECTURES:
        shapes = {name: files.shape(name) for name in files.tensors}
        check_against_tensors(files.folder / "config.json", files.config, shapes)
    return files


def locate(model: str) -> ModelFiles:
    """Do what `find` does, but let any architecture and any way of packing pass; for describing a model."""
    return _locate(model, check_configuration)


CheckConfig = Callable[[Path, Mapping[str, Any]], None]


def _require_supported(file: Path, config: Mapping[str, Any]) -> None:
    if config["model_type"] not in ARCHITECTURES:
        raise ModelError(
            f"{file.parent}: architecture {config['model_type']!r} is not supported "
            f"(supported: {', '.join(ARCHITECTURES)})"
        )
    check_configuration(file, config)


def _locate(model: str, check: CheckConfig) -> ModelFiles:
    folder = _folder(model, weights=True, check=check)
    config = read_config(model, folder, check)
    tensors: dict[str, TensorInfo] = {}
    for file, expected in _weight_files(model, folder).items():
        header = read_header(file)
        _check_against_index(file, header, expected)
        twice = tensors.keys() & header.keys()
        if twice:
            raise ModelError(f"{file}: tensor {min(twice)!r} is also in {tensors[min(twice)].file.name}")
        tensors |= header
    if not tensors:
        raise ModelError(f"{model}: its safetensors files hold no tensors")
    if not _has_own_head(config, tensors):
        return ModelFiles(model, folder, config, tensors)
    notice = (
        f"{_public(model, folder)}: config.json ties the head to the embedding (tie_word_embeddings), but the weights "
        "hold a head of their own, which is used, as transformers does"
    )
    return ModelFiles(model, folder, {**config, "tie_word_embeddings": False}, tensors, (notice,))


_HEAD, _EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
_TIED_UNLESS_SAID = ("gemma2", "gemma3_text")


def _has_own_head(config: Mapping[str, Any], tensors: Mapping[str, TensorInfo]) -> bool:
    """Tell whether a head that should be the embedding is stored beside it with other numbers.

    transformers 5 ties the two only when they are equal (`PreTrainedModel.tie_weights`).
    """
    said = config.get("tie_word_embeddings", config["model_type"] in _TIED_UNLESS_SAID)
    if said is not True or _HEAD not in tensors or _EMBEDDING not in tensors:
        return False
    head, embedding = tensors[_HEAD], tensors[_EMBEDDING]
    if packed.WORDS in (head.dtype, embedding.dtype):
        return False
    return (head.dtype, head.shape) != (embedding.dtype, embedding.shape) or not _same_bytes(head, embedding)


def _same_bytes(one: TensorInfo, other: TensorInfo) -> bool:
    return all(
        np.array_equal(a.reshape(-1).view(np.uint8), b.reshape(-1).view(np.uint8))
        for a, b in zip(read_chunks(one), read_chunks(other), strict=True)
    )


def locate_tokenizer(model: str) -> Path:
    """Return a folder with a model's tokenizer, for what needs no weights; of a hub id only small files are fetched.

    Raises `ModelError` when there is no such folder or hub model, `ResourceError` when the disk is full.
    """
    return _folder(model, weights=False)


def _folder(model: str, *, weights: bool, check: CheckConfig = check_configuration) -> Path:
    folder = STARTER_FOLDER if model == STARTER else expanded(model)
    restore(folder)
    if not folder.exists():
        if model == STARTER:
            raise ModelError(
                f"{folder}: the starter is not there; in a clone: git checkout -- {folder}; else install Myna again"
            )
        if not hub.is_hub_id(model):
            raise ModelError(f"{model}: no such folder; give a model folder or a hub id such as Qwen/Qwen2.5-0.5B")
        folder = hub.download(model, weights=weights, look=lambda fetched: check_folder(model, fetched, check))
    if not folder.is_dir():
        raise ModelError(f"{model}: a file; give the model's folder, which holds config.json and the weights")
    return folder.resolve()


def expanded(path: str | Path) -> Path:
    """Return the path with `~` replaced by the user's home; a `~name` that is no user stays as it is."""
    return Path(os.path.expanduser(path))


def check_folder(model: str, folder: Path, check: CheckConfig = _require_supported) -> None:
    """Raise `ModelError` when the folder has a `config.json` that can't be used; before weights are downloaded."""
    if (folder / "config.json").is_file():
        read_config(model, folder, check)


def read_config(model: str, folder: Path, check: CheckConfig = check_configuration) -> dict[str, Any]:
    """Return the checked `config.json` of a folder. Raises `ModelError` when it has none that makes sense."""
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(_why_no_config(model, folder))
    config = read_json(path)
    if not isinstance(config.get("model_type"), str):
        raise ModelError(f'{path}: no "model_type"; this is not a Hugging Face model\'s config.json')
    check(path, config)
    return config


def _why_no_config(model: str, folder: Path) -> str:
    if (folder / "recipe.yaml").exists():
        return (
            f"{model}: a run folder, not a model; give the base model as the model and this as the adapter path "
            "(or fuse the two first)"
        )
    if any((folder / name).exists() for name in ("adapter_config.json", "adapters.npz", "myna.json")):
        return f"{model}: an adapter, not a model; give its base model as the model and this as the adapter path"
    if (folder / "params.json").exists():
        return (
            f"{model}: no config.json but params.json, Mistral's own layout; make a Hugging Face folder of it: "
            f"myna model convert {shlex.quote(model)} --to huggingface --output NEW"
        )
    inside = sorted(entry.parent.name for entry in folder.glob("*/config.json"))
    hint = f" (there is one in {inside[0]}/)" if inside else ""
    return f"{model}: no config.json in this folder{hint}; give a folder in the Hugging Face layout"


def _weight_files(model: str, folder: Path) -> Mapping[Path, set[str] | None]:
    """Return the files that hold the weights, each with the tensors that the index promises in it (None: no index)."""
    single, index = folder / "model.safetensors", folder / INDEX
    if single.is_file():
        return {single: None}
    if index.is_file():
        return _indexed_files(index)
    # Mistral ships `consolidated.safetensors`, the same weights under other names, beside the ones to use
    found = sorted(folder.glob("*.safetensors"))
    usable = [path for path in found if not path.name.startswith(("consolidated", "adapter"))]
    if len(usable) == 1 and not _SHARD.fullmatch(usable[0].name):
        return {usable[0]: None}
    if usable:
        return dict.fromkeys(_complete_set(model, usable))
    if found:
        raise ModelError(
            f"{model}: of weights only {found[0].name}, which is not in the Hugging Face layout; download the files "
            f"model*.safetensors, or convert it: myna model convert {shlex.quote(model)} --to huggingface --output NEW"
        )
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise ModelError(
            f"{model}: of weights only {pickles[0]}, a pickle, which could run any program and is never unpickled; "
            "convert it to safetensors, or download the model's safetensors files"
        )
    raise ModelError(f"{model}: no weights (no *.safetensors) in {folder}")


def _indexed_files(index: Path) -> dict[Path, set[str]]:
    weight_map = read_json(index, most_bytes=_MOST_INDEX_BYTES).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(f'{index}: no "weight_map"; download or copy it again')
    promised: dict[Path, set[str]] = defaultdict(set)
    for tensor, name in weight_map.items():
        if not isinstance(name, str) or not is_plain_name(name) or not name.endswith(".safetensors"):
            raise ModelError(
                f"{index}: names {str(name)[:100]!r} as the file of {tensor[:100]!r}; expected the plain name of a "
                "*.safetensors file beside it"
            )
        promised[index.parent / name].add(tensor)
    missing = sorted(path.name for path in promised if not path.is_file())
    if missing:
        raise ModelError(
            f"{index}: {len(missing)} of {len(promised)} shards missing: {', '.join(missing[:4])}"
            f"{' …' if len(missing) > 4 else ''}; download or copy them too"
        )
    return dict(sorted(promised.items()))


def _complete_set(model: str, paths: list[Path]) -> list[Path]:
    """Return the shards when they are numbered 1 … n of n; their headers say all that a missing index would."""
    shards = [match for path in paths if (match := _SHARD.fullmatch(path.name))]
    if len(shards) != len(paths) or len({(shard["stem"], shard["count"]) for shard in shards}) != 1:
        raise ModelError(
            f"{model}: several safetensors files and no {INDEX} to say which belong to it: "
            f"{', '.join(path.name for path in paths[:4])}; "
            "download the index too, or keep only the model's own files"
        )
    count, numbers = int(shards[0]["count"]), {int(shard["number"]) for shard in shards}
    missing = sorted(set(range(1, count + 1)) - numbers)
    if missing:
        raise ModelError(f"{model}: {len(missing)} of {count} shards missing: numbers {missing[:8]}; download them too")
    return paths


def _check_against_index(file: Path, header: Mapping[str, TensorInfo], expected: set[str] | None) -> None:
    if expected is None:
        return
    if absent := sorted(expected - header.keys()):
        raise ModelError(
            f"{file}: lacks {len(absent)} tensors that {INDEX} says are in it, such as {absent[0]!r}; "
            "shards and index are of different models or versions, download them together"
        )
    if unknown := sorted(header.keys() - expected):
        raise ModelError(
            f"{file}: holds {len(unknown)} tensors that {INDEX} does not name, such as {unknown[0]!r}; "
            "shards and index are of different models or versions, download them together"
        )


_WHO_SAVED_IT = ("_name_or_path", "transformers_version")
_SAMPLE_BYTES = 4096


def content_hash(files: ModelFiles) -> str:
    """Return a sha256 that identifies this base model, in well under a second for any size.

    Covers `config.json` (without the keys that only tell who saved it) and of every tensor its name, type, shape and
    4 KiB each from its beginning, middle and end. Fine-tuning, quantising or converting changes it; splitting the
    same weights into other shards does not. It is an identity, no protection against a forger.
    """
    digest = hashlib.sha256()
    config = {key: value for key, value in files.config.items() if key not in _WHO_SAVED_IT}
    digest.update(json.dumps(config, sort_keys=True).encode())
    for name, info in sorted(files.tensors.items()):
        digest.update(json.dumps([name, info.dtype, info.shape]).encode())
        sample = np.empty(min(_SAMPLE_BYTES, info.bytes), np.uint8)
        for offset in (0, (info.bytes - sample.size) // 2, info.bytes - sample.size):
            read_into(info, sample, offset)
            digest.update(sample.tobytes())
    return digest.hexdigest()
