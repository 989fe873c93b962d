"""Sources are found and read without importing them; a face is followed name by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.registry.sources import (
    ENTIRELY,
    LEFT_OUT,
    closure,
    find_source,
    imported_modules,
    libraries,
    neighbours,
    read_source,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("module", ["torch.nn.functional", "harness_plugins.models.vae", "sklearn.cluster"])
def test_sources_are_found_without_running_the_parents(module: str) -> None:
    code = (
        "import sys; from harness.registry.sources import find_source\n"
        f"assert find_source({module!r}).is_file()\n"
        f"assert {module.split('.')[0]!r} not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", ["sys", "no_such_package.module", "harness.no_such_module", "harness.seeding.x", ""])
def test_what_has_no_source(module: str) -> None:
    assert find_source(module) is None


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import os, harness.metrics.statistics as stats\nfrom harness.nn import layers\n"
        "from .neighbour import harness\n"
        "def f():\n    from harness.seeding import derived_seed\n"
    )
    found = imported_modules([file])
    assert {"harness.metrics.statistics", "harness.nn.layers", "harness.seeding"} <= found
    assert all(name.startswith("harness.") for name in found)
    (tmp_path / "bad.py").write_text("from harness.metrics.statistics import (")
    assert imported_modules([tmp_path / "bad.py"]) == frozenset()


def test_a_face_is_followed_by_name(tmp_path: Path) -> None:
    named, whole = tmp_path / "named.py", tmp_path / "whole.py"
    named.write_text("from harness.plugin import Batch as B, hookimpl\n")
    assert "harness.data.batches" in imported_modules([named])
    assert not {"harness.plugin", "harness.nn.backbone", "harness.judging.subject"} & imported_modules([named])
    whole.write_text("import harness.plugin as face\n")
    assert {"harness.plugin", "harness.nn.backbone", "harness.judging.subject"} <= imported_modules([whole])


def test_what_stands_for_type_checkers_alone_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from harness.judging.subject import Subject\n"
        "else:\n    from harness.seeding import derived_seed\n"
    )
    assert imported_modules([file]) == {"harness.seeding"}


def test_the_closure_of_a_simple_method_is_small() -> None:
    found = imported_modules([ROOT / "plugins" / "pretext" / "rotation.py"])
    assert {"harness.nn.backbone", "harness.data.batches", "harness.data.images"} <= found
    assert len(found) <= 13
    assert not {name for name in found if name.split(".")[1] in ("judging", "report", "plugin", "metrics", "trainer")}


def test_a_module_that_a_reached_module_imports_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is listed by hand: what a module imports tomorrow counts tomorrow."""
    package = tmp_path / "harness"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "one": "def f():\n    from harness import two\n",
        "two": "",
        "three": "",
    }.items():
        (package / f"{name}.py").write_text(text)
    files = {f"harness.{file.stem}": file for file in package.iterdir()} | {"harness": package / "__init__.py"}
    monkeypatch.setattr("harness.registry.sources._located", files.get)
    (line,) = read_source(package / "one.py").imports
    assert closure([line]) == {"harness.two"}
    (package / "two.py").write_text("import harness.three\n")
    assert closure([line]) == {"harness.two", "harness.three"}


def test_what_is_left_out_exists_and_says_why() -> None:
    assert all(find_source(module) and reason for module, reason in LEFT_OUT.items())
    assert set(LEFT_OUT) >= ENTIRELY


def test_neighbours_are_modules_and_packages_beside_a_file(tmp_path: Path) -> None:
    layout = {
        "mine.py": "import os, near\nfrom pack import inner\nfrom other.deep import name\n",
        "near.py": "def f():\n    import far\n",
        "far.py": "import mine\n",
        "pack/__init__.py": "",
        "pack/inner.py": "from . import sibling\nfrom .more import x\n",
        "pack/sibling.py": "",
        "pack/more.py": "",
        "pack/unused.py": "",
        "other/deep.py": "",  # a package without __init__
        "unused.py": "",
    }
    for name, text in layout.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = {file.relative_to(tmp_path).as_posix() for file in neighbours(tmp_path / "mine.py")}
    assert found == set(layout) - {"mine.py", "unused.py", "pack/unused.py"}


def test_libraries_are_what_is_neither_ours_nor_pythons(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import os\nimport numpy.linalg as la\nfrom harness.nn import layers\nfrom . import near\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas\n"
    )
    assert libraries([file]) == {"numpy"}
