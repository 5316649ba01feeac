"""Optimizers: the library's own, with their state as named NumPy arrays so that a resumed run goes on bit for bit.

Knows nothing of schedules (the learning rate comes with each step) or of what the parameters belong to.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import SGD, Adafactor, Adam, AdamW, Optimizer

from myna.engines.base import OptimizerSpec
from myna.engines.torch.muon import Muon
from myna.errors import RecipeError, RunError

_CLASSES: dict[str, type[Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "sgd": SGD,
    "adafactor": Adafactor,
    "muon": Muon,
}


class TrainingOptimizer:
    """One library optimizer, or Muon for the matrices within with AdamW for the rest, as Muon's author advises.

    The learning rate is Muon's. AdamW's is such that both move their weights by about the same root mean square: an
    orthogonal step of width n has 1 / √n, and AdamW's about 0.2 (arXiv 2502.16982, section 2.2).
    """

    def __init__(self, named: Mapping[str, nn.Parameter], spec: OptimizerSpec) -> None:
        self._named = dict(named)
        matrices = {n: p for n, p in named.items() if p.ndim == 2 and not _is_of_the_vocabulary(n)}
        rest = {n: p for n, p in named.items() if n not in matrices}
        if spec.name == "muon":
            self._parts = [_make("muon", matrices, spec.options)] if matrices else []
            self._parts += [_make("adamw", rest, {})] if rest else []
        else:
            self._parts = [_make(spec.name, self._named, spec.options)]
        self._names = {id(p): name for name, p in named.items()}

    def step(self, learning_rate: float) -> None:
        """Apply the gradients once."""
        for optimizer in self._parts:
            scale = _beside_muon(optimizer) if len(self._parts) > 1 else 1.0
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * scale
            optimizer.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._named.values():
            parameter.grad = None

    def state(self) -> dict[str, NDArray[np.generic]]:
        """`<parameter>.<quantity>` → array, everything the next step depends on."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for optimizer in self._parts:
            for parameter, quantities in optimizer.state.items():
                for key, value in quantities.items():
                    tensor = value if isinstance(value, torch.Tensor) else torch.tensor(value)
                    arrays[f"{self._names[id(parameter)]}.{key}"] = tensor.detach().cpu().numpy().copy()
        return arrays

    def load_state(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Restore what `state` returned. Raises `RunError` for the state of another optimizer or other parameters."""
        found: dict[str, dict[str, torch.Tensor]] = {}
        for name, array in arrays.items():
            parameter, _, key = name.rpartition(".")
            if parameter not in self._named:
                raise RunError(f"the saved optimizer state holds {parameter}, which is not trained by this recipe")
            found.setdefault(parameter, {})[key] = torch.from_numpy(np.array(array))
        for optimizer in self._parts:
            packed = optimizer.state_dict()
            order = [p for group in optimizer.param_groups for p in group["params"]]
            packed["state"] = {i: found[self._names[id(p)]] for i, p in enumerate(order) if self._names[id(p)] in found}
            optimizer.load_state_dict(packed)


def _beside_muon(optimizer: Optimizer) -> float:
    """Return what Muon's learning rate is multiplied with for this part: 5 / √n for AdamW, n the model's width."""
    if isinstance(optimizer, Muon):
        return 1.0
    width: int = optimizer.param_groups[0]["params"][0].shape[-1]
    return float(5 / width**0.5)


def _is_of_the_vocabulary(name: str) -> bool:
    return name in ("model.embed_tokens.weight", "lm_head.weight")


def _make(name: str, named: Mapping[str, nn.Parameter], options: Mapping[str, object]) -> Optimizer:
    try:
        return _CLASSES[name](list(named.values()), lr=0.0, **dict(options))  # type: ignore[call-arg, arg-type]
    except (TypeError, ValueError) as error:
        raise RecipeError(f"optimizer_config.{name}: {error}") from error
