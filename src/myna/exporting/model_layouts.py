"""Models in another layout: Hugging Face's and MLX's, of each other, and both of Mistral's own release.

In: a model folder or a release. Out: a model folder. Both have the same tensors under the same names, so that only what
is said of them differs: the files' `format`, how `config.json` words it, packed weights. Every tensor is made while it
is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from myna.engines.pickled import read_pickled_header
from myna.errors import ModelError
from myna.exporting.folders import copy_companions, write_json, write_shards
from myna.models.architectures import ARCHITECTURES
from myna.models.files import ModelFiles, find
from myna.models.mistral_format import MistralParams
from myna.models.mistral_release import Release, open_release, safetensors_in
from myna.models.mlx_config import for_mlx_lm, for_transformers, left_out_by_mlx_lm
from myna.models.packed import PACKED_PARTS, unpacked_rows
from myna.models.sentencepiece_format import convert_tokenizer
from myna.models.tensors import (
    DTYPES,
    FLOATING_TYPES,
    TensorInfo,
    TensorSource,
    cast,
    numpy_type,
    read_chunks,
    read_metadata,
)
from myna.runs import write_folder

ModelLayout: TypeAlias = Literal["huggingface", "mlx"]
Shards: TypeAlias = Sequence[Mapping[str, TensorSource]]

_FORMAT = {"huggingface": "pt", "mlx": "mlx"}
_SHARD_BYTES = 5_000_000_000
"""The size of shards that transformers and mlx-lm write."""
_NO_TEMPLATE = "the release has no chat template; for conversations put the model's chat_template.jinja into the folder"


@dataclass(frozen=True, slots=True)
class WrittenModel:
    """What was written; source: the layout that was read."""

    source: str
    tensors: int
    bytes: int
    notices: tuple[str, ...]


def convert_folder(model: str, folder: Path, *, to: ModelLayout, dtype: str | None) -> WrittenModel:
    """Write a Hugging Face or MLX folder, or hub id, in the layout `to`; raises `ModelError` when it is in it."""
    files = find(model, supported=False)  # the error below knows more
    source = layout_of(files)
    if files.architecture not in ARCHITECTURES:
        raise ModelError(
            f"{files.folder}: architecture {files.architecture!r} is not supported here "
            f"(supported: {', '.join(ARCHITECTURES)}); mlx-lm's own `mlx_lm.convert` may know it"
        )
    if to == "mlx" and files.quantisation is not None:
        raise ModelError(f"{files.folder}: its weights are packed; convert it to huggingface first, which unpacks them")
    if source == to and dtype is None:
        raise ModelError(f"{files.folder}: is in this layout already; give a dtype to change its numbers' type")
    with write_folder(folder) as partial_folder:
        copy_companions(files.folder, partial_folder)
        if files.quantisation is None:
            shards: Shards = [_sources(files, names) for names in files.shards.values()]
        else:  # a layer's parts may lie in two files, and unpacked it takes several times the room
            shards = _in_shards(_sources(files, files.tensors))
        config = dict(files.config)
        if dtype is not None:
            config.pop("torch_dtype", None)  # its name until transformers 4.56
            config["dtype"] = dtype
        return _write(partial_folder, shards, config, source=source, to=to, dtype=dtype)


def convert_release(path: Path, folder: Path, *, to: ModelLayout, dtype: str | None) -> WrittenModel:
    """Write a release of Mistral's in the layout `to`, with a tokenizer where it has one."""
    release = open_release(path)
    params = MistralParams.read(release.params_file, release.params)
    sources = params.tensors(_located(release))
    with write_folder(folder) as partial_folder:
        special_tokens, notices = _write_tokenizer(release, partial_folder)
        stored = dtype or numpy_type(next(iter(sources.values())).dtype).name
        config = params.config(stored, special_tokens)
        written = _write(partial_folder, _in_shards(sources), config, source="mistral", to=to, dtype=dtype)
    return WrittenModel(written.source, written.tensors, written.bytes, (*notices, *written.notices))


def layout_of(files: ModelFiles) -> ModelLayout:
    """Tell whose layout a folder has; MLX writes its name into each file."""
    marked = all(read_metadata(file).get("format") == "mlx" for file in files.shards)
    return "mlx" if marked or files.quantisation == "mlx" else "huggingface"


def _located(release: Release) -> dict[str, TensorInfo]:
    if not release.pickled:
        return safetensors_in(release)
    (part,) = release.weights
    return read_pickled_header(part.file, start=part.start, stop=part.stop)


def _write_tokenizer(release: Release, folder: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Write the tokenizer; return the ids of the special tokens for the configuration, and what to tell."""
    if release.tokenizer is not None:
        ids = convert_tokenizer(release.tokenizer.read(), folder, source=f"{release.path}: {release.tokenizer.name}")
        return ids, (_NO_TEMPLATE,)
    if release.folder is not None and (release.folder / "tokenizer.json").is_file():
        copy_companions(release.folder, folder)
        return {}, ()
    return {}, (
        "no tokenizer.model in the release, so the folder has no tokenizer; copy the model's tokenizer.json to it",
    )


def _write(
    folder: Path, shards: Shards, config: Mapping[str, Any], *, source: str, to: ModelLayout, dtype: str | None
) -> WrittenModel:
    tied = _is_tied(config, shards)
    if to == "mlx":
        shards = [{name: one for name, one in shard.items() if _is_read_by_mlx(name, tied)} for shard in shards]
    if dtype is not None:
        shards = [{name: _in_type(name, one, DTYPES[dtype]) for name, one in shard.items()} for shard in shards]
    write_shards(folder, shards, metadata={"format": _FORMAT[to]})
    worded = for_mlx_lm(config, tied=tied) if to == "mlx" else for_transformers(config)
    write_json(folder / "config.json", worded)
    left_out = left_out_by_mlx_lm(config) if to == "mlx" else None
    return WrittenModel(
        source,
        tensors=sum(len(shard) for shard in shards),
        bytes=sum(one.bytes for shard in shards for one in shard.values()),
        notices=(left_out,) if left_out else (),
    )


def _is_tied(config: Mapping[str, Any], shards: Shards) -> bool:
    said = config.get("tie_word_embeddings")
    return said if isinstance(said, bool) else not any("lm_head.weight" in shard for shard in shards)


def _is_read_by_mlx(name: str, tied: bool) -> bool:
    """A head that is a copy of the embedding, and constants that the model computes itself, are not."""
    return not (tied and name == "lm_head.weight") and not name.endswith("rotary_emb.inv_freq")


def _sources(files: ModelFiles, names: Mapping[str, TensorInfo]) -> dict[str, TensorSource]:
    """Return a shard's tensors, packed ones unpacked."""
    sources: dict[str, TensorSource] = {}
    for name, info in names.items():
        path = name.rpartition(".")[0]
        packing = files.packing(path)
        if packing is None or name.endswith(".bias"):  # of the layer itself, not of its packing
            sources[name] = TensorSource(info.dtype, info.shape, partial(read_chunks, info))
        elif not name.endswith(PACKED_PARTS):
            unpacked = partial(unpacked_rows, path, files.tensors, packing)
            of_float32 = TensorSource("F32", files.shape(name), unpacked)
            sources[name] = _in_type(name, of_float32, files.tensors[f"{path}.scales"].dtype)
    return sources


def _in_type(name: str, source: TensorSource, dtype: str) -> TensorSource:
    """Return the tensor `name` with its numbers rounded to `dtype`, or as it is when it holds no weights."""
    if source.dtype not in FLOATING_TYPES:
        return source
    return TensorSource(dtype, source.shape, lambda: (cast(name, chunk, dtype) for chunk in source.chunks()))


def _in_shards(sources: Mapping[str, TensorSource]) -> Shards:
    """Divide tensors, in their order, into shards of at most the usual size."""
    shards: list[dict[str, TensorSource]] = [{}]
    size = 0
    for name, source in sources.items():
        if shards[-1] and size + source.bytes > _SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = source
        size += source.bytes
    return shards
