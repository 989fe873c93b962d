"""`harness doctor`: what this machine offers, and what a bench on it would use."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from pathlib import Path
from typing import Annotated

import typer

OPTIONAL = ("pytest_benchmark",)


def doctor(
    data_dir: Annotated[Path | None, typer.Option(help="Root of the datasets. [default: $HARNESS_DATA]")] = None,
) -> None:
    """Show Python, torch, devices, threads, precisions, packages and datasets, and say what is missing."""
    rows = [*_software(), *_devices(), *_data(data_dir), *_plugins()]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value}")


def _software() -> list[tuple[str, str]]:
    import torch

    from harness import __version__

    packages = ("torchvision", "torchmetrics", "scikit-learn", "pandas", "pyarrow", "matplotlib")
    found = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    optional = [f"{name}: {'here' if importlib.util.find_spec(name) else 'not installed'}" for name in OPTIONAL]
    return [
        ("harness", f"{__version__} in {Path(__file__).parents[1]}"),
        ("Python", f"{platform.python_version()} at {sys.executable}"),
        ("system", platform.platform()),
        ("torch", str(torch.__version__)),
        ("packages", ", ".join(found)),
        ("optional", ", ".join(optional)),
    ]


def _devices() -> list[tuple[str, str]]:
    import torch

    from harness.expansion import available_devices
    from harness.launchers.local import cores
    from harness.machine import cpu_name

    rows = [("cpu", f"{cpu_name()}, {cores()} cores: {cores()} cells at once with 1 thread each")]
    for device in available_devices()[1:]:
        if device.startswith("cuda"):
            facts = torch.cuda.get_device_properties(device)
            rows.append((device, f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB"))
        else:
            rows.append((device, "Metal; float64 is not available there"))
    if len(rows) == 1:
        rows.append(("gpu", "none that torch can use"))
    return [*rows, ("bf16", _bf16())]


def _bf16() -> str:
    """bf16 against fp32 matrix multiplication on the CPU, measured: it is only worth using where it is faster."""
    import torch

    from harness.metrics.measure import gemm_peak

    cpu = torch.device("cpu")
    ratio = gemm_peak(cpu, torch.bfloat16) / gemm_peak(cpu, torch.float32)
    verdict = "worth a try with --precision auto" if ratio > 1.2 else "not worth using"
    return f"on the cpu {ratio:.1f} times the speed of fp32: {verdict}"


def _data(data_dir: Path | None) -> list[tuple[str, str]]:
    from harness import loading
    from harness.errors import HarnessError
    from harness.registry import Registry
    from harness.registry.config import resolve

    root = loading.data_root(data_dir)
    registry = Registry()
    here, missing = [], []
    for info in registry.infos("dataset"):
        try:
            spec = registry.load(info.name, ("dataset",)).spec
            loading.check_present(spec, resolve(spec.config, {}, info.name), root)
            here.append(info.name)
        except HarnessError:
            missing.append(info.name)
    return [("data root", str(root)), ("datasets", ", ".join(here)), ("not there", ", ".join(missing) or "none")]


def _plugins() -> list[tuple[str, str]]:
    """Plugins that cannot be loaded: named, with the cause."""
    from harness.errors import RequestError
    from harness.registry import Registry

    registry = Registry()
    broken = []
    for info in registry.infos():
        try:
            registry.load(info.name, (info.kind,))
        except RequestError as error:
            broken.append(str(error))
    rows = [("plugins", f"{len(registry.infos())} installed, {len(broken)} broken")]
    return rows + [("broken", message) for message in broken]
