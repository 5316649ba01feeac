"""Tiny random models with packed weights, and the plain models of exactly the same weights."""

import json
from pathlib import Path

from safetensors.numpy import save_file

from myna.exporting.quantizing import quantize_model
from myna.models.files import find, read_tensor
from myna.models.quantization import dequantize
from tiny_models import save_tiny

WIDE = {"hidden_size": 64, "intermediate_size": 96}
"""Rows that groups of 32 divide."""


def save_packed(folder: Path, architecture: str, *, bits: int = 4, **changes: object) -> Path:
    """Write a random model whose matrices are packed in groups of 32; `folder` is the parent of what is written."""
    base = save_tiny(folder / "base", architecture, **{**WIDE, **changes})
    return quantize_model(str(base), folder / "packed", bits=bits, group_size=32).folder


def save_unpacked(packed: Path, folder: Path) -> Path:
    """Write the plain float32 model whose weights are those of `packed`."""
    files = find(str(packed))
    tensors = {}
    for name, info in files.tensors.items():
        path, _, part = name.rpartition(".")
        packing = files.packing(path)
        if packing is None:
            tensors[name] = read_tensor(info)
        elif part == "weight":
            scales, biases = (read_tensor(files.tensors[f"{path}.{each}"]) for each in ("scales", "biases"))
            tensors[name] = dequantize(read_tensor(info), scales, biases, packing)
        elif part == "bias":
            tensors[name] = read_tensor(info)
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    plain = {key: value for key, value in files.config.items() if not key.startswith("quantization")}
    (folder / "config.json").write_text(json.dumps(plain))
    return folder
