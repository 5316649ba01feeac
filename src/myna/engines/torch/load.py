"""Base weights from disk into a library model, once: no random initialisation, no second copy.

The model is built by transformers with its parameters on the meta device; then each tensor is read straight into its
final memory. Frozen matrices may stay in the files' dtype and be expanded when used (`FrozenLinear`), which halves the
memory of a 16-bit model on a machine that computes in float32; packed ones stay packed. Knows nothing of training.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from myna.engines.torch import attention
from myna.engines.torch.adapters import FrozenLinear, LoraLinear
from myna.engines.torch.fused import fuse
from myna.engines.torch.quantization import PackedEmbedding, PackedWeight
from myna.errors import AdapterError, ModelError
from myna.models.adapters import AdapterSpec
from myna.models.architectures import ARCHITECTURES
from myna.models.files import ModelFiles
from myna.models.quantization import Packing
from myna.models.tensors import TensorInfo, read_chunks, read_tensor

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
_CHUNK_BYTES = 2**22
"""How much of a tensor is read at a time; two chunks are in memory besides the result."""
_DERIVED = re.compile(r"rotary_emb\.(inv_freq|cos_cached|sin_cached)$")
"""Tensors of old checkpoints that the model computes itself."""


def load_library_model(
    files: ModelFiles,
    spec: AdapterSpec | None,
    *,
    compute: torch.dtype,
    device: torch.device,
    keep_stored: bool,
    may_expand: bool,
) -> nn.Module:
    """Return the transformers model with base weights and untrained adapters.

    compute: dtype of activations and, unless `keep_stored`, of frozen matrices; trained weights are float32.
    may_expand: whether decoding may keep unpacked copies of packed matrices.
    Raises `ModelError` for an unsupported architecture, a missing tensor or a wrong shape.
    """
    model = _skeleton(files)
    trained = frozenset(spec.weights) if spec is not None else frozenset()
    _check_names(files, model, trained)
    packed: dict[str, PackedWeight] = {}
    for name, parameter in list(model.named_parameters(remove_duplicate=True)):
        if name not in files.tensors:
            continue  # tied to one that is there, as checked
        info = files.tensors[name]
        if tuple(parameter.shape) != files.shape(name):
            raise ModelError(
                f"{info.file}: {name} has shape {list(files.shape(name))}, config.json asks for {list(parameter.shape)}"
            )
        path = name.removesuffix(".weight")
        if (packing := files.packing(path)) is not None and name != path:
            packed[path] = _read_packed(files, path, packing, device, may_expand=may_expand)
            continue
        if name in trained:
            dtype = torch.float32
        elif keep_stored and parameter.ndim == 2:
            dtype = _DTYPES[info.dtype]
        else:
            dtype = compute
        _assign(model, name, nn.Parameter(read(info, dtype, device), requires_grad=name in trained))
    _place_packed(model, packed, compute)
    model.to(device)
    _freeze_linears(model, trained)
    _expand_embedding(model, compute)
    if compute == torch.float32 and device.type == "cpu":
        fuse(model)
    if spec is not None and spec.kind != "full":
        attach(model, spec)
    return model.eval()


def read(info: TensorInfo, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Read one tensor into its final dtype and place; only one chunk more than the result is in memory."""
    if info.dtype not in _DTYPES:
        raise ModelError(f"{info.file}: tensors of type {info.dtype} are not supported here")
    stored = _DTYPES[info.dtype]
    out = torch.empty(info.shape, dtype=dtype, device=device)
    flat, position = out.view(-1), 0
    for chunk in read_chunks(info, chunk_bytes=_CHUNK_BYTES):
        piece = torch.from_numpy(chunk.reshape(-1).view(np.uint8)).view(stored)  # torch does not know NumPy's bfloat16
        flat[position : position + len(piece)].copy_(piece)
        position += len(piece)
    return out


def _read_packed(
    files: ModelFiles, path: str, packing: Packing, device: torch.device, *, may_expand: bool
) -> PackedWeight:
    words = torch.from_numpy(read_tensor(files.tensors[f"{path}.weight"]).view(np.int32)).to(device)
    scales, biases = files.tensors[f"{path}.scales"], files.tensors[f"{path}.biases"]
    return PackedWeight(
        words,
        read(scales, _DTYPES[scales.dtype], device),
        read(biases, _DTYPES[biases.dtype], device),
        packing,
        may_expand=may_expand,
    )


def _place_packed(model: nn.Module, packed: dict[str, PackedWeight], compute: torch.dtype) -> None:
    """Put packed matrices where the library has plain ones, and tie embedding and head as the architecture does."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()  # type: ignore[operator]
    tied = bool(tied_names(model))
    for path, weight in packed.items():
        module = model.get_submodule(path)
        if module is embedding:
            scale = getattr(embedding, "scalar_embed_scale", 1.0)
            model.set_input_embeddings(PackedEmbedding(weight, scale=scale, compute=compute))  # type: ignore[operator]
            if tied:
                model.set_output_embeddings(FrozenLinear(weight, None))  # type: ignore[operator]
        elif not isinstance(module, nn.Linear):
            raise ModelError(f"{path} is packed, but it is a {type(module).__name__}; only linear layers can be")
        elif not (tied and module is head):  # a copy of the embedding that some folders carry
            parent, _, child = path.rpartition(".")
            bias = None if module.bias is None else module.bias.data
            setattr(model.get_submodule(parent), child, FrozenLinear(weight, bias))
    if model.get_input_embeddings() is embedding:  # type: ignore[operator]
        model.tie_weights()  # type: ignore[operator]


def attach(model: nn.Module, spec: AdapterSpec) -> None:
    """Wrap the layers that `spec` targets. Raises `AdapterError` for one that the model does not have."""
    for path, target in spec.targets.items():
        parent, _, child = path.rpartition(".")
        try:
            base = model.get_submodule(path)
        except AttributeError:
            raise AdapterError(f"the base model has no layer {path}; was the adapter made for another model?") from None
        if not isinstance(base, FrozenLinear):
            raise AdapterError(f"{path} is a {type(base).__name__}; only linear layers can be adapted")
        setattr(
            model.get_submodule(parent),
            child,
            LoraLinear(base, target, spec.dropout, dora=spec.kind == "dora"),
        )


def _skeleton(files: ModelFiles) -> nn.Module:
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    if files.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ModelError(f"{files.folder}: architecture {files.architecture!r} is not supported (supported: {known})")
    attention.register()
    try:
        config = AutoConfig.from_pretrained(files.folder, trust_remote_code=False, local_files_only=True)
        config.tie_word_embeddings = files.config.get("tie_word_embeddings", config.tie_word_embeddings)
        with _parameters_on_meta(), no_init_weights():
            # Buffers (rotary frequencies, embedding scales) stay float32 whatever the files' dtype.
            model = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                config, attn_implementation=attention.IMPLEMENTATION, dtype=torch.float32
            )
    except Exception as error:  # a configuration that makes no sense ends in any exception of the library
        raise ModelError(f"{files.folder / 'config.json'} does not describe a usable model: {error}") from error
    assert isinstance(model, nn.Module)
    return model


@contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Keep parameters without memory but compute buffers (rotary frequencies, embedding scales) for real."""
    original = nn.Module.register_parameter

    def register_on_meta(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None:
            parameter = nn.Parameter(parameter.to("meta"), requires_grad=False)
        original(module, name, parameter)

    nn.Module.register_parameter = register_on_meta  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = original  # type: ignore[method-assign]


def _check_names(files: ModelFiles, model: nn.Module, trained: frozenset[str]) -> None:
    tied = tied_names(model)
    wanted = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    missing = sorted(name for name in wanted - set(files.tensors) if tied.get(name) not in files.tensors)
    if missing:
        raise ModelError(f"{files.folder}: {len(missing)} tensors are missing from the weights, first {missing[0]}")
    packing = {
        f"{path}.{part}"
        for path in (name.removesuffix(".scales") for name in files.tensors if name.endswith(".scales"))
        for part in ("scales", "biases")
        if files.packing(path) is not None
    }
    foreign = sorted(name for name in set(files.tensors) - wanted - set(tied) - packing if not _DERIVED.search(name))
    if foreign:
        raise ModelError(
            f"{files.folder}: the weights hold {len(foreign)} tensors that a {files.architecture} model does not have, "
            f"first {foreign[0]}"
        )
    unknown = sorted(trained - wanted)
    if unknown:
        raise AdapterError(f"the base model has no weight {unknown[0]}; was it trained on another model?")


def tied_names(model: nn.Module) -> dict[str, str]:
    """Map each tied tensor to the one whose memory it shares, `{"lm_head.weight": "model.embed_tokens.weight"}`."""
    if not getattr(model.config, "tie_word_embeddings", False):
        return {}
    return dict(getattr(model, "_tied_weights_keys", None) or {})


def _freeze_linears(model: nn.Module, trained: frozenset[str]) -> None:
    """Replace each frozen linear layer; the head stays: its weight goes to `head_loss` as it is."""
    head = model.get_output_embeddings()  # type: ignore[operator]
    for path, module in list(model.named_modules()):
        if type(module) is not nn.Linear or module is head or f"{path}.weight" in trained:
            continue
        parent, _, child = path.rpartition(".")
        bias = None if module.bias is None else module.bias.data
        setattr(model.get_submodule(parent), child, FrozenLinear(module.weight.data, bias))


class _CompactEmbedding(nn.Module):
    """An embedding that keeps its stored dtype and answers in the dtype that the layers compute in."""

    def __init__(self, embedding: nn.Embedding, compute: torch.dtype) -> None:
        super().__init__()
        self.weight = embedding.weight
        self.compute = compute
        scale = getattr(embedding, "scalar_embed_scale", 1.0)  # Gemma scales its embeddings by √width
        self.scale = torch.tensor(scale, dtype=compute, device=embedding.weight.device)

    def forward(self, tokens: Tensor) -> Tensor:
        """int64 `[…]` → `[…, width]`."""
        return nn.functional.embedding(tokens, self.weight).to(self.compute) * self.scale


def _expand_embedding(model: nn.Module, compute: torch.dtype) -> None:
    embedding = model.get_input_embeddings()  # type: ignore[operator]
    if isinstance(embedding, PackedEmbedding):
        return
    if embedding.weight.dtype != compute and not embedding.weight.requires_grad:
        model.set_input_embeddings(_CompactEmbedding(embedding, compute))  # type: ignore[operator]


def _assign(model: nn.Module, name: str, parameter: nn.Parameter) -> None:
    parent, _, child = name.rpartition(".")
    model.get_submodule(parent)._parameters[child] = parameter


def named_trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Trainable parameters by the names they have on disk, in a fixed order."""
    named: dict[str, nn.Parameter] = {}
    for path, module in model.named_modules():
        if isinstance(module, LoraLinear):
            named[f"{path}.lora_A.weight"] = module.lora_A
            named[f"{path}.lora_B.weight"] = module.lora_B
            if module.magnitude is not None:
                named[f"{path}.lora_magnitude_vector"] = module.magnitude
    if not named:
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return dict(sorted(named.items()))


def check_shapes(named: dict[str, nn.Parameter], tensors: dict[str, Any]) -> None:
    """Raise `AdapterError` for the first tensor that is foreign or misshapen."""
    for name, array in tensors.items():
        if name not in named:
            raise AdapterError(f"the model has no trained tensor {name}")
        if tuple(np.shape(array)) != tuple(named[name].shape):
            raise AdapterError(f"{name} has shape {list(np.shape(array))}, the model's is {list(named[name].shape)}")
