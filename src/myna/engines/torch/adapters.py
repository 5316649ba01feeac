"""Linear layers with something small to train: LoRA and DoRA around a frozen weight.

`y = W x + b + scale · B (A x)` (LoRA, Hu et al. 2021, arXiv 2106.09685, eq. 3) and
`y = m / ‖W + scale · B A‖ · (W x + scale · B (A x)) + b` (DoRA, Liu et al. 2024, arXiv 2402.09353, eq. 5, with the norm
taken as a constant in the backward pass as in its section 4.3). Knows nothing of files, losses or optimizers.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from myna.engines.torch.quantization import PackedWeight, packed_product
from myna.models.adapters import LoraTarget


class _CompactProduct(torch.autograd.Function):
    """`x Wᵀ` with W stored in fewer bits than it is computed in; W is expanded in each pass and never kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.weight = weight
        return x @ weight.to(x.dtype).T

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (grad_output,) = grad_outputs
        return grad_output @ ctx.weight.to(grad_output.dtype), None


def compact_product(x: Tensor, weight: Tensor) -> Tensor:
    """`x Wᵀ`: `[…, in]` and `[out, in]` → `[…, out]`, in x's dtype whatever W's is."""
    result: Tensor = _CompactProduct.apply(x, weight)  # type: ignore[no-untyped-call]
    return result


class FrozenLinear(nn.Module):
    """A frozen `y = W x + b`. W `[out, in]` keeps its stored dtype, or its words; the product is computed in x's."""

    weight: Tensor | PackedWeight

    def __init__(self, weight: Tensor | PackedWeight, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False) if isinstance(weight, Tensor) else weight
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[…, in]` → `[…, out]`."""
        y = self.product(x)
        return y if self.bias is None else y + self.bias

    def product(self, x: Tensor) -> Tensor:
        """`W x` without the bias."""
        if isinstance(self.weight, PackedWeight):
            return self.weight.product(x)
        if self.weight.dtype == x.dtype:
            return F.linear(x, self.weight)
        return compact_product(x, self.weight)


class LoraLinear(nn.Module):
    """A frozen linear layer and its low-rank correction; `enabled` switches the correction off for comparison."""

    def __init__(self, base: FrozenLinear, target: LoraTarget, dropout: float, *, dora: bool) -> None:
        super().__init__()
        out_features, in_features = base.weight.shape
        device = base.weight.device
        self.base = base
        self.scale = target.scale
        self.dropout = dropout
        self.enabled = True
        self.lora_A = nn.Parameter(torch.zeros(target.rank, in_features, device=device))
        self.lora_B = nn.Parameter(torch.zeros(out_features, target.rank, device=device))
        self.magnitude = nn.Parameter(row_norms(base.weight)) if dora else None
        self._norms_of: tuple[int, int] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """`[…, in]` → `[…, out]`."""
        if not self.enabled:
            out: Tensor = self.base(x)
            return out
        y = self.base.product(x)
        shape = y.shape
        dropped = F.dropout(x, self.dropout, training=self.training) if self.dropout else x
        low = F.linear(dropped, self.lora_A.to(x.dtype)).flatten(0, -2)
        if self.magnitude is None:
            # In place: the product is not needed for its own gradient, and a second copy of it would be.
            y = y.flatten(0, -2).addmm_(low, self.lora_B.to(x.dtype).T, alpha=self.scale).view(shape)
        else:
            y = self._dora(x, y, dropped, low)
        return y if self.base.bias is None else y + self.base.bias

    def _dora(self, x: Tensor, product: Tensor, dropped: Tensor, low: Tensor) -> Tensor:
        assert self.magnitude is not None
        ratio = (self.magnitude / self._norms()).to(x.dtype)
        correction = (low @ self.lora_B.to(x.dtype).T).view(product.shape) * self.scale
        if dropped is not x:
            # With dropout the direction's own product sees the dropped input too, the base output the whole one
            # (as PEFT does): W x + (ratio − 1) · W dropped(x) + ratio · correction.
            return product + (ratio - 1) * self.base.product(dropped) + ratio * correction
        return ratio * (product + correction)

    @torch.no_grad()
    def _norms(self) -> Tensor:
        """‖W + scale · B A‖ by rows `[out]`, without forming the sum: ‖W‖² + 2 s ⟨W Aᵀ, B⟩ + s² ⟨B (A Aᵀ), B⟩."""
        adapter = (self.lora_A._version, self.lora_B._version)
        if self._norms_of != adapter:  # once a step, and once for all that is generated
            weight = self.base.weight
            if isinstance(weight, PackedWeight):
                product = packed_product(self.lora_A, weight)
            else:
                product = compact_product(self.lora_A, weight)
            cross = (product.T * self.lora_B).sum(dim=1)
            gram = self.lora_A @ self.lora_A.T
            own = ((self.lora_B @ gram) * self.lora_B).sum(dim=1)
            squared = self._weight_norms.square() + 2 * self.scale * cross + self.scale**2 * own
            self._cached_norms = squared.clamp_min(0).sqrt()
            self._norms_of = adapter
        return self._cached_norms

    @property
    def _weight_norms(self) -> Tensor:
        norms = self.__dict__.get("_base_norms")
        if norms is None:
            norms = self.__dict__["_base_norms"] = row_norms(self.base.weight)
        assert isinstance(norms, Tensor)
        return norms


@torch.no_grad()
def row_norms(weight: Tensor | PackedWeight) -> Tensor:
    """L2 norm of each row `[out]`, in float32, a block of rows at a time."""
    if isinstance(weight, PackedWeight):
        blocks = (rows for _, rows in weight.pieces(torch.float32))
    else:
        blocks = (block.float() for block in torch.split(weight, max(1, 2**24 // weight.shape[1])))
    return torch.cat([torch.linalg.vector_norm(block, dim=1) for block in blocks])
