"""The MLX engine: Apple silicon, and MLX's CPU build on Linux. The only room that imports mlx and mlx-lm.

`MlxEngine` chooses the dtype by what the machine does well, keeps MLX within the machine's memory, loads a model and
tells about the machine.
"""

from __future__ import annotations

import time
from importlib.metadata import version

from myna.engines.mlx import blas

BLAS = blas.prepare()  # before MLX is loaded, or it would have its own

import mlx.core as mx  # noqa: E402

from myna.engines.base import Device  # noqa: E402
from myna.engines.machine import memory_bytes, peak_resident_bytes, processor_name  # noqa: E402
from myna.engines.mlx.load import load_library_model  # noqa: E402
from myna.engines.mlx.model import MlxModel  # noqa: E402
from myna.errors import ModelError, RecipeError  # noqa: E402
from myna.models.adapters import AdapterSpec  # noqa: E402
from myna.models.files import ModelFiles  # noqa: E402

_CPU_ACTIVATION_BYTES = 480 * 2**20
"""About how much of a row's activations are kept for the backward pass on CPU, where longer rows bring nothing."""
_CACHED_SHARE = 0.25
"""The share of the memory Metal recommends that MLX may keep for arrays to come, instead of giving it back."""


class MlxEngine:
    """The MLX side of `engines.base.Engine`."""

    name = "mlx"

    def load(
        self,
        files: ModelFiles,
        *,
        adapter: AdapterSpec | None = None,
        dtype: str = "auto",
        device: str = "auto",
    ) -> MlxModel:
        """See `engines.base.Engine`."""
        _use(device)
        compute = _dtype(_on_gpu()) if dtype == "auto" else getattr(mx, dtype)
        loaded = load_library_model(files, adapter, compute=compute)
        budget = _metal("max_recommended_working_set_size") // 8 if _on_gpu() else _CPU_ACTIVATION_BYTES
        return MlxModel(loaded, compute=compute, activation_bytes=budget)

    def device(self, name: str = "auto") -> Device:
        """See `engines.base.Engine`."""
        metal = _is_metal(name)
        notes = (f"mlx {version('mlx')}", f"matrix products by {'Metal' if metal else BLAS}")
        dtype = str(_dtype(metal)).removeprefix("mlx.core.")
        return Device(processor_name(), "metal" if metal else "cpu", memory_bytes(), dtype, notes)

    def matrix_speed(self) -> dict[str, float]:
        """See `engines.base.Engine`."""
        with mx.stream(mx.gpu if mx.metal.is_available() else mx.cpu):
            return {str(dtype).removeprefix("mlx.core."): _matrix_speed(dtype) for dtype in (mx.float32, mx.bfloat16)}

    def peak_memory_bytes(self) -> int:
        """See `engines.base.Engine`."""
        return int(mx.get_peak_memory()) if _on_gpu() else peak_resident_bytes()


def _use(device: str) -> None:
    """Compute there, within the memory that the machine can spare."""
    mx.set_default_device(mx.gpu if _is_metal(device) else mx.cpu)
    if _on_gpu():
        # Weights that the system may page out make every step slow; a cache without limit makes it page.
        usable = _metal("max_recommended_working_set_size")
        mx.set_wired_limit(usable)
        mx.set_cache_limit(int(_CACHED_SHARE * usable))
    else:
        # MLX fuses small operations on a CPU by calling a C++ compiler, and loads the result from a folder that all
        # users of the machine may write to.
        mx.disable_compile()


def _is_metal(device: str) -> bool:
    """Whether this means the GPU rather than the CPU. Raises for one that is not there or not known."""
    if device not in ("auto", "cpu", "gpu", "metal"):
        raise RecipeError(f"device {device!r} is not known to the MLX engine: use cpu or metal")
    found: bool = mx.metal.is_available()
    if device in ("gpu", "metal") and not found:
        raise ModelError("device metal was asked for, but this machine has no Metal; leave --device out, or use cpu")
    return found and device != "cpu"


def _on_gpu() -> bool:
    return bool(mx.default_device() == mx.gpu)


def _metal(key: str) -> int:
    return int(mx.device_info()[key])


def _dtype(on_gpu: bool) -> mx.Dtype:
    """The dtype that is multiplied fastest there without losing range."""
    return mx.bfloat16 if on_gpu else mx.float32


def _matrix_speed(dtype: mx.Dtype) -> float:
    """Best floating-point operations per second of square products, larger until one takes a while."""
    mx.eval(mx.ones((64, 64), dtype) @ mx.ones((64, 64), dtype))  # starts up
    size, best, begun = 64, 0.0, time.perf_counter()
    while not best or time.perf_counter() - begun < 0.25:
        matrix = mx.ones((size, size), dtype)
        mx.eval(matrix)
        start = time.perf_counter()
        mx.eval(matrix @ matrix)
        seconds = time.perf_counter() - start
        best = max(best, 2 * size**3 / seconds)
        if seconds < 0.01:
            size = min(2 * size, 4096)
    return best
