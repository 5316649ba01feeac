"""A fast matrix product for MLX's Linux build, whose wheel brings the reference BLAS.

Where the package scipy-openblas32 is installed its OpenBLAS is put in front before MLX is loaded; nothing on the system
is touched, and without that package, or on other machines, everything runs as before. Knows nothing of models.

How: the dynamic linker resolves a symbol first in what was loaded with RTLD_GLOBAL (ELF gABI, chapter 5, "Shared Object
Dependencies"), so that an object which defines `cblas_sgemm` and is there before libmlx.so takes its place. OpenBLAS as
scipy builds it calls the same function `scipy_cblas_sgemm`, with the same 32-bit integers; so a shared object of one
page, which defines the plain names and jumps to the others, is made in memory and loaded.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import platform
import struct
import sys
from pathlib import Path
from typing import Any

_NAMES = ("cblas_sgemm", "cblas_dgemm", "cblas_cgemm")
"""What MLX multiplies matrices with."""

PACKAGE = "scipy-openblas32"


@functools.cache
def prepare() -> str:
    """Put OpenBLAS in front where that is possible; call it before MLX is imported. Returns what a person is told."""
    if sys.platform == "darwin":
        return "Apple's Accelerate"
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "MLX's own BLAS"
    if "mlx.core" in sys.modules:
        return "MLX's own BLAS (MLX was imported before Myna's engine)"
    library = _library()
    if library is None:
        return f"the reference BLAS, some 20 times slower than need be: pip install {PACKAGE}"
    try:
        openblas = ctypes.CDLL(str(library))
        targets = {name: _address(openblas, f"scipy_{name}") for name in _NAMES}
        _load(forwarding_object(targets))
    except (OSError, AttributeError) as error:  # no memfd, or a system that forbids to run code from memory
        return f"the reference BLAS, some 20 times slower than need be ({PACKAGE} can't be put in front: {error})"
    return f"OpenBLAS of {PACKAGE}"


def _library() -> Path | None:
    spec = importlib.util.find_spec("scipy_openblas32")
    if spec is None or spec.origin is None:
        return None
    found = sorted((Path(spec.origin).parent / "lib").glob("libscipy_openblas*.so"))
    return found[0] if found else None


def _address(library: ctypes.CDLL, name: str) -> int:
    address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    assert address is not None
    return address


_loaded: list[Any] = []


def _load(content: bytes) -> None:
    """Load a shared object from memory, its symbols visible to all that is loaded after it."""
    descriptor = os.memfd_create("myna-blas")
    try:
        os.write(descriptor, content)
        _loaded.append(ctypes.CDLL(f"/proc/self/fd/{descriptor}", mode=ctypes.RTLD_GLOBAL))
    finally:
        os.close(descriptor)


def forwarding_object(targets: dict[str, int]) -> bytes:
    """Return an ELF shared object for x86-64 whose functions jump to the given addresses of this process.

    Layout: header, program headers, code, symbols, hash table, strings, dynamic section; all of it one readable and
    executable segment that needs no relocation (System V ABI, AMD64 supplement; ELF gABI, chapters 4 and 5).
    """
    header_bytes, program_bytes, stub_bytes, symbol_bytes = 64, 56, 16, 24
    code_at = header_bytes + 3 * program_bytes
    symbols_at = code_at + stub_bytes * len(targets)
    hash_at = symbols_at + symbol_bytes * (len(targets) + 1)
    code = symbols = b""
    strings = b"\0"
    symbols = bytes(symbol_bytes)  # the first symbol is none
    for number, (name, address) in enumerate(targets.items()):
        code += (b"\x48\xb8" + struct.pack("<Q", address) + b"\xff\xe0").ljust(stub_bytes, b"\x90")  # mov rax; jmp rax
        place = code_at + stub_bytes * number
        symbols += struct.pack("<IBBHQQ", len(strings), 0x12, 0, 1, place, stub_bytes)  # a global function
        strings += name.encode() + b"\0"
    # One bucket, a chain through all symbols: three names need no better hash table.
    table = struct.pack(f"<{4 + len(targets)}I", 1, len(targets) + 1, 1, 0, *range(2, len(targets) + 1), 0)
    strings_at = hash_at + len(table)
    dynamic_at = (strings_at + len(strings) + 7) // 8 * 8
    entries = ((4, hash_at), (5, strings_at), (6, symbols_at), (10, len(strings)), (11, symbol_bytes), (0, 0))
    dynamic = b"".join(struct.pack("<QQ", tag, value) for tag, value in entries)
    size = dynamic_at + len(dynamic)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = identity + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, header_bytes, 0, 0, header_bytes, program_bytes, 3, 64, 0, 0
    )
    programs = b"".join(
        struct.pack("<IIQQQQQQ", kind, flags, at, at, at, length, length, align)
        for kind, flags, at, length, align in (
            (1, 5, 0, size, 4096),  # loaded, readable and executable
            (2, 4, dynamic_at, len(dynamic), 8),
            (0x6474E551, 6, 0, 0, 16),  # no executable stack
        )
    )
    body = header + programs + code + symbols + table + strings
    return body.ljust(dynamic_at, b"\0") + dynamic
