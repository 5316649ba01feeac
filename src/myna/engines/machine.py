"""What engines ask the operating system: how much memory there is, and how much of it this process has taken.

Knows no tensor library.
"""

from __future__ import annotations

import sys
from pathlib import Path


def memory_bytes() -> int:
    """Return the machine's memory."""
    import psutil

    return int(psutil.virtual_memory().total)


def peak_resident_bytes() -> int:
    """Return the most resident memory this process ever had."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux: getrusage would report a larger parent's peak as ours
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
