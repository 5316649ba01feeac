"""What a model folder says of its packed weights, and whether that is so.

In: `config.json` and the tensors' headers. Out: the `Packing` of a layer, None for a plain one. MLX's folders keep for
a packed layer `<path>.weight` (uint32 words), `<path>.scales` and `<path>.biases`, and under `"quantization"` the bits
and group size of all, with exceptions by path, as mlx-lm writes it. Folders of other programs are named and refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myna.errors import ModelError
from myna.models.quantization import BITS, GROUP_SIZES, Packing, dequantize
from myna.models.tensors import FLOATING_TYPES, TensorInfo, read_chunks

ENTRIES = ("quantization", "quantization_config")
"""Keys of `config.json` under which mlx-lm says how weights are packed."""

WORDS = "U32"
"""The type of packed weights in the files."""

PACKED_PARTS = (".scales", ".biases")
"""How the names of the tensors end that a packed matrix has beside its words."""

_UNPACKED_BYTES = 1 << 23
"""Of unpacked rows at a time; unpacking takes a few times as much."""

_OTHER_PROGRAMS = {
    "gptq": "GPTQ",
    "awq": "AWQ",
    "bitsandbytes": "bitsandbytes",
    "aqlm": "AQLM",
    "hqq": "HQQ",
    "compressed-tensors": "compressed-tensors",
    "fp8": "8-bit floating point",
}
_MARKS = {".g_idx": "gptq", ".SCB": "bitsandbytes", ".absmax": "bitsandbytes", ".qweight": "awq"}
"""Ends of tensor names that only one program writes; GPTQ's folders have AWQ's `.qweight` too, so the order counts."""

_READS_THE_HIDDEN_STATE = ("q_proj", "qkv_proj", "gate_proj", "gate_up_proj", "embed_tokens", "lm_head")
"""Layers whose rows have as many weights as the model's width."""


def method(config: Mapping[str, Any], tensors: Mapping[str, TensorInfo]) -> str | None:
    """Return which program packed the weights (`mlx`, `gptq`, `awq`, `bitsandbytes` …), None for plain weights."""
    if _settings(config) is not None:
        return "mlx"
    if (other := _other_settings(config)) is not None:
        return str(other.get("quant_method", "unknown"))
    for end, name in _MARKS.items():
        if any(tensor.endswith(end) for tensor in tensors):
            return name
    return "mlx" if any(_is_packed(name, tensors) for name in tensors) else None


def packing(path: str, config: Mapping[str, Any], tensors: Mapping[str, TensorInfo]) -> Packing | None:
    """Return how the layer at `path` is packed, None when its weight is plain (or `check` would refuse the folder)."""
    settings = _settings(config)
    if settings is None or f"{path}.scales" not in tensors:
        return None
    own = settings.get(path)
    said = own if isinstance(own, Mapping) else settings
    bits, group_size = said.get("bits"), said.get("group_size")
    return Packing(bits, group_size) if bits in BITS and group_size in GROUP_SIZES else None


def usual(config: Mapping[str, Any]) -> Packing | None:
    """Return how the layers are packed that are no exceptions, None in a folder of plain weights."""
    settings = _settings(config)
    if settings is None or settings.get("bits") not in BITS or settings.get("group_size") not in GROUP_SIZES:
        return None
    return Packing(settings["bits"], settings["group_size"])


def unpacked_rows(path: str, tensors: Mapping[str, TensorInfo], packing: Packing) -> Iterator[NDArray[np.float32]]:
    """Yield the unpacked weights of the layer at `path` in float32, some rows at a time."""
    parts = [tensors[f"{path}.{part}"] for part in ("weight", "scales", "biases")]
    rows = max(1, _UNPACKED_BYTES // (4 * packing.inputs(parts[0].shape[1])))
    chunks = (read_chunks(part, chunk_bytes=rows * (part.bytes // part.shape[0])) for part in parts)
    for words, scales, biases in zip(*chunks, strict=True):
        yield dequantize(words, scales, biases, packing)


def check(model: str, config: Mapping[str, Any], tensors: Mapping[str, TensorInfo]) -> None:
    """Raise `ModelError` for weights that another program packed, and for words that are not what is said of them."""
    program = method(config, tensors)
    if program is None:
        return
    if program != "mlx":
        raise ModelError(_why_not(model, program, _other_settings(config) or {}))
    settings = _settings(config)
    if settings is None:
        raise ModelError(
            f'{model}: its weights are packed words, but config.json has no "quantization" to say how; '
            f"copy that file again from where the weights are from{_advice(config, tensors)}"
        )
    _check_settings(model, "quantization", settings)
    for path, own in settings.items():
        if isinstance(own, Mapping):
            _check_settings(model, f"quantization.{path}", own)
    for name in tensors:
        if _is_packed(name, tensors) or name.endswith(".scales"):
            path = name.rpartition(".")[0]
            if settings.get(path) is False:
                raise ModelError(f"{model}: {path} is packed, but config.json says under quantization that it is not")
            _check_layer(model, path, config, tensors)


def _settings(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what mlx-lm wrote: the same under two names, one of which other programs write as well."""
    for key in ENTRIES:
        settings = config.get(key)
        if isinstance(settings, Mapping) and "quant_method" not in settings and "group_size" in settings:
            return settings
    return None


def _other_settings(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    text = config.get("text_config")
    for part in (config, text if isinstance(text, Mapping) else {}):
        settings = part.get("quantization_config")
        if isinstance(settings, Mapping):
            return settings
    return None


def _is_packed(name: str, tensors: Mapping[str, TensorInfo]) -> bool:
    return name.endswith(".weight") and tensors[name].dtype == WORDS


def _why_not(model: str, program: str, settings: Mapping[str, Any]) -> str:
    bits = settings.get("bits") or {"load_in_4bit": 4, "load_in_8bit": 8}.get(
        next((key for key in ("load_in_4bit", "load_in_8bit") if settings.get(key)), "")
    )
    packed = f"{_OTHER_PROGRAMS.get(program, program)}{f' ({bits} bits)' if bits else ''}"
    wanted = bits if bits in BITS else 4
    return (
        f"{model}: its weights are packed by {packed}, a format that is not read here; take the 16- or 32-bit model "
        f"that it was made from and pack that one: myna model quantize THAT --bits {wanted} --output NEW"
    )


def _check_settings(model: str, where: str, settings: Mapping[str, Any]) -> None:
    mode = settings.get("mode", "affine")
    if mode != "affine":
        raise ModelError(
            f"{model}: config.json says {where}.mode {mode}, a format that is not read here (affine is); take the "
            "16-bit model that it was made from and pack that one: myna model quantize THAT --bits 4 --output NEW"
        )
    for key, known in (("bits", BITS), ("group_size", GROUP_SIZES)):
        value = settings.get(key)
        if isinstance(value, bool) or value not in known:
            raise ModelError(
                f"{model}: config.json says {where}.{key} {value!r}; expected {', '.join(map(str, known[:-1]))} or "
                f"{known[-1]}; copy that file again from where the weights are from"
            )


def _check_layer(model: str, path: str, config: Mapping[str, Any], tensors: Mapping[str, TensorInfo]) -> None:
    words, scales, biases = (tensors.get(f"{path}.{part}") for part in ("weight", "scales", "biases"))
    if words is None or scales is None or biases is None:
        absent = next(part for part in ("weight", "scales", "biases") if f"{path}.{part}" not in tensors)
        raise ModelError(f"{model}: {path} is packed, but {path}.{absent} is missing; download or copy the model again")
    if words.dtype != WORDS or not {scales.dtype, biases.dtype} <= FLOATING_TYPES:
        raise ModelError(
            f"{model}: {path} is packed as {words.dtype} with scales of {scales.dtype} and biases of {biases.dtype}; "
            f"expected {WORDS} words with floating-point ones; download or copy the model again"
        )
    said = packing(path, config, tensors)
    assert said is not None
    matrices = len(words.shape) == len(scales.shape) == 2 and scales.shape == biases.shape
    inputs = scales.shape[-1] * said.group_size if matrices else 0
    if not matrices or words.shape != (scales.shape[0], said.words(inputs)) or inputs * said.bits % 32:
        raise ModelError(
            f"{model}: {path} has words {_text(words.shape)}, scales {_text(scales.shape)} and biases "
            f"{_text(biases.shape)}, which {said} don't make; config.json and the weights are of "
            f"different models, copy both again{_advice(config, tensors)}"
        )


def _advice(config: Mapping[str, Any], tensors: Mapping[str, TensorInfo]) -> str:
    """Say which entry the shapes ask for, where the model's width tells it."""
    text = config.get("text_config")
    width = (text if isinstance(text, Mapping) else config).get("hidden_size")
    for name in tensors:
        path = name.removesuffix(".weight")
        scales = tensors.get(f"{path}.scales")
        if not _is_packed(name, tensors) or scales is None or path.rpartition(".")[2] not in _READS_THE_HIDDEN_STATE:
            continue
        if not isinstance(width, int) or width <= 0 or not scales.shape[-1]:
            continue
        bits, group_size = tensors[name].shape[-1] * 32 // width, width // scales.shape[-1]
        if bits in BITS and group_size in GROUP_SIZES:
            return f', or write "quantization": {{"group_size": {group_size}, "bits": {bits}}}, which {path} fits'
    return ""


def _text(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
