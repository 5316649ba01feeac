"""Base weights from disk into one of mlx-lm's models, once: a tensor at a time, with no second copy of the model.

Reads Hugging Face folders and MLX folders, plain or quantised by MLX. The configuration is read by transformers, which
knows what every version of a `config.json` means, and told to mlx-lm under the names that it takes. Knows nothing of
training.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn
from mlx.utils import tree_flatten

from myna.engines.mlx.adapters import Dropout, LoraLinear
from myna.engines.mlx.attention import take_masks_from_caches
from myna.engines.mlx.loss import Head
from myna.engines.mlx.quantization import QuantizedFrozen
from myna.errors import AdapterError, MissingDependency, ModelError, ResourceError
from myna.models.adapters import AdapterSpec
from myna.models.architectures import ARCHITECTURES
from myna.models.files import ModelFiles

_MODULES = {"mistral": "llama"}
"""The module of mlx-lm that computes a `model_type`, where it has another name."""

_DERIVED = re.compile(r"rotary_emb\.(inv_freq|cos_cached|sin_cached)$")
"""Tensors of old checkpoints that the model computes itself."""
_PACKED = ("scales", "biases")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A library model with its weights.

    windows: how many tokens back each layer sees, None for all. rotary: what changes rotary embeddings with the length
    of a call. dropout: where the adapters take theirs from. named: trained tensors by their name on disk, each with
    the module and attribute that hold it.
    """

    model: nn.Module
    head: Head
    windows: tuple[int | None, ...]
    rotary: LongRotary | None
    dropout: Dropout
    named: Mapping[str, tuple[nn.Module, str]]
    config: Any


def load_library_model(files: ModelFiles, spec: AdapterSpec | None, *, compute: mx.Dtype) -> LoadedModel:
    """Return the mlx-lm model with base weights and untrained adapters.

    compute: dtype of activations and frozen weights; trained weights are float32. Raises `ModelError` for an
    unsupported architecture or quantisation, a missing tensor or a wrong shape, `ResourceError` for a tensor that the
    device can't hold.
    """
    if files.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ModelError(f"{files.folder}: architecture {files.architecture!r} is not supported (supported: {known})")
    trained = frozenset(spec.weights) if spec is not None else frozenset()
    config = _configuration(files)
    model = _skeleton(files, config)
    _check_and_assign(files, model, trained, compute)
    model.eval()
    model.freeze()
    take_masks_from_caches(model)
    _replace_quantized(model)
    if files.architecture == "gemma3_text":
        model.model.embed_tokens.__class__ = _ExactlyScaledEmbedding
    dropout = Dropout(0.0, 0)
    if spec is not None and spec.kind != "full":
        dropout = Dropout(spec.dropout, len(spec.targets))
        attach(model, spec, dropout)
    embedding = model.model.embed_tokens
    head = model.lm_head if "lm_head" in model else embedding
    name = "lm_head.weight" if "lm_head" in model else "model.embed_tokens.weight"
    return LoadedModel(
        model,
        Head(head, getattr(config, "final_logit_softcapping", None), name in trained),
        _windows(config),
        _long_rotary(model, config),
        dropout,
        _named(model, trained),
        config,
    )


def attach(model: nn.Module, spec: AdapterSpec, dropout: Dropout) -> None:
    """Wrap the layers that `spec` targets. Raises `AdapterError` for one that the model does not have."""
    for number, (path, target) in enumerate(spec.targets.items()):
        parent, _, child = path.rpartition(".")
        try:
            owner = _at(model, parent)
            base = owner[child]
        except (KeyError, IndexError, ValueError, TypeError):
            raise AdapterError(f"the base model has no layer {path}; was the adapter made for another model?") from None
        if not isinstance(base, nn.Linear | QuantizedFrozen):
            raise AdapterError(f"{path} is a {type(base).__name__}; only linear layers can be adapted")
        owner[child] = LoraLinear(base, target, dropout, number, dora=spec.kind == "dora")


def check_shapes(shapes: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Any]) -> None:
    """Raise `AdapterError` for the first tensor that is foreign or misshapen."""
    for name, array in tensors.items():
        if name not in shapes:
            raise AdapterError(f"the model has no trained tensor {name}")
        if tuple(np.shape(array)) != shapes[name]:
            raise AdapterError(f"{name} has shape {list(np.shape(array))}, the model's is {list(shapes[name])}")


def _at(model: nn.Module, path: str) -> Any:
    found: Any = model
    for part in path.split(".") if path else ():
        found = found[int(part)] if isinstance(found, list) else found[part]
    return found


def _named(model: nn.Module, trained: frozenset[str]) -> dict[str, tuple[nn.Module, str]]:
    """Trained tensors by the names they have on disk, in a fixed order."""
    named: dict[str, tuple[nn.Module, str]] = {}
    for path, module in model.named_modules():
        if isinstance(module, LoraLinear):
            named[f"{path}.lora_A.weight"] = (module, "lora_A")
            named[f"{path}.lora_B.weight"] = (module, "lora_B")
            if "magnitude" in module:
                named[f"{path}.lora_magnitude_vector"] = (module, "magnitude")
    for name in trained:
        path, _, attribute = name.rpartition(".")
        module = _at(model, path)
        module.unfreeze(recurse=False, keys=[attribute])
        named[name] = (module, attribute)
    return dict(sorted(named.items()))


# The library's model


def _configuration(files: ModelFiles) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(files.folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # a configuration that makes no sense ends in any exception of the library
        raise ModelError(f"{files.folder / 'config.json'} does not describe a usable model: {error}") from error
    config.tie_word_embeddings = files.config.get("tie_word_embeddings", config.tie_word_embeddings)
    return config


def _skeleton(files: ModelFiles, config: Any) -> nn.Module:
    """The model without weights: MLX makes its random ones only when somebody looks at them."""
    architecture = _architecture(_MODULES.get(files.architecture, files.architecture))
    try:
        arguments = architecture.ModelArgs.from_dict(_arguments(files, config))
        model = architecture.Model(arguments)
    except ModelError:
        raise
    except Exception as error:  # a configuration that makes no sense ends in any exception of the library
        raise ModelError(f"{files.folder / 'config.json'} does not describe a usable model: {error}") from error
    assert isinstance(model, nn.Module)
    return model


def _architecture(name: str) -> Any:
    """Import `mlx_lm.models.<name>` without what `import mlx_lm` does besides.

    That loads all of its commands and lowers the limit of open files of the whole process for good.
    """
    if "mlx_lm" in sys.modules:
        return importlib.import_module(f"mlx_lm.models.{name}")
    spec = importlib.util.find_spec("mlx_lm")
    if spec is None or spec.submodule_search_locations is None:
        raise MissingDependency("the MLX engine needs mlx-lm: pip install 'myna[mlx]'")
    package = types.ModuleType("mlx_lm")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["mlx_lm"] = package
    try:
        return importlib.import_module(f"mlx_lm.models.{name}")
    finally:
        del sys.modules["mlx_lm"]  # whoever wants all of it still gets it


def _arguments(files: ModelFiles, config: Any) -> dict[str, Any]:
    """What mlx-lm calls the settings in `config`; windows are left out, since masks are made here."""
    known: dict[str, Any] = {**files.config, **config.to_dict()}
    for key in ("layer_types", "sliding_window"):
        known.pop(key, None)
    rotary = known.pop("rope_parameters", None) or {}
    if files.architecture == "gemma3_text":
        every, near = rotary["full_attention"], rotary["sliding_attention"]
        pattern = _period(config.layer_types, files)
        known |= {"rope_local_base_freq": near["rope_theta"], "sliding_window_pattern": pattern, "sliding_window": 1}
        rotary = every
    scaled = rotary.get("rope_type", "default") != "default"
    known |= {
        "rope_theta": rotary.get("rope_theta", 10000.0),
        "rope_scaling": {**rotary, "type": rotary["rope_type"]} if scaled else None,
        "partial_rotary_factor": rotary.get("partial_rotary_factor", 1.0),
    }
    if "original_max_position_embeddings" in rotary:
        known["original_max_position_embeddings"] = rotary["original_max_position_embeddings"]
    return known


def _period(kinds: list[str], files: ModelFiles) -> int:
    """Every how many layers Gemma 3 sees everything."""
    period = kinds.index("full_attention") + 1 if "full_attention" in kinds else 0
    if not period or any((kind == "full_attention") != ((i + 1) % period == 0) for i, kind in enumerate(kinds)):
        raise ModelError(f"{files.folder / 'config.json'}: layer_types is not regular, which mlx-lm can't compute")
    return period


def _windows(config: Any) -> tuple[int | None, ...]:
    """How many tokens back each layer sees, as transformers reads the configuration."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds is None:  # Mistral and Phi-3: all layers alike
        return (window,) * int(config.num_hidden_layers)
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


class LongRotary:
    """Phi-3's rotary embeddings have other frequencies once a call reaches beyond `limit` (LongRoPE, arXiv 2402.13753).

    mlx-lm always takes those for long calls; models were trained with both.
    """

    def __init__(self, modules: list[Any], config: Any) -> None:
        rotary = config.rope_parameters
        self.limit = int(rotary.get("original_max_position_embeddings") or config.original_max_position_embeddings)
        self._modules = modules
        plain = modules[0]._freqs / mx.array(rotary["long_factor"], mx.float32)
        self._short = plain * mx.array(rotary["short_factor"], mx.float32)
        self._long = modules[0]._freqs

    def reach(self, positions: int) -> None:
        """Take the frequencies for a call whose positions are below this number."""
        for module in self._modules:
            module._freqs = self._long if positions > self.limit else self._short


def _long_rotary(model: nn.Module, config: Any) -> LongRotary | None:
    modules = [module for module in model.modules() if type(module).__name__ == "SuScaledRoPE"]
    return LongRotary(modules, config) if modules else None


class _ExactlyScaledEmbedding(nn.Embedding):
    """Gemma 3's embeddings are scaled by √width, which mlx-lm rounds to bfloat16 in every dtype; this makes up for it
    where the model computes in another."""

    def __call__(self, tokens: mx.array) -> mx.array:
        found = super().__call__(tokens)
        width = found.shape[-1] ** 0.5
        if found.dtype == mx.bfloat16:
            return found
        return found * (width / mx.array(width, mx.bfloat16).astype(mx.float32)).astype(found.dtype)


# Weights


def _check_and_assign(files: ModelFiles, model: nn.Module, trained: frozenset[str], compute: mx.Dtype) -> None:
    weights: dict[str, mx.array] = {}
    for file in files.shards:
        shard: Any = mx.load(str(file))  # lazily: nothing is read yet
        weights |= {name: array for name, array in shard.items() if not _DERIVED.search(name)}
    if "lm_head.weight" in weights and files.text_config.get("tie_word_embeddings") is True:
        for part in ("weight", *_PACKED):  # a copy of the embedding that some folders carry
            weights.pop(f"lm_head.{part}", None)
    if hasattr(model, "sanitize"):
        weights = model.sanitize(weights)
    if files.quantisation is not None:
        _pack_layers(files, model)
    wanted = dict(tree_flatten(model.parameters()))
    _check(files, wanted, weights, trained)
    limit = largest_buffer()
    for name in wanted:
        array = weights.pop(name)
        packed = array.dtype == mx.uint32
        array = array if packed else array.astype(mx.float32 if name in trained else compute)
        if limit is not None and array.nbytes > limit:
            raise ResourceError(
                f"{files.public_name}: {name} takes {array.nbytes / 2**30:.1f} GiB, this device holds at most "
                f"{limit / 2**30:.1f} GiB in one piece; use a smaller or a quantised model"
            )
        mx.eval(array)
        path, _, attribute = name.rpartition(".")
        _at(model, path)[attribute] = array


def _check(
    files: ModelFiles, wanted: Mapping[str, mx.array], found: Mapping[str, mx.array], trained: frozenset[str]
) -> None:
    if missing := sorted(wanted.keys() - found.keys()):
        raise ModelError(f"{files.folder}: {len(missing)} tensors are missing from the weights, first {missing[0]}")
    if foreign := sorted(found.keys() - wanted.keys()):
        raise ModelError(
            f"{files.folder}: the weights hold {len(foreign)} tensors that a {files.architecture} model does not have, "
            f"first {foreign[0]}"
        )
    if unknown := sorted(trained - wanted.keys()):
        raise AdapterError(f"the base model has no weight {unknown[0]}; was it trained on another model?")
    for name, array in found.items():
        if array.shape != wanted[name].shape:
            raise ModelError(
                f"{files.folder}: {name} has shape {list(array.shape)}, config.json asks for {list(wanted[name].shape)}"
            )


def largest_buffer() -> int | None:
    """The most bytes that one array may have: Metal's limit, which is below a Mac's memory. None on a CPU."""
    return int(mx.device_info()["max_buffer_length"]) if mx.default_device() == mx.gpu else None


def _pack_layers(files: ModelFiles, model: nn.Module) -> None:
    """Make the layers that are packed in the files into the library's quantised layers."""

    def parameters(path: str, module: nn.Module) -> bool | dict[str, int]:
        how = files.packing(path)
        if how is None or not hasattr(module, "to_quantized"):
            return False
        return {"group_size": how.group_size, "bits": how.bits}

    nn.quantize(model, class_predicate=parameters)


def _replace_quantized(model: nn.Module) -> None:
    """Replace the library's packed linear layers; the head stays: it goes to `head_loss` as it is."""
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.QuantizedLinear) and path != "lm_head":
            parent, _, child = path.rpartition(".")
            _at(model, parent)[child] = QuantizedFrozen(module)
