"""Optimizers, step for step as torch defines them, with torch's names for options and state.

A run that goes on from a checkpoint takes the same steps on either engine, which MLX's own optimizers would not: they
differ in Adafactor's step size, Muon's scale, and how momentum begins. Knows nothing of schedules (the learning rate
comes with each step) or of what the parameters belong to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from myna.engines.base import OptimizerSpec
from myna.errors import RecipeError, RunError

State: TypeAlias = dict[str, Any]
"""What is remembered of one parameter: arrays, and as `step` how many steps there were."""
_Rule: TypeAlias = Callable[..., mx.array]


class TrainingOptimizer:
    """One optimizer, or Muon for the matrices within with AdamW for the rest, as Muon's author advises."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], spec: OptimizerSpec) -> None:
        if spec.name not in _RULES:
            raise RecipeError(f"optimizer {spec.name!r} is not known; use {', '.join(_RULES)}")
        rule, defaults = _RULES[spec.name]
        if unknown := sorted(spec.options.keys() - defaults.keys()):
            raise RecipeError(f"optimizer_config.{spec.name}: no option {unknown[0]}; it has {', '.join(defaults)}")
        options = {**defaults, **spec.options}
        self._rules: dict[str, tuple[_Rule, Mapping[str, Any]]] = {}
        for name, shape in shapes.items():
            suits = spec.name != "muon" or (len(shape) == 2 and not _is_of_the_vocabulary(name))
            self._rules[name] = (rule, options) if suits else _RULES["adamw"]
        self._state: dict[str, State] = {}

    def step(
        self, parameters: Mapping[str, mx.array], gradients: Mapping[str, mx.array], learning_rate: float
    ) -> dict[str, mx.array]:
        """Return the parameters after one step."""
        changed: dict[str, mx.array] = {}
        for name, parameter in parameters.items():
            rule, options = self._rules[name]
            state = self._state.setdefault(name, {})
            changed[name] = rule(parameter, gradients[name], state, learning_rate, **options)
        mx.eval(changed, [value for state in self._state.values() for name, value in state.items() if name != "step"])
        return changed

    def state(self) -> dict[str, NDArray[np.generic]]:
        """`<parameter>.<quantity>` → array, everything the next step depends on."""
        return {
            f"{name}.{quantity}": np.array(value, np.float32)  # `step` too, as in torch
            for name, state in self._state.items()
            for quantity, value in state.items()
        }

    def load_state(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Restore what `state` returned. Raises `RunError` for the state of another optimizer or other parameters."""
        self._state = {}
        for name, array in arrays.items():
            parameter, _, quantity = name.rpartition(".")
            if parameter not in self._rules:
                raise RunError(f"the saved optimizer state holds {parameter}, which is not trained by this recipe")
            known = self._state.setdefault(parameter, {})
            known[quantity] = int(array) if quantity == "step" else mx.array(np.asarray(array, np.float32))


def _is_of_the_vocabulary(name: str) -> bool:
    return name in ("model.embed_tokens.weight", "lm_head.weight")


def _count(state: State) -> int:
    """Count a step; return how many there were with it."""
    state["step"] = state.get("step", 0) + 1
    return int(state["step"])


def _mixed(old: mx.array, new: mx.array, share: float) -> mx.array:
    return old + share * (new - old)


def _adam(
    w: mx.array,
    g: mx.array,
    state: State,
    rate: float,
    *,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> mx.array:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1); weight decay is part of the gradient."""
    return _adam_step(w, g + weight_decay * w if weight_decay else g, state, rate, betas, eps)


def _adamw(
    w: mx.array,
    g: mx.array,
    state: State,
    rate: float,
    *,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> mx.array:
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101): weight decay apart from the gradient."""
    return _adam_step(w * (1 - rate * weight_decay), g, state, rate, betas, eps)


def _adam_step(w: mx.array, g: mx.array, state: State, rate: float, betas: tuple[float, float], eps: float) -> mx.array:
    step, (first, second) = _count(state), betas
    mean = state["exp_avg"] = _mixed(state.get("exp_avg", mx.zeros_like(w)), g, 1 - first)
    square = state["exp_avg_sq"] = state.get("exp_avg_sq", mx.zeros_like(w)) * second + (1 - second) * mx.square(g)
    root = mx.sqrt(square) / math.sqrt(1 - second**step) + eps
    return w - (rate / (1 - first**step)) * (mean / root)


def _sgd(
    w: mx.array,
    g: mx.array,
    state: State,
    rate: float,
    *,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
) -> mx.array:
    """Gradient descent with momentum (Sutskever et al. 2013); the first gradient is the momentum's beginning."""
    g = g + weight_decay * w if weight_decay else g
    if momentum:
        known = state.get("momentum_buffer")
        average = state["momentum_buffer"] = g if known is None else momentum * known + (1 - dampening) * g
        g = g + momentum * average if nesterov else average
    return w - rate * g


def _adafactor(
    w: mx.array,
    g: mx.array,
    state: State,
    rate: float,
    *,
    beta2_decay: float,
    eps: tuple[float | None, float],
    d: float,
    weight_decay: float,
) -> mx.array:
    """Adafactor (Shazeer and Stern 2018, arXiv 1804.04235, algorithms 4 and 5), without momentum."""
    step = _count(state)
    least = float(np.finfo(np.float32).eps) if eps[0] is None else eps[0]
    share = step**beta2_decay
    rate_now = mx.maximum(eps[1], mx.linalg.norm(w) / math.sqrt(w.size)) * min(rate, 1 / math.sqrt(step))
    w = w * (1 - rate * weight_decay) if weight_decay else w
    if g.ndim > 1:
        rows, columns = mx.square(g).mean(axis=-1, keepdims=True), mx.square(g).mean(axis=-2, keepdims=True)
        row = state["row_var"] = _mixed(state.get("row_var", mx.zeros_like(rows)), rows, share)
        column = state["col_var"] = _mixed(state.get("col_var", mx.zeros_like(columns)), columns, share)
        estimate = (row @ column) / mx.maximum(row.mean(axis=-2, keepdims=True), least)
    else:
        estimate = state["variance"] = _mixed(state.get("variance", mx.zeros_like(g)), mx.square(g), share)
    update = g * mx.rsqrt(mx.maximum(estimate, least * least))
    return w - rate_now / mx.maximum(1.0, mx.linalg.norm(update) / (math.sqrt(update.size) * d)) * update


def _muon(
    w: mx.array,
    g: mx.array,
    state: State,
    rate: float,
    *,
    weight_decay: float,
    momentum: float,
    nesterov: bool,
    ns_steps: int,
) -> mx.array:
    """Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): the nearest orthogonal matrix as the step."""
    average = state["momentum_buffer"] = _mixed(state.get("momentum_buffer", mx.zeros_like(w)), g, 1 - momentum)
    direction = _orthogonal(_mixed(g, average, momentum) if nesterov else average, ns_steps)
    scale = rate * math.sqrt(max(1.0, w.shape[0] / w.shape[1]))
    return w * (1 - rate * weight_decay) - scale * direction


def _orthogonal(matrix: mx.array, steps: int) -> mx.array:
    """About the nearest orthogonal matrix, by the quintic Newton–Schulz iteration as Muon's author tuned it."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    found = matrix.T if tall else matrix
    found = found / (mx.linalg.norm(found) + 1e-7)
    for _ in range(steps):
        gram = found @ found.T
        found = a * found + (b * gram + c * (gram @ gram)) @ found
    return found.T if tall else found


_RULES: dict[str, tuple[_Rule, dict[str, Any]]] = {
    "adam": (_adam, {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}),
    "adamw": (_adamw, {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}),
    "sgd": (_sgd, {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False}),
    "adafactor": (_adafactor, {"beta2_decay": -0.8, "eps": (None, 1e-3), "d": 1.0, "weight_decay": 0.0}),
    "muon": (_muon, {"weight_decay": 0.1, "momentum": 0.95, "nesterov": True, "ns_steps": 5}),
}
"""Each optimizer with its options and torch's defaults."""
