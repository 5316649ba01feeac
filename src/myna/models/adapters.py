"""What is trained on top of a base model, and the file formats it is kept in (PEFT's, mlx-lm's, old `adapters.npz`).

Knows no tensor library: arrays are NumPy, names are those of the base model's files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class LoraTarget:
    """One adapted linear layer: `y = W x + scale · B (A x)`.

    rank: rows of A `[rank, in]` and columns of B `[out, rank]`. scale: alpha / rank, or alpha / √rank for rsLoRA.
    """

    rank: int
    scale: float


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """Which tensors of a model are trained, and how.

    kind `lora` (Hu et al. 2021, arXiv 2106.09685) or `dora` (Liu et al. 2024, arXiv 2402.09353): `targets` maps the
    path of each adapted linear layer, such as `model.layers.0.self_attn.q_proj`, to its rank and scale; the
    trainable tensors are `<path>.lora_A.weight`, `<path>.lora_B.weight` and for DoRA `<path>.lora_magnitude_vector`.
    kind `full`: `weights` are the names of the base model's tensors that are trained themselves.
    dropout: probability that an input of A is dropped in training.
    """

    kind: Literal["lora", "dora", "full"]
    targets: Mapping[str, LoraTarget]
    weights: tuple[str, ...] = ()
    dropout: float = 0.0
