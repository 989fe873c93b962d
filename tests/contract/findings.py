"""What the contract kit finds in a spec that was made for a test."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from harness.contract.kit import Check, check_plugin
from harness.registry import LoadedPlugin, PluginInfo, Registry


def plugin(spec: Any, kind: str, folder: Path, docstring: str = '"""What it is."""') -> LoadedPlugin:
    file = folder / "some_plugin.py"
    file.write_text(docstring)
    info = PluginInfo(spec.name, kind, "some_plugin", "some-dist", "1.0")
    return LoadedPlugin(info, spec, ModuleType("some_plugin"), file)


def checked(spec: Any, kind: str, folder: Path, **options: Any) -> dict[str, Check]:
    """The checks that did not pass, by name without the data's shape (grey images first)."""
    checks = check_plugin(plugin(spec, kind, folder, **options), Registry(), folder)
    found: dict[str, Check] = {}
    for check in checks:
        if check.status == "failed":
            found.setdefault(check.name.partition(" ")[0], check)
    return found
