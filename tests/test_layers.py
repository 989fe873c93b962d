"""Imports point one way: plugins use the public list and never each other, the core never knows a plugin."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(file for file in (ROOT / "plugins").rglob("*.py") if file.name != "__init__.py")
CORE = sorted((ROOT / "harness").rglob("*.py"))
# Each layer may import those after it, and itself.
LAYERS = [
    {"__main__"},
    {"cli", "pytest_plugin"},
    {"gate"},
    {"run", "contract"},
    {"results"},
    {"execution", "rehearsal"},
    {"plan", "launchers", "report"},
    {"keys"},
    {"cell"},
    {"judge"},
    {"pretraining"},
    {"building", "outcomes", "measured"},
    {"trials"},
    {"expansion", "suite", "store", "options", "listening", "strange_launcher", "applicability"},
    {"loading"},
    {"registry", "machine"},
    {"judging"},
    {"trainer", "trial"},
    {"training_state"},
    {"optimisation", "curve", "costs", "compilation"},
    {"optimisers"},
    {"clock", "lars", "looks", "tuning", "sound"},
    {"plugin"},
    {"nn"},
    {"data"},
    {"metrics"},
    {"aside"},
    {"surroundings", "settings", "patches"},
    {"process_state", "standard_streams"},
    {"precision", "seeding", "answers", "weights", "reasons", "unsaved", "allocation", "examples", "labels", "bounds"},
    {"elsewhere", "unfinished"},
    {"state_file"},
    {"refilled"},
    {"snapshot"},
    {"last_words", "descendants"},
    {"records", "rates", "arrays"},
    {"sealed", "confined"},
    {"errors", "typed"},
    {"cleaned"},
]
# What a plugin may import, beside the standard library and other packages. README and DESIGN say the same.
PUBLIC = ("harness.plugin", "harness.nn", "harness.metrics", "harness.judging", "harness.data", "harness.seeding")
PUBLIC += ("harness.precision",)
BARE = {  # packages whose imports of harness are a law of their own
    "metrics": {"harness.errors", "harness.allocation"},
    "nn": {"harness.errors", "harness.data.fields", "harness.data.tokens", "harness.precision"},
}


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
            names = [alias.name for alias in node.names if not alias.name.startswith("__")]
            found |= {_module(node.module, name) for name in names}
    return found


def _module(module: str, name: str) -> str:
    """`from harness.report import numbers` imports the module harness.report.numbers."""
    file = ROOT / f"{module}.{name}".replace(".", "/")
    return f"{module}.{name}" if file.is_dir() or file.with_suffix(".py").is_file() else module


def layer_of(part: str) -> int | None:
    return next((index for index, layer in enumerate(LAYERS) if part in layer), None)


def is_public(module: str) -> bool:
    return any(module == public or module.startswith(f"{public}.") for public in PUBLIC)


@pytest.mark.parametrize("file", PLUGINS, ids=lambda file: file.stem)
def test_a_plugin_imports_the_public_list_alone(file: Path) -> None:
    modules = imports(file, at_run_time=False)
    assert not {module for module in modules if module.startswith("harness_plugins")}
    assert {module for module in modules if module.startswith("harness") and not is_public(module)} == set()


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
            if own in BARE:
                assert module in BARE[own], f"{own} imports {module}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Not even through imports inside functions."""
    names = {_name(file): file for file in CORE}
    arrows = {name: {_home(module, names) for module in imports(file)} - {"", name} for name, file in names.items()}
    while True:
        leaves = {name for name, targets in arrows.items() if not targets}
        if not leaves:
            break
        arrows = {name: targets - leaves for name, targets in arrows.items() if name not in leaves}
    assert arrows == {}


def _name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _home(module: str, names: dict[str, Path]) -> str:
    return module if module in names else ""


@pytest.mark.parametrize("module", ["harness", "harness.cli", "harness.plan", "harness.launchers.local", "harness.run"])
def test_importing_the_outer_layers_loads_neither_torch_nor_a_plugin(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "heavy = {'torch', 'pandas', 'sklearn', 'torchmetrics', 'harness_plugins'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_plugins_and_metrics_load_what_scores_need_only_when_they_compute_one() -> None:
    """Else `harness plugins show X` would pay for it."""
    names = [f"harness_plugins.{file.parent.name}.{file.stem}" for file in PLUGINS]
    names += [f"harness.{folder}.{file.stem}" for folder in ("metrics", "judging") for file in _files(folder)]
    code = (
        "import sys\nfrom importlib import import_module\n"
        f"for name in {names}: import_module(name)\n"
        "heavy = {'torchmetrics', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _files(folder: str) -> list[Path]:
    return sorted(file for file in (ROOT / "harness" / folder).glob("*.py") if file.name != "__init__.py")


def test_what_scores_need_is_preloaded_once_for_all_cells_and_starts_no_thread() -> None:
    code = (
        "import gc, sys, threading, harness.launchers.preload\n"
        "missing = {'torchmetrics.functional', 'sklearn.cluster', 'sklearn.manifold'} - set(sys.modules)\n"
        "assert not missing, missing\n"
        "assert threading.active_count() == 1\n"
        "assert gc.get_freeze_count() > 100_000"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_face_of_authors_names_everything_once() -> None:
    """`harness.plugin` lists its names for type checkers, for Python and for `import *`: the same, in one order."""
    import harness.plugin as face

    tree = ast.parse(Path(face.__file__).read_text())
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    lines = [node for node in checked.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: line.module for line in lines for alias in line.names}
    assert homes == face._HOMES
    assert face.__all__ == list(face._HOMES) == sorted(face._HOMES)
    for name in face.__all__:
        assert getattr(face, name) is not None


def test_files_of_tests_have_names_of_their_own() -> None:
    """Two of one name in two folders cannot be collected in one run."""
    names = Counter(file.name for file in (ROOT / "tests").rglob("*.py") if file.name != "conftest.py")
    packaged = {file.name for file in (ROOT / "tests" / "third_party").rglob("*.py")}  # is installed, not imported here
    assert not {name for name, count in names.items() if count > 1} - packaged
