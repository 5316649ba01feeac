"""A base model's folder on disk: which files there are, what is in them, and how to read a tensor from them.

Reads `config.json`, the tokenizer's files and the headers of safetensors files (format specification:
https://github.com/huggingface/safetensors#format). Knows no tensor library and never unpickles anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where one tensor lies: `file`, bytes `start … stop-1` from the beginning of the file, dtype as in the
    safetensors header (`F32`, `BF16`, `F16`, `U32` …), and shape."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model folder, checked: every shard is there and whole.

    name: what the user asked for. config: `config.json`. tensors: every tensor by its name in the files.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]

    @property
    def architecture(self) -> str:
        """`config["model_type"]`, such as `qwen2`."""
        return str(self.config["model_type"])
