"""What engines ask the operating system: the processor, how much memory there is, and how much this process has taken.

Knows no tensor library.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path


def processor_name() -> str:
    """Return the processor's name, as its maker writes it where the system tells that."""
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    else:
        name = cpu_information().get("model name", "")
    return name or platform.processor() or platform.machine()


def cpu_information() -> dict[str, str]:
    """Return the first processor's entries of Linux's /proc/cpuinfo; empty where there is none."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {}
    first = path.read_text(encoding="utf-8", errors="replace").split("\n\n", maxsplit=1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


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
