"""Whether a fused model says the same as base and adapter: both are asked the same few prompts.

In: the two models' files. Out: how far their logits differ. Knows engines only by their protocol.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from myna.engines import choose
from myna.engines.base import Model
from myna.errors import PromptError
from myna.models.adapters import AdapterSpec
from myna.models.files import ModelFiles
from myna.prompts.builder import PromptBuilder

_PROMPTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Q: How many students are older than 20?\nA: SELECT COUNT(*) FROM students WHERE age > 20",
    "八哥会学人说话。",
)

_TOLERANCE = {"float64": 1e-3, "float32": 1e-3, "float16": 1e-2, "bfloat16": 5e-2}
"""Relative to the largest logit. Half the last kept bit is 6e-8, 5e-4 and 4e-3; layer upon layer adds up to about ten
times that, and float32 is allowed more because accelerators may multiply with 10 bits."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far logits differ: the largest difference over all prompts, relative to the largest logit of the prompt.

    difference: fused model against base and adapter. effect: base and adapter against the base alone, None for full
    fine-tuning. tolerance: what `difference` may be, given the types stored and computed in.
    """

    difference: float
    effect: float | None
    tolerance: float


def compare(
    base: ModelFiles,
    spec: AdapterSpec,
    tensors: Mapping[str, NDArray[np.float32]],
    fused: ModelFiles,
    *,
    stored: str,
    engine: Literal["auto", "torch", "mlx"] = "auto",
    device: str = "auto",
) -> Agreement:
    """Load one model after the other and compare their logits. stored: the fused weights' type, such as `float32`."""
    chosen = choose(engine)
    # a model kept in float32 is compared in it, which shows far smaller mistakes; others in what runs well there
    computed = "float32" if stored == "float32" else chosen.device(device).dtype
    prompts = _prompts(base)
    expected, plain = _adapted_logits(chosen.load(base, adapter=spec, dtype=computed, device=device), tensors, prompts)
    gc.collect()  # the first model's memory, before the second one is loaded
    found = _logits(chosen.load(fused, dtype=computed, device=device), prompts)
    # full fine-tuning can't be switched off: with and without are then the same
    effect = None if spec.kind == "full" else _largest_difference(expected, plain)
    return Agreement(
        _largest_difference(expected, found), effect, tolerance=max(_TOLERANCE[stored], _TOLERANCE[computed])
    )


Logits = list[NDArray[np.float32]]


def _adapted_logits(
    model: Model, tensors: Mapping[str, NDArray[np.float32]], prompts: Sequence[NDArray[np.int32]]
) -> tuple[Logits, Logits]:
    """Return the logits with the adapter and without it."""
    model.load_trainable(tensors)
    adapted = _logits(model, prompts)
    model.use_adapter(False)
    return adapted, _logits(model, prompts)


def _logits(model: Model, prompts: Sequence[NDArray[np.int32]]) -> Logits:
    return [model.logits(prompt) for prompt in prompts]


def _prompts(files: ModelFiles) -> list[NDArray[np.int32]]:
    try:
        builder = PromptBuilder.load(files.folder)
    except PromptError:  # weights without a tokenizer: any tokens show whether two models are the same
        random = np.random.Generator(np.random.PCG64(0))
        return [random.integers(0, files.text_config["vocab_size"], 16, np.int32) for _ in _PROMPTS]
    return [builder.text_prompt(text) for text in _PROMPTS]


def _largest_difference(expected: Logits, found: Logits) -> float:
    return max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(expected, found, strict=True))
