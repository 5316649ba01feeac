"""How long `myna --help` takes: the median of ten starts, beside an empty Python's. The bar is 150 ms.

python benchmarks/startup.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time


def median_milliseconds(command: list[str]) -> float:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)  # fills the file cache
    times = []
    for _ in range(10):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def main() -> None:
    figures = {
        "python_ms": median_milliseconds([sys.executable, "-c", "pass"]),
        "myna_help_ms": median_milliseconds([sys.executable, "-m", "myna", "--help"]),
    }
    print(f"empty Python {figures['python_ms']:.0f} ms, myna --help {figures['myna_help_ms']:.0f} ms")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
