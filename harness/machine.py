"""What this machine is: the part of every result's provenance that is not the request."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path
from typing import Any


def torch_version() -> str:
    import torch

    return str(torch.__version__)


def device_class(device: str) -> str:
    """What kernels depend on: `cpu` with its architecture, or the name of the GPU."""
    return f"cpu {platform.machine()}" if device == "cpu" else machine(device)["device name"]


@cache
def machine(device: str) -> dict[str, Any]:
    """Where a cell ran: the names of the device and the versions of what it ran with."""
    import torch

    from harness import __version__

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else cpu_name()
    return {
        "device name": name,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "harness": __version__,
        "git commit": git_commit(),
    }


def cpu_name() -> str:
    """The processor's model, as its maker writes it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            line.partition(":")[2].strip()
            for line in info.read_text(encoding="utf-8", errors="replace").splitlines()
            if "model name" in line
        ]
        if models:
            return models[0]
    return platform.processor() or platform.machine()


@cache
def git_commit() -> str:
    """The commit of the working folder, with `-dirty` if it has changes; "" outside a repository."""
    import subprocess

    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""
