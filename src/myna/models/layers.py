"""The decoder layers of a model, told from the names of its tensors: which there are and what is linear in them.

In: names and shapes. Out: indexes and paths. Knows nothing of adapters.
"""

from __future__ import annotations

import re

from myna.models.files import ModelFiles

# The language model's own stack: `model.layers.3.`, also behind the prefixes of models that see or hear; the stacks
# of their other towers (`vision_tower.….encoder.layers.3.`) stay out
_LAYER = re.compile(r"(?:(?:model|language_model|text_model)\.)*layers\.(\d+)\.")


def layer_index(path: str) -> int | None:
    """Return the 0-based decoder layer that a module or tensor belongs to; None outside the layers."""
    match = _LAYER.match(path)
    return int(match[1]) if match else None


def path_in_layer(path: str) -> str:
    """Return what follows the layer's number: `self_attn.q_proj` of `model.layers.3.self_attn.q_proj`."""
    match = _LAYER.match(path)
    return path[match.end() :] if match else path


def layer_count(files: ModelFiles) -> int:
    """Return how many decoder layers the model has."""
    return 1 + max((index for name in files.tensors if (index := layer_index(name)) is not None), default=-1)


def linear_layers(files: ModelFiles) -> dict[str, tuple[int, int]]:
    """Return the linear layers inside the decoder layers: path, without `.weight`, to shape `(out, in)`.

    A linear layer is a matrix named `….weight`; norms have vectors, and embeddings lie outside the layers. The order
    is that of the layers, lowest first.
    """
    found = [
        (index, name.removesuffix(".weight"), (info.shape[0], files.shape(name)[1]))
        for name, info in files.tensors.items()
        if name.endswith(".weight") and len(info.shape) == 2 and (index := layer_index(name)) is not None
    ]
    return {path: shape for _, path, shape in sorted(found)}
