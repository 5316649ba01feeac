"""`config.json` as mlx-lm reads it, and back: the same settings under the names that each of the two libraries knows.

In and out: the content of a `config.json`. transformers 5 keeps the rotary embedding's settings under
`rope_parameters`; mlx-lm (0.32) reads `rope_theta`, `rope_scaling` and their like beside them, and silently takes
defaults of its own where they are missing. Knows no files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from myna.errors import ModelError
from myna.models.packed import ENTRIES as PACKING_ENTRIES

_ADDED = "added_for_mlx_lm"
"""The key that lists what was added, so that it can be taken away again."""

_WINDOWS_LEFT_OUT = {"mistral": "sliding_window", "gemma2": "sliding_window", "qwen2": "use_sliding_window"}
"""Architectures whose windows mlx-lm leaves out, by the setting that switches them on."""


def for_mlx_lm(config: Mapping[str, Any], *, tied: bool) -> dict[str, Any]:
    """Return the configuration with what mlx-lm reads beside what is there.

    tied: whether the head is the embedding, which mlx-lm takes for granted in some architectures when nothing says it.
    Raises `ModelError` for windows that come in an order that mlx-lm can't say.
    """
    words: dict[str, Any] = {"tie_word_embeddings": tied}
    rope = config.get("rope_parameters")
    if isinstance(rope, Mapping):
        whole = rope.get("full_attention")
        words |= _flat_rope(whole if isinstance(whole, Mapping) else rope)
        if isinstance(whole, Mapping) and isinstance(rope.get("sliding_attention"), Mapping):
            words["rope_local_base_freq"] = rope["sliding_attention"].get("rope_theta")
    if config.get("model_type") == "gemma3_text" and config.get("layer_types"):
        words["sliding_window_pattern"] = _window_pattern(config["layer_types"])
    added = {key: value for key, value in words.items() if value is not None and key not in config}
    return {**config, **added, _ADDED: sorted(added)} if added else dict(config)


def for_transformers(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without what `for_mlx_lm` added, and without how weights were packed."""
    dropped = {*config.get(_ADDED, ()), _ADDED, *PACKING_ENTRIES}
    return {key: value for key, value in config.items() if key not in dropped}


def left_out_by_mlx_lm(config: Mapping[str, Any]) -> str | None:
    """Say what mlx-lm computes differently for this model, None when nothing."""
    setting = _WINDOWS_LEFT_OUT.get(str(config.get("model_type")))
    if setting is None or not config.get(setting):
        return None
    return (
        f"mlx-lm attends to everything where this model attends to the last {config.get('sliding_window')} tokens: "
        "prompts longer than that are answered differently there"
    )


def _flat_rope(rope: Mapping[str, Any]) -> dict[str, Any]:
    kind = rope.get("rope_type", "default")
    scaling = None
    if kind != "default":
        scaling = {"type": kind, **{key: value for key, value in rope.items() if key != "rope_theta"}}
    return {
        "rope_theta": rope.get("rope_theta"),
        "partial_rotary_factor": rope.get("partial_rotary_factor"),
        "rope_scaling": scaling,
    }


def _window_pattern(layer_types: list[str]) -> int:
    """Return which layer of how many sees everything: 6 when the 6th, the 12th … does, and no other."""
    whole = [index for index, kind in enumerate(layer_types) if kind == "full_attention"]
    pattern = whole[0] + 1 if whole else len(layer_types) + 1
    if whole != list(range(pattern - 1, len(layer_types), pattern)):
        raise ModelError(
            "config.json says layer_types in an order that mlx-lm can't say (every n-th layer sees everything); "
            "this model can't be used in mlx-lm"
        )
    return pattern
