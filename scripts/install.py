"""Install Myna, editable, and all it needs into this virtual environment, in the versions of the lock.

torch goes first, because what pip takes by itself on Linux carries gigabytes of CUDA libraries: without an
NVIDIA GPU the CPU build is taken where one can be had. Everything else then comes from `requirements.lock`,
which pins torch's version but not its build. Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def main() -> None:
    torch = f"torch=={locked_version('torch')}"
    if sys.platform == "linux" and not has_nvidia_gpu():
        install_cpu_build(torch)
    say("Installing the versions of requirements.lock")
    pip("install", "--requirement", str(LOCK))
    pip("install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))


def locked_version(package: str) -> str:
    pinned = re.search(rf"^{re.escape(package)}==([^\s;]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    if pinned is None:
        sys.exit(f"{LOCK.name} does not pin {package}; make it anew with: make lock")
    return pinned.group(1)


def has_nvidia_gpu() -> bool:
    return Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi") is not None


def install_cpu_build(torch: str) -> None:
    """Install torch's CPU build from where pip is set up to look, else from PyTorch's own index.

    That index is uv's business (`--torch-backend=cpu`), so that no address stands here. Where it can't be
    reached nothing is installed, and pip takes its usual build later, which runs on a CPU too but is large.
    """
    if installed_build() == torch.removeprefix("torch=="):
        return
    say(f"Installing {torch} (CPU build: no NVIDIA GPU here)")
    if quietly([*PIP, "install", f"{torch}+cpu"]).returncode == 0:
        return
    pip("install", "uv", "--constraint", str(LOCK))
    uv = [sys.executable, "-m", "uv", "--quiet", "pip", "install", "--python", sys.executable]
    # One retry: a machine with a closed network knows within a few seconds, not a quarter of a minute.
    attempt = quietly([*uv, "--torch-backend=cpu", torch], UV_HTTP_RETRIES="1")
    if attempt.returncode != 0:
        say(attempt.stderr.strip())
        say(
            "The CPU build of torch can't be had here, so pip installs its usual build: it works without a "
            "GPU, but may bring several gigabytes of CUDA libraries."
        )


def installed_build() -> str | None:
    """Return the installed torch's version without its build (`+cpu`), or None."""
    try:
        return version("torch").partition("+")[0]
    except PackageNotFoundError:
        return None


def quietly(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def pip(*arguments: str) -> None:
    done = subprocess.run([*PIP, *arguments], check=False)
    if done.returncode != 0:
        sys.exit(f"pip could not do its part ({' '.join(arguments)}); its message stands above. Then: make setup")


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
