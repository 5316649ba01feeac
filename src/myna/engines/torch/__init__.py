"""The torch engine: Linux, Windows and macOS, CPU and CUDA. The only room that imports torch.

`TorchEngine` chooses device and dtype by what the machine does well, loads a model and tells about the machine.
"""

from __future__ import annotations

import ctypes
import math
import platform
import sys
import time

import torch

from myna.engines.base import Device
from myna.engines.machine import memory_bytes, peak_resident_bytes, processor_name
from myna.engines.torch.load import load_library_model
from myna.engines.torch.model import TorchModel
from myna.errors import ModelError, RecipeError
from myna.models.adapters import AdapterSpec
from myna.models.files import ModelFiles

_MEASURED = (torch.float32, torch.bfloat16)

_EXPANDED_SHARE = 0.25
"""Weights are expanded to the dtype they are computed in while that takes at most this share of the memory."""


class TorchEngine:
    """The torch side of `engines.base.Engine`."""

    name = "torch"

    def load(
        self,
        files: ModelFiles,
        *,
        adapter: AdapterSpec | None = None,
        dtype: str = "auto",
        device: str = "auto",
    ) -> TorchModel:
        """See `engines.base.Engine`."""
        _keep_freed_memory()
        place = _device(device)
        compute = _dtype(place) if dtype == "auto" else getattr(torch, dtype)
        size = sum(math.prod(files.shape(name)) for name in files.tensors) * compute.itemsize
        expand = size <= _EXPANDED_SHARE * _memory_bytes(place)
        model = load_library_model(
            files,
            adapter,
            compute=compute,
            device=place,
            keep_stored=place.type == "cpu" and not expand,
            may_expand=expand,
        )
        return TorchModel(model, compute=compute, device=place)

    def device(self, name: str = "auto") -> Device:
        """See `engines.base.Engine`."""
        place = _device(name)
        dtype = str(_dtype(place)).removeprefix("torch.")
        if place.type == "cuda":
            gpu = torch.cuda.get_device_name(place)
            return Device(gpu, "cuda", _memory_bytes(place), dtype, (f"torch {torch.__version__}",))
        capability = torch.backends.cpu.get_cpu_capability()
        notes = (
            f"torch {torch.__version__}",
            f"{torch.get_num_threads()} threads",
            f"vector instructions {capability}",
        )
        kind = "mps" if place.type == "mps" else "cpu"
        return Device(processor_name(), kind, _memory_bytes(place), dtype, notes)  # type: ignore[arg-type]

    def matrix_speed(self) -> dict[str, float]:
        """See `engines.base.Engine`."""
        place = _device("auto")
        return {str(dtype).removeprefix("torch."): _matrix_speed(dtype, place) for dtype in _MEASURED}

    def peak_memory_bytes(self) -> int:
        """See `engines.base.Engine`."""
        gpus = [gpu for gpu in range(torch.cuda.device_count()) if torch.cuda.memory_allocated(gpu)]
        return sum(torch.cuda.max_memory_allocated(gpu) for gpu in gpus) or peak_resident_bytes()


@torch.no_grad()
def _matrix_speed(dtype: torch.dtype, place: torch.device) -> float:
    """Best floating-point operations per second of square products, larger until one takes a while.

    Where a dtype has no arithmetic of its own, a large product may take half a minute.
    """
    torch.ones(64, 64, dtype=dtype, device=place).matmul(torch.ones(64, 64, dtype=dtype, device=place))  # starts up
    size, best, begun = 64, 0.0, time.perf_counter()
    while not best or time.perf_counter() - begun < 0.25:
        matrix = torch.ones(size, size, dtype=dtype, device=place)
        start = time.perf_counter()
        (matrix @ matrix)[0, 0].item()  # asking for a number waits for an accelerator to finish
        seconds = time.perf_counter() - start
        best = max(best, 2 * size**3 / seconds)
        if seconds < 0.01:
            size = min(2 * size, 4096)
    return best


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        place = torch.device(name)
    except RuntimeError as error:
        raise RecipeError(f"device {name!r} is not known: use cpu, cuda, cuda:1 or mps") from error
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if place.type == "cuda" and (place.index or 0) >= gpus:
        raise ModelError(f"device {name} was asked for, but this torch sees {gpus or 'no'} CUDA GPUs; see myna doctor")
    return place


def _dtype(place: torch.device) -> torch.dtype:
    """The dtype this device multiplies fastest without losing range: bfloat16 where it has such arithmetic."""
    if place.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if place.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return torch.bfloat16
    return torch.float32


def _memory_bytes(place: torch.device) -> int:
    if place.type == "cuda":
        return torch.cuda.get_device_properties(place).total_memory
    return memory_bytes()


def _keep_freed_memory() -> None:
    """Ask glibc to keep freed memory for the next step instead of giving it back and faulting it in again.

    Activations of a step are large and come back in the same sizes; by default each is mapped and zeroed by the
    kernel anew. `benchmarks/training.py` measures what this is worth.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    mmap_max, trim_threshold = -4, -1  # M_MMAP_MAX and M_TRIM_THRESHOLD of malloc.h
    libc = ctypes.CDLL(None)
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, 2**31 - 1)
