"""`myna doctor`: what this machine offers, what is fast on it, what is missing, and the command that mends it."""

from __future__ import annotations

from typing import Any

from myna.cli.flags import COMMON, Common
from myna.cli.terminal import Styled, say


def doctor(*, common: Common = COMMON) -> dict[str, Any]:
    """Tell what this machine offers, what is missing, and how to mend it."""
    from myna.examination import examine

    facts = examine()
    _show(facts)
    return facts


def _show(facts: dict[str, Any]) -> None:
    rows = [
        ("Myna", f"{facts['myna']} on Python {facts['python']}, {facts['system']}"),
        ("Processor", f"{facts['processor']}, {facts['cores']} cores"),
        ("Instructions", ", ".join(facts["capabilities"]) or "unknown"),
        (
            "Memory",
            f"{facts['memory_bytes'] / 1e9:.1f} GB, {facts['available_memory_bytes'] / 1e9:.1f} GB available",
        ),
        ("Disk", f"{facts['free_disk_bytes'] / 1e9:.1f} GB free here"),
    ]
    if "device" in facts:
        device = facts["device"]
        speeds = facts["floating_point_operations_per_second"]
        rows += [
            (
                "Engine",
                f"{facts['engine']} on {device['name']} ({device['kind']}, {device['memory_bytes'] / 1e9:.1f} GB)",
            ),
            ("", ", ".join(device["notes"])),
            ("Fast here", ", ".join(f"{name} {speed / 1e9:,.1f} GFLOP/s" for name, speed in speeds.items())),
            ("", f"so dtype auto takes {device['dtype']}"),
        ]
    if "mlx_device" in facts:
        rows.append(("Also here", f"--engine mlx: {', '.join(facts['mlx_device']['notes'])}"))
    starter = facts["starter"]
    state = f"whole, content hash {starter['content_hash'][:16]}" if starter["intact"] else "damaged"
    rows.append(("Starter", state))
    installed = [f"{name} {found}" for name, found in facts["libraries"].items() if found]
    rows.append(("Libraries", ", ".join(installed)))
    for name, value in rows:
        say(Styled(f"{name:<13}", "1"), value)
    say()
    if facts["missing"]:
        say(Styled("Missing", "1"))
        for line in facts["missing"]:
            say(f"  {line}")
    else:
        say("Nothing is missing.")
