"""Muon: momentum, then the nearest orthogonal matrix as the step (Jordan et al. 2024,
kellerjordan.github.io/posts/muon).


torch has a Muon, which orthogonalises in bfloat16 only: on a CPU without bfloat16 arithmetic one step takes longer than
the model's own forward and backward passes. This one computes in the type that the device is fast at, and matrices of
one shape together.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_COEFFICIENTS = 3.4445, -4.7750, 2.0315
"""Of the quintic Newton–Schulz iteration, as the author tuned them: steep at zero, so that few steps are enough."""
_EPSILON = 1e-7


class Muon(Optimizer):
    """Muon for matrices. Options and defaults are torch's; weight decay is decoupled."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        *,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
    ) -> None:
        """Raises `ValueError` for a parameter that is no matrix and for options out of range."""
        if not 0 <= momentum < 1 or weight_decay < 0 or ns_steps < 1:
            raise ValueError(
                f"momentum {momentum}, weight_decay {weight_decay}, ns_steps {ns_steps}: expected momentum in [0, 1), "
                "weight_decay at least 0 and ns_steps at least 1"
            )
        options = {"weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps}
        super().__init__(params, {"lr": lr, **options})
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    raise ValueError(f"Muon is for matrices, not for a parameter of shape {tuple(parameter.shape)}")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply the gradients once. `closure` is torch's, and not used here."""
        for group in self.param_groups:
            alike: defaultdict[tuple[int, ...], list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[tuple(parameter.shape)].append((parameter, self._direction(parameter, group)))
            for (rows, columns), found in alike.items():
                steps = orthogonal(torch.stack([direction for _, direction in found]), group["ns_steps"])
                scale = -group["lr"] * math.sqrt(max(1.0, rows / columns))
                for (parameter, _), update in zip(found, steps, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=scale)

    def _direction(self, parameter: nn.Parameter, group: dict[str, float]) -> Tensor:
        """Take the gradient into the running average, and return what is to be made orthogonal."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        average: Tensor = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(average, group["momentum"]) if group["nesterov"] else average


def orthogonal(matrices: Tensor, steps: int) -> Tensor:
    """Return about the nearest orthogonal matrix of each `[matrices, rows, columns]`: singular values of 0.7 to 1.2."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    found = matrices.mT if tall else matrices
    found = found.to(torch.bfloat16 if matrices.is_cuda else torch.float32)
    found = found / (found.norm(dim=(1, 2), keepdim=True) + _EPSILON)
    for _ in range(steps):
        gram = found @ found.mT
        found = torch.baddbmm(found, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return (found.mT if tall else found).to(matrices.dtype)
