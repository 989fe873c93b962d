"""Imports point one way: plugins use Harness's public modules and never each other; the core never knows a plugin."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(file for file in (ROOT / "plugins").rglob("*.py") if file.name != "__init__.py")
CORE = sorted((ROOT / "harness").rglob("*.py"))
# Each layer may import those after it, and itself.
LAYERS = [
    {"cli", "__main__"},
    {"run", "progress", "testing", "method_contract", "dataset_contract"},
    {"report", "launchers", "frame", "stats"},
    {"plan", "cell"},
    {"expansion", "suite", "store", "machine"},
    {"registry", "installed", "config", "grammar", "fingerprint"},
    {
        "extractor",
        "inception",
        "measure",
        "tsne",
        "codes",
        "disentanglement",
        "attribute_arithmetic",
        "interpolation",
        "quantisation",
    },
    {"subject", "trainer", "diagnosis"},
    {"readouts"},
    {"classification", "features", "softmax_regression", "feature_distances", "neighbours"},
    {"capabilities", "data", "nn", "seeding"},
    {"specs", "hookspecs", "records", "errors"},
]
INSIDE = {name for layer in LAYERS[:6] for name in layer}  # what a plugin must not touch


def imports(file: Path, *, at_run_time: bool = True) -> set[str]:
    """The dotted modules that a file imports; those under TYPE_CHECKING are for readers, not for Python."""
    tree = ast.parse(file.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if at_run_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped |= set(ast.walk(node))
    found = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def layer_of(part: str) -> int | None:
    return next((index for index, layer in enumerate(LAYERS) if part in layer), None)


@pytest.mark.parametrize("file", PLUGINS, ids=lambda file: file.stem)
def test_a_plugin_imports_public_modules_alone(file: Path) -> None:
    modules = imports(file)
    assert not {module for module in modules if module.startswith("harness_plugins")}
    parts = {module.split(".")[1] for module in modules if module.startswith("harness.")}
    assert not parts & INSIDE


@pytest.mark.parametrize("file", CORE, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_core_imports_downwards(file: Path) -> None:
    modules = imports(file)
    assert not {module for module in modules if module.startswith("harness_plugins")}
    own = file.relative_to(ROOT / "harness").parts[0].removesuffix(".py")
    if own == "__init__":
        return
    assert layer_of(own) is not None, f"harness/{own} has no layer: give it one in this test"
    for module in modules:
        if module.startswith("harness.") and module.split(".")[1] != own:
            assert layer_of(module.split(".")[1]) >= layer_of(own), f"{own} imports {module}"
