"""Harness: how good is a representation?

    results = harness.bench(plugins=["vae", "jigsaw"])
    results.table()

Importing this package is cheap: torch and pandas are loaded when a bench begins.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.run import Results, bench

__all__ = ["Results", "__version__", "bench"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        try:
            return version("harness")
        except PackageNotFoundError:
            return "0+unknown"
    if name in ("bench", "Results"):
        import importlib

        module = importlib.import_module("harness.run")
        return getattr(module, name)
    raise AttributeError(f"module 'harness' has no attribute '{name}'")
