"""Digests of source: what changes an answer changes them, and nothing else; sources are found without importing."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from harness.registry import METHOD_KINDS, Registry
from harness.registry.fingerprint import (
    digest_of_files,
    digest_of_modules,
    judging_modules,
    library_versions,
    source_digest,
    training_modules,
)
from harness.registry.sources import imported_modules

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


def test_a_built_in_depends_on_what_it_imports_from_harness_and_no_other_plugin() -> None:
    registry = Registry()
    vae = registry.load("vae", METHOD_KINDS)
    modules = imported_modules([vae.file])
    assert {"harness.nn.backbone", "harness.nn.decoders", "harness.data.batches", "harness.data.images"} <= modules
    assert (
        not {"harness.records", "harness.plugin.specs", "harness.registry.registry", "harness.metrics.statistics"}
        & modules
    )
    assert len(source_digest(vae)) == 16
    assert source_digest(vae) == source_digest(vae) != source_digest(registry.load("jigsaw", METHOD_KINDS))


def test_the_core_is_what_a_cell_imports_in_two_parts() -> None:
    training, judging = training_modules(), judging_modules()
    assert {"harness.pretraining", "harness.building", "harness.trainer", "harness.judging.monitor"} <= training
    assert {"harness.cell", "harness.judge", "harness.judging.subject", "harness.metrics.classification"} <= judging
    assert not training & judging
    core = training | judging
    assert not {name for name in core if name.split(".")[1] in ("plan", "report", "cli", "launchers", "registry")}


def digest_of_plugin(plugin: Path) -> str:
    """As a new process would see it."""
    (loaded,) = Registry().load_file(plugin)
    return source_digest(loaded)


def test_a_file_counts_with_the_neighbours_that_it_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = (Path(__file__).parents[1] / "faults" / "bad_methods.py").read_text()
    plugin = tmp_path / "mine.py"
    plugin.write_text(source.replace("import os\n", "import os\nfrom mine_near import x\n"))
    (tmp_path / "mine_near.py").write_text("import mine_far\nx = 1\n")
    (tmp_path / "mine_far.py").write_text("y = 1\n")
    (tmp_path / "mine_alone.py").write_text("z = 1\n")
    before = digest_of_plugin(plugin)
    (tmp_path / "mine_alone.py").write_text("z = 22\n")
    (tmp_path / "mine_near.py").write_text("import mine_far  # far\nx = 1\n")
    assert digest_of_plugin(plugin) == before
    (tmp_path / "mine_far.py").write_text("y = 22\n")
    after = digest_of_plugin(plugin)
    assert after != before
    (tmp_path / "mine_near.py").write_text("import mine_far\nx = 111\n")
    assert digest_of_plugin(plugin) != after


def test_the_libraries_behind_a_file_have_versions(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import os, torch, filelock, sklearn.cluster\nfrom harness.data import texts\nimport no_such_package\n"
    )
    versions = library_versions([file])
    assert versions["sklearn"] == version("scikit-learn")
    assert versions["tokenizers"] == version("tokenizers")  # through harness.data.texts
    assert not {"os", "torch", "filelock", "no_such_package", "harness"} & set(versions)
