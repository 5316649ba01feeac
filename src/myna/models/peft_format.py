"""Adapters in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.

In: a folder, or an `AdapterSpec` with its arrays. Out: a `StoredAdapter`, or that folder, which
`peft.PeftModel.from_pretrained` reads. What PEFT can do and we can't is refused by name, never ignored.
Layout: https://huggingface.co/docs/peft/developer_guides/checkpoint (names and config as PEFT 0.21 writes them).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myna.errors import AdapterError
from myna.models import settings
from myna.models.files import ModelFiles
from myna.models.layers import layer_count, layer_index
from myna.models.regular_expressions import why_not
from myna.models.spec import AdapterSpec, LoraTarget
from myna.models.stored import StoredAdapter, read_arrays
from myna.models.tensors import write_tensors

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PICKLED_WEIGHTS = "adapter_model.bin"

_PREFIX = "base_model.model."
_PART = re.compile(r"(?P<path>.+)\.(?P<part>lora_A\.weight|lora_B\.weight|lora_magnitude_vector)")

_UNSUPPORTED = (
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "velora_config",
    "monteclora_config",
    "use_bdlora",
    "use_qalora",
    "lora_bias",
    "fan_in_fan_out",
)
"""Settings that change what is computed; falsy in a plain adapter."""

_MOST_PATTERNS = 5_000
_LONGEST_PATH = 160
"""Characters; those of models have about sixty."""
_MOST_STEPS = 10**11
"""Of matching, in the worst case, which no pattern that is meant to match comes near."""
_MOST_ALPHA = 1e9
"""Of alpha: the largest rank times the largest scale, about."""

_CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Initialisations that also alter the base weights, so that the adapter alone does not say what it does."""


def read(folder: Path, config: Mapping[str, Any]) -> StoredAdapter:
    """Read a folder whose `adapter_config.json` is `config`. Raises `AdapterError`."""
    _refuse_what_we_cannot_do(folder, config)
    base = config.get("base_model_name_or_path")
    if base is not None:
        settings.text(folder / CONFIG, "base_model_name_or_path", base)
    dropout = settings.dropout(folder / CONFIG, "lora_dropout", config.get("lora_dropout"))
    ranks, alphas = (
        _Setting(folder, config, "r", "rank_pattern"),
        _Setting(folder, config, "lora_alpha", "alpha_pattern"),
    )
    tensors: dict[str, NDArray[Any]] = {}
    paths = []
    for name, array in read_arrays(folder / WEIGHTS).items():
        own = name.removeprefix(_PREFIX)
        match = _PART.fullmatch(own)
        if match is None:
            raise AdapterError(
                f"{folder}: holds {name}, which is not supported; only LoRA and DoRA of linear layers are"
            )
        if own in tensors:
            raise AdapterError(f"{folder}: holds {own} twice, with PEFT's prefix and without; copy the adapter again")
        tensors[own] = array
        if len(own) > _LONGEST_PATH:
            raise AdapterError(f"{folder}: holds {own[:60]!r} …, whose name is longer than {_LONGEST_PATH} characters")
        if match["part"] == "lora_A.weight":
            if array.ndim != 2 or not array.size:
                raise AdapterError(f"{folder}: {name} has the shape {list(array.shape)}, which no linear layer has")
            paths.append(match["path"])
    magnitudes = any(name.endswith("_vector") for name in tensors)
    if magnitudes and not config.get("use_dora"):
        raise AdapterError(f'{folder}: holds DoRA magnitudes, but {CONFIG} does not say "use_dora": true')
    scales: dict[str, float] = {}
    if (ranks.steps + alphas.steps) * len(paths) > _MOST_STEPS:
        raise AdapterError(f"{folder}: {CONFIG} has too many patterns to match them with {len(paths)} layers")
    for path in paths:
        rank = tensors[f"{path}.lora_A.weight"].shape[0]
        if ranks.of(path) != rank:
            raise AdapterError(
                f"{folder}: {CONFIG} gives {path} rank {ranks.of(path):g}, but its lora_A has {rank} rows"
            )
        scales[path] = alphas.of(path) / (math.sqrt(rank) if config.get("use_rslora") else rank)
    if not scales:
        raise AdapterError(f"{folder}: {WEIGHTS} holds no LoRA layer")
    return StoredAdapter(
        folder,
        "peft",
        "dora" if config.get("use_dora") else "lora",
        tensors,
        scales,
        dropout=dropout,
        base=base,
    )


def _refuse_what_we_cannot_do(folder: Path, config: Mapping[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise AdapterError(f"{folder / CONFIG}: peft_type is {kind}; only LORA is supported (with DoRA and rsLoRA)")
    for key in _UNSUPPORTED:
        if config.get(key):
            raise AdapterError(f"{folder / CONFIG}: {key} = {config[key]} is not supported; train without it")
    if config.get("bias", "none") != "none":
        raise AdapterError(f"{folder / CONFIG}: bias = {config['bias']} (trained biases) is not supported")
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_THE_BASE):
        raise AdapterError(
            f"{folder / CONFIG}: init_lora_weights = {start} changed the base weights too; save it from PEFT "
            "with path_initial_model_for_weight_conversion, which makes a plain LoRA of it"
        )
    if not (folder / WEIGHTS).is_file():
        pickled = (folder / PICKLED_WEIGHTS).is_file()
        why = f"only {PICKLED_WEIGHTS}, a pickle, which is never unpickled" if pickled else f"no {WEIGHTS}"
        raise AdapterError(f"{folder}: {why}; save the adapter from PEFT with safe_serialization=True")


class _Setting:
    """A number that all layers have, but for those that a pattern names: rank or alpha.

    PEFT's patterns are regular expressions for the end of a path, beginning at a name; the first one that fits counts
    (`peft.utils.other.get_pattern_key`).
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], key: str, patterns_key: str) -> None:
        file = folder / CONFIG
        patterns = settings.mapping(file, patterns_key, config.get(patterns_key) or {})
        if len(patterns) > _MOST_PATTERNS:
            raise AdapterError(f"{file}: {patterns_key} has {len(patterns)} entries, more than {_MOST_PATTERNS}")
        self._usual = self._checked(file, key, config.get(key))
        self._patterns: list[tuple[re.Pattern[str], float]] = []
        self.steps = 0
        """At most so many steps does matching all patterns with one path take."""
        for pattern, value in patterns.items():
            wrong = why_not(pattern, repetitions=2)
            try:
                compiled = re.compile(rf"(.*\.)?({pattern})$") if wrong is None else None
            except (re.error, OverflowError, RecursionError) as error:
                wrong, compiled = f"it is no regular expression: {error}", None
            if compiled is None:
                raise AdapterError(f"{file}: {patterns_key} has {pattern[:100]!r}, which is not used: {wrong}")
            self.steps += _LONGEST_PATH ** (1 + min(2, sum(map(pattern.count, "*+{"))))
            self._patterns.append((compiled, self._checked(file, f"{patterns_key}.{pattern}", value)))

    def of(self, path: str) -> float:
        """Return the number for the layer at `path`."""
        return next((value for pattern, value in self._patterns if pattern.match(path)), self._usual)

    @staticmethod
    def _checked(file: Path, key: str, value: Any) -> float:
        return settings.number(file, key, value, least=-_MOST_ALPHA, most=_MOST_ALPHA)


def write(folder: Path, spec: AdapterSpec, tensors: Mapping[str, NDArray[np.float32]], files: ModelFiles) -> None:
    """Write an adapter of kind `lora` or `dora` into an existing folder."""
    config = _config(spec, files)
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    write_tensors(folder / WEIGHTS, {f"{_PREFIX}{name}": array for name, array in tensors.items()})


def _config(spec: AdapterSpec, files: ModelFiles) -> dict[str, Any]:
    usual = Counter(spec.targets.values()).most_common(1)[0][0]
    usual_alpha = alpha_of(usual)
    modules, layers = _selection(spec, files)
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": files.public_name,
        "inference_mode": True,
        "r": usual.rank,
        "lora_alpha": usual_alpha,
        "lora_dropout": spec.dropout,
        "target_modules": modules,
        "layers_to_transform": layers,
        "rank_pattern": {p: t.rank for p, t in spec.targets.items() if t.rank != usual.rank},
        "alpha_pattern": {p: a for p, t in spec.targets.items() if (a := alpha_of(t)) != usual_alpha},
        "use_dora": spec.kind == "dora",
        "use_rslora": False,  # the scale is in lora_alpha, whichever way it was chosen
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "modules_to_save": None,
    }


def alpha_of(target: LoraTarget) -> float:
    """Return the alpha with `alpha / rank == scale`, or within one unit in the last place where there is none."""
    alpha = target.scale * target.rank
    for candidate in (alpha, math.nextafter(alpha, -math.inf), math.nextafter(alpha, math.inf)):
        if candidate / target.rank == target.scale:
            alpha = candidate
            break
    return int(alpha) if alpha.is_integer() else alpha


def _selection(spec: AdapterSpec, files: ModelFiles) -> tuple[list[str], list[int] | None]:
    """Return `target_modules` and `layers_to_transform` that select exactly the adapted layers.

    Short names (`q_proj`) where they do, because other programs look for those; full paths where they don't.
    """
    names = {_last(path) for path in spec.targets}
    layers = {layer_index(path) for path in spec.targets}
    selected = {
        path
        for path in (name.removesuffix(".weight") for name in files.tensors)
        if _last(path) in names and layer_index(path) in (layers | {None})
    }
    if selected != set(spec.targets):
        return sorted(spec.targets), None
    numbers = sorted(layer for layer in layers if layer is not None)
    return sorted(names), None if len(numbers) == layer_count(files) else numbers


def _last(path: str) -> str:
    return path.rpartition(".")[2]
