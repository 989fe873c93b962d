"""Digests of source: what changes an answer changes them, and nothing else; sources are found without importing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.registry import METHOD_KINDS, Registry
from harness.registry.fingerprint import (
    digest_of_files,
    digest_of_modules,
    find_source,
    imported_modules,
    source_digest,
)

SOURCE = '''"""Docs."""
import os

class A:
    """More."""
    def f(self, x):
        return x + 1
'''


def digest(folder: Path, source: str, name: str = "module.py") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(source)
    return digest_of_files([folder / name])


@pytest.mark.parametrize(
    "edited",
    [
        SOURCE.replace("Docs", "Other docs"),
        SOURCE.replace('    """More."""\n', ""),
        SOURCE.replace("return x + 1", "return (x\n            + 1)  # plus one"),
        "# licence\n\n\n" + SOURCE,
    ],
    ids=["docstring", "no docstring", "layout", "comment"],
)
def test_edits_without_meaning_do_not_count(tmp_path: Path, edited: str) -> None:
    assert digest(tmp_path / "b", edited) == digest(tmp_path / "a", SOURCE)


@pytest.mark.parametrize(
    "edited",
    [
        SOURCE.replace("+ 1", "+ 2"),
        SOURCE.replace("+ 1", "+ 1.0"),
        SOURCE.replace("f(self, x)", "f(self, x=1)"),
        SOURCE.replace("        return x + 1\n", "        pass\n        return x + 1\n"),
        SOURCE + "B = 'not a docstring'\n",
    ],
    ids=["constant", "type of a constant", "default", "statement", "string"],
)
def test_edits_with_meaning_count(tmp_path: Path, edited: str) -> None:
    assert digest(tmp_path / "b", edited) != digest(tmp_path / "a", SOURCE)


def test_names_count_but_order_and_place_do_not(tmp_path: Path) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("x = 1")
    two.write_text("x = 2")
    together = digest_of_files([one, two])
    assert together == digest_of_files([two, one, one])
    one.write_text("x = 2")
    two.write_text("x = 1")
    assert digest_of_files([one, two]) != together
    assert digest(tmp_path / "here", SOURCE) == digest(tmp_path / "there", SOURCE)
    assert digest(tmp_path / "here", SOURCE, "other.py") != digest(tmp_path / "here", SOURCE)


def test_an_edit_is_seen_within_one_process(tmp_path: Path) -> None:
    first = digest(tmp_path, "x = 1\n")
    assert digest(tmp_path, "x = 10\n") != first


def test_a_file_that_is_no_python_counts_byte_by_byte(tmp_path: Path) -> None:
    assert digest(tmp_path, "def (") != digest(tmp_path, "def  (")
    assert len(digest(tmp_path, "def (")) == 16


def test_no_files_and_no_module_are_errors() -> None:
    with pytest.raises(ValueError, match="at least one file"):
        digest_of_files([])
    with pytest.raises(FileNotFoundError, match=r"no source for no_such_module\.at_all"):
        digest_of_modules(["harness.seeding", "no_such_module.at_all"])


def test_modules_are_their_files() -> None:
    root = Path(__file__).parents[2] / "harness"
    assert digest_of_modules(["harness.seeding"]) == digest_of_files([root / "seeding.py"])


@pytest.mark.parametrize("module", ["torch.nn.functional", "harness_plugins.models.vae", "sklearn.cluster"])
def test_sources_are_found_without_running_the_parents(module: str) -> None:
    code = (
        "import sys; from harness.registry.fingerprint import find_source\n"
        f"assert find_source({module!r}).is_file()\n"
        f"assert {module.split('.')[0]!r} not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", ["sys", "no_such_package.module", "harness.no_such_module", "harness.seeding.x", ""])
def test_what_has_no_source(module: str) -> None:
    assert find_source(module) is None


def test_a_built_in_depends_on_what_it_imports_from_harness_and_no_other_plugin() -> None:
    registry = Registry()
    vae = registry.load("vae", METHOD_KINDS)
    modules = imported_modules(vae.file)
    assert {"harness.nn.backbone", "harness.nn.decoders", "harness.data.batches", "harness.data.images"} <= modules
    assert (
        not {"harness.records", "harness.plugin.specs", "harness.registry.registry", "harness.metrics.statistics"}
        & modules
    )
    assert len(source_digest(vae)) == 16
    assert source_digest(vae) == source_digest(vae) != source_digest(registry.load("jigsaw", METHOD_KINDS))


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import os, harness.metrics.statistics as stats\nfrom harness.nn import layers\n"
        "from .neighbour import harness\n"
        "def f():\n    from harness.seeding import derived_seed\n"
    )
    found = imported_modules(file)
    assert {"harness.metrics.statistics", "harness.nn.layers", "harness.seeding"} <= found
    assert all(name.startswith("harness.") for name in found)
    (tmp_path / "bad.py").write_text("from harness.metrics.statistics import (")
    assert imported_modules(tmp_path / "bad.py") == frozenset()
