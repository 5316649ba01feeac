"""Whether a `config.json` says what can be: every size a number in range, and the sizes of the tensors that are stored.

In: the configuration of a supported architecture, and the headers of its tensors. Out: nothing, or a `ModelError` that
names the file, the key and its value. This comes before any library reads the configuration: a library builds a billion
layers, or a table of a terabyte, because a file says so. Reads no weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from myna.errors import ModelError
from myna.models import settings
from myna.models.architectures import ARCHITECTURES

_MOST_LAYERS = 10_000
_MOST_SIZE = 1 << 24
"""Of a width or a vocabulary."""
_MOST_POSITIONS = 1 << 31
_MOST_ENTRIES = 100_000
"""Of a list."""

_LAYER_KINDS = ("full_attention", "sliding_attention")
_ROPE_KINDS = ("default", "linear", "dynamic", "yarn", "longrope", "llama3", "su", "proportional")

_OWN = ("model.layers.", "model.embed_tokens.", "model.norm.", "lm_head.")
_LAYER = re.compile(r"model\.layers\.([0-9]{1,9})\.")

Check = Callable[[Path, str, Any], object]


def _size(file: Path, key: str, value: Any) -> None:
    settings.whole(file, key, value, most=_MOST_SIZE)


def _positions(file: Path, key: str, value: Any) -> None:
    settings.whole(file, key, value, most=_MOST_POSITIONS)


def _layers(file: Path, key: str, value: Any) -> None:
    settings.whole(file, key, value, most=_MOST_LAYERS)


def _positive(file: Path, key: str, value: Any) -> None:
    settings.number(file, key, value, least=1e-12, most=1e12)


def _share(file: Path, key: str, value: Any) -> None:
    settings.number(file, key, value, least=0.0, most=1.0)


def _id(file: Path, key: str, value: Any) -> None:
    settings.whole(file, key, value, least=-1, most=_MOST_POSITIONS)  # some write -1 for none


def _ids(file: Path, key: str, value: Any) -> None:
    for each in value if isinstance(value, list) else [value]:
        _id(file, key, each)


_NEEDED: Mapping[str, Check] = {
    "vocab_size": _size,
    "hidden_size": _size,
    "intermediate_size": _size,
    "num_hidden_layers": _layers,
    "num_attention_heads": _size,
    "max_position_embeddings": _positions,
    "rms_norm_eps": _positive,
    "tie_word_embeddings": settings.flag,
}
"""Settings that are there or not, but never null."""
_OPTIONAL: Mapping[str, Check] = {
    "num_key_value_heads": _size,
    "head_dim": _size,
    "original_max_position_embeddings": _positions,
    "sliding_window": _positions,
    "sliding_window_pattern": _layers,
    "_sliding_window_pattern": _layers,
    "max_window_layers": lambda file, key, value: settings.whole(file, key, value, least=0),
    "use_sliding_window": settings.flag,
    "rope_theta": _positive,
    "rope_local_base_freq": _positive,
    "partial_rotary_factor": _share,
    "query_pre_attn_scalar": _positive,
    "attn_logit_softcapping": _positive,
    "final_logit_softcapping": _positive,
    "attention_dropout": _share,
    "attention_bias": settings.flag,
    "mlp_bias": settings.flag,
    "hidden_act": settings.text,
    "hidden_activation": settings.text,
    "bos_token_id": _ids,
    "eos_token_id": _ids,
    "pad_token_id": _id,
}
"""Settings that may be null too."""


def check_configuration(file: Path, config: Mapping[str, Any]) -> None:
    """Raise `ModelError` for a setting that is of the wrong kind, out of range, or contradicts another."""
    for part in (config, config.get("text_config")):
        # of every architecture, because the library that reads the configuration for a tokenizer builds on it too
        if isinstance(part, Mapping) and part.get("num_hidden_layers") is not None:
            _layers(file, "num_hidden_layers", part["num_hidden_layers"])
    if config.get("model_type") not in ARCHITECTURES:
        return
    for checks, may_be_null in ((_NEEDED, False), (_OPTIONAL, True)):
        for key, check in checks.items():
            if key in config and not (may_be_null and config[key] is None):
                check(file, key, config[key])
    _check_heads(file, config)
    _check_layer_types(file, config)
    for key in ("rope_parameters", "rope_scaling"):
        if config.get(key) is not None:
            _check_rope(file, key, settings.mapping(file, key, config[key]))


def _check_heads(file: Path, config: Mapping[str, Any]) -> None:
    heads, shared = config.get("num_attention_heads"), config.get("num_key_value_heads")
    if heads is None:
        return
    if shared is not None and heads % shared:
        raise ModelError(f"{file}: num_key_value_heads is {shared}, which does not divide num_attention_heads, {heads}")
    width = config.get("hidden_size")
    if config.get("head_dim") is None and width is not None and width % heads:
        raise ModelError(f"{file}: hidden_size is {width}, which num_attention_heads, {heads}, does not divide")
    dimension = config.get("head_dim") or (width or 0) // heads
    if dimension % 2 and config.get("partial_rotary_factor") in (None, 1.0):
        raise ModelError(f"{file}: head_dim is {dimension}; expected an even number, for rotary embedding turns pairs")


def _check_layer_types(file: Path, config: Mapping[str, Any]) -> None:
    kinds, layers = config.get("layer_types"), config.get("num_hidden_layers")
    if kinds is None:
        return
    if not isinstance(kinds, list) or not all(kind in _LAYER_KINDS for kind in kinds[:_MOST_LAYERS]):
        raise ModelError(f"{file}: layer_types is no list of {' and '.join(_LAYER_KINDS)}")
    if layers is not None and len(kinds) != layers:
        raise ModelError(f"{file}: layer_types has {len(kinds)} entries, but num_hidden_layers is {layers}")


def _check_rope(file: Path, where: str, rope: Mapping[str, Any]) -> None:
    """Check the rotary embedding's settings; Gemma 3 has two sets of them, by the kind of layer."""
    for key, value in rope.items():
        name = f"{where}.{key}"
        if key in _LAYER_KINDS:
            if value is not None:
                _check_rope(file, name, settings.mapping(file, name, value))
        elif key in ("rope_type", "type"):
            if value is not None and value not in _ROPE_KINDS:
                raise ModelError(f"{file}: {name} is {str(value)[:60]!r}; expected {', '.join(_ROPE_KINDS)}")
        elif key in ("short_factor", "long_factor"):
            if not isinstance(value, list) or len(value) > _MOST_ENTRIES:
                raise ModelError(f"{file}: {name} is no list of numbers")
            for each in value:
                _positive(file, name, each)
        elif key in ("original_max_position_embeddings", "max_position_embeddings"):
            _positions(file, name, value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            settings.number(file, name, value, least=0.0, most=1e12)
            if key in ("factor", "rope_theta", "partial_rotary_factor"):
                _positive(file, name, value)
        elif value is not None and not isinstance(value, bool):
            raise ModelError(f"{file}: {name} is {str(value)[:60]!r}; expected a number")


def check_against_tensors(file: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `ModelError` where a size is not that of the tensors stored.

    file: the `config.json`. shapes: of all tensors, unpacked ones. Only for supported architectures.
    """
    for name, shape in shapes.items():
        expected = 1 if name.endswith(("norm.weight", ".bias")) else 2
        if name.startswith(_OWN) and name.endswith((".weight", ".bias")) and len(shape) != expected:
            raise ModelError(f"{file.parent}: {name} has the shape {list(shape)}; expected {expected} dimensions")
    indexes = [int(match[1]) for match in map(_LAYER.match, shapes) if match]
    _compare(file, config, "num_hidden_layers", 1 + max(indexes, default=-1), "layers")
    embedding = shapes.get("model.embed_tokens.weight")
    if embedding is not None:
        _compare(file, config, "vocab_size", embedding[0], "rows of model.embed_tokens.weight")
        _compare(file, config, "hidden_size", embedding[1], "columns of model.embed_tokens.weight")
    first = "model.layers.0."
    heads, width = config.get("num_attention_heads"), config.get("hidden_size")
    if heads is not None and width is not None:
        shared = config.get("num_key_value_heads") or heads
        dimension = config.get("head_dim") or (None if config["model_type"] in _OWN_HEAD_DIM else width // heads)
        for part, count in (("q_proj", heads), ("k_proj", shared), ("qkv_proj", heads + 2 * shared)):
            found = shapes.get(f"{first}self_attn.{part}.weight")
            if found is not None and dimension is not None and found[0] != count * dimension:
                raise ModelError(
                    f"{file}: num_attention_heads is {heads}, num_key_value_heads {shared} and head_dim {dimension}, "
                    f"which asks for {count * dimension} rows of {first}self_attn.{part}.weight; it has {found[0]}"
                )
    for part, times in (("gate_proj", 1), ("gate_up_proj", 2)):
        found = shapes.get(f"{first}mlp.{part}.weight")
        if found is not None:
            _compare(file, config, "intermediate_size", found[0] // times, f"rows for it in {first}mlp.{part}.weight")


_OWN_HEAD_DIM = ("qwen3", "gemma2", "gemma3_text")
"""Architectures whose heads have a size of their own when nothing is said."""


def _compare(file: Path, config: Mapping[str, Any], key: str, stored: int, what: str) -> None:
    if key in config and config[key] != stored:
        raise ModelError(
            f"{file}: {key} is {config[key]}, but there are {stored} {what}; config.json and the weights are of "
            "different models, download or copy both again"
        )
