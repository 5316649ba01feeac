"""Mistral's own layout of a model (`params.json`, `consolidated.*`) in Hugging Face's words.

In: the parameters and where the tensors lie. Out: a `config.json`, and the tensors under the names and in the order of
rows that transformers expects, made while they are written. Knows neither archives nor folders.

The names are those of https://github.com/mistralai/mistral-inference (`model.py`, `args.py`). Rotary embedding turns
pairs of neighbours there, `(x₀, x₁), (x₂, x₃) …`, and pairs across the half in transformers, `(x₀, x_{d/2}) …`: the
rows of each head's queries and keys change places accordingly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myna.errors import ModelError
from myna.models.tensors import FLOATING_TYPES, TensorInfo, TensorSource, numpy_type, read_chunks, read_into

_COUNTS = ("dim", "n_layers", "n_heads", "hidden_dim", "vocab_size")
_HARMLESS = frozenset({"max_batch_size", "model_parallel", "model_type", "architecture"})
"""Parameters that say nothing about what is computed."""

_DEFAULT_CONTEXT = 32_768
"""What all releases in this layout were trained for; those that say nothing, too."""
_DEFAULT_THETA = 10_000.0

_OUTSIDE = {
    "tok_embeddings.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_INSIDE = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_IGNORED = "rope.freqs"
"""A constant that some checkpoints carry."""


@dataclass(frozen=True, slots=True)
class MistralParams:
    """What `params.json` says, checked. file: for messages. window: of attention, None when it sees everything."""

    file: Path
    width: int
    layers: int
    heads: int
    key_value_heads: int
    head_dim: int
    inner_width: int
    vocabulary: int
    norm_eps: float
    rope_theta: float
    window: int | None
    context: int
    tied: bool

    @classmethod
    def read(cls, file: Path, content: Mapping[str, Any]) -> MistralParams:
        """Check `params.json`. Raises `ModelError` for one that lacks a figure or describes another kind of model."""
        for key in _COUNTS:
            _require(file, content, key, int)
        known = {
            *_COUNTS,
            *_HARMLESS,
            *("n_kv_heads", "head_dim", "norm_eps", "rope_theta", "sliding_window", "tied_embeddings"),
            *("max_seq_len", "max_position_embeddings"),
        }
        for key, value in content.items():
            if key not in known and value:
                raise ModelError(
                    f"{file}: {key} = {value!r} is not supported; only dense text models of Mistral's first "
                    "architecture are (7B v0.1 to v0.3 and their like); take this model's Hugging Face files"
                )
        width, heads = content["dim"], content["n_heads"]
        window = content.get("sliding_window")
        if window is not None:
            _require(file, content, "sliding_window", int)
        named = next((key for key in ("max_position_embeddings", "max_seq_len") if content.get(key)), None)
        context = _require(file, content, named, int) if named else _DEFAULT_CONTEXT
        return cls(
            file,
            width,
            content["n_layers"],
            heads,
            _require(file, {"n_kv_heads": heads, **content}, "n_kv_heads", int),
            _require(file, {"head_dim": width // heads, **content}, "head_dim", int),
            content["hidden_dim"],
            content["vocab_size"],
            _require(file, content, "norm_eps", float),
            _require(file, {"rope_theta": _DEFAULT_THETA, **content}, "rope_theta", float),
            window,
            context,
            bool(content.get("tied_embeddings")),
        )

    def config(self, dtype: str, special_tokens: Mapping[str, int]) -> dict[str, Any]:
        """Return the `config.json`. dtype: of most weights, such as `bfloat16`. special_tokens: `bos_token_id` …"""
        return {
            "architectures": ["MistralForCausalLM"],
            "model_type": "mistral",
            "hidden_size": self.width,
            "intermediate_size": self.inner_width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_value_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": self.norm_eps,
            "rope_theta": self.rope_theta,
            "sliding_window": self.window,
            "max_position_embeddings": self.context,
            "vocab_size": self.vocabulary,
            "tie_word_embeddings": self.tied,
            "dtype": dtype,
            **special_tokens,
        }

    def tensors(self, found: Mapping[str, TensorInfo]) -> dict[str, TensorSource]:
        """Return the tensors for transformers, each made of the one it was in `found`.

        Raises `ModelError` for one that is missing, foreign, or not of the shape that the parameters give it.
        """
        if self.layers > len(found):  # before so many names are made
            raise ModelError(
                f"{self.file}: n_layers is {self.layers}, but there are only {len(found)} tensors; "
                "the two are of different models"
            )
        expected = self._shapes()
        foreign = sorted(name for name in found.keys() - expected.keys() if not name.startswith(_IGNORED))
        missing = sorted(expected.keys() - found.keys())
        if missing or foreign:
            what = f"lacks {missing[0]}" if missing else f"holds {foreign[0]}, which no such model has"
            raise ModelError(
                f"{next(iter(found.values())).file if found else self.file}: {what}; "
                f"expected the {len(expected)} tensors of a Mistral model with {self.layers} layers"
            )
        for name, shape in expected.items():
            info = found[name]
            if info.shape != shape or info.dtype not in FLOATING_TYPES:
                raise ModelError(
                    f"{info.file}: {name} is {info.dtype} {list(info.shape)}, but {self.file.name} asks for "
                    f"floating-point {list(shape)}; the two are of different models"
                )
        return {_renamed(name): self._source(name, found[name]) for name in expected}

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor under Mistral's names, in the order of computation."""
        queries, keys = self.heads * self.head_dim, self.key_value_heads * self.head_dim
        inside = {
            "attention.wq": (queries, self.width),
            "attention.wk": (keys, self.width),
            "attention.wv": (keys, self.width),
            "attention.wo": (self.width, queries),
            "feed_forward.w1": (self.inner_width, self.width),
            "feed_forward.w2": (self.width, self.inner_width),
            "feed_forward.w3": (self.inner_width, self.width),
            "attention_norm": (self.width,),
            "ffn_norm": (self.width,),
        }
        shapes: dict[str, tuple[int, ...]] = {"tok_embeddings.weight": (self.vocabulary, self.width)}
        for layer in range(self.layers):
            shapes |= {f"layers.{layer}.{part}.weight": shape for part, shape in inside.items()}
        shapes["norm.weight"] = (self.width,)
        return shapes if self.tied else {**shapes, "output.weight": (self.vocabulary, self.width)}

    def _source(self, name: str, info: TensorInfo) -> TensorSource:
        if name.endswith((".wq.weight", ".wk.weight")):
            return TensorSource(info.dtype, info.shape, partial(_heads_for_transformers, info, self.head_dim))
        return TensorSource(info.dtype, info.shape, partial(read_chunks, info))


def _renamed(name: str) -> str:
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    _, layer, part = name.removesuffix(".weight").split(".", 2)
    return f"model.layers.{layer}.{_INSIDE[part]}.weight"


def _heads_for_transformers(info: TensorInfo, head_dim: int) -> Iterator[NDArray[Any]]:
    """Yield a matrix of queries or keys head by head, rows of a head `0 1 2 3 …` in the order `0 2 4 … 1 3 5 …`."""
    width = info.shape[1]
    head = np.empty((head_dim // 2, 2, width), numpy_type(info.dtype))
    for first in range(0, info.shape[0], head_dim):
        read_into(info, head, first * width * head.itemsize)
        yield np.ascontiguousarray(head.swapaxes(0, 1)).reshape(head_dim, width)


def _require(file: Path, content: Mapping[str, Any], key: str, kind: type) -> Any:
    """Return the figure under `key`, which is more than zero (and even for a head's dimension)."""
    value = content.get(key)
    accepted = (int, float) if kind is float else (int,)
    if isinstance(value, bool) or not isinstance(value, accepted) or not 0 < value < math.inf:
        raise ModelError(f"{file}: {key} is {value!r}; expected a number above zero, as Mistral's releases have it")
    if key == "head_dim" and value % 2:
        raise ModelError(f"{file}: head_dim is {value}; expected an even number, for rotary embedding turns pairs")
    return value
