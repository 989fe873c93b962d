"""The examples are what they are shown for: plugins that keep the contract, and that work together in a bench."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_layers import imports, is_public

import harness
from harness.contract.kit import Setting, check_plugin
from harness.records import PluginRef
from harness.registry import Registry
from harness_plugins.datasets import digits

FOLDER = Path(__file__).parents[1] / "examples"
KINDS = {"byol": "pretext", "few_shot": "evaluation", "npz": "dataset", "patches": "backbone"}


@pytest.fixture(scope="module")
def npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some digits in a file of the form that the example reads."""
    raw = digits.load(digits.Config(), Path())
    file = tmp_path_factory.mktemp("npz") / "digits.npz"
    np.savez(file, images=raw.inputs[:400, 0].numpy(), labels=raw.labels[:400].numpy())
    return file


def test_there_is_one_example_of_each_kind_in_one_file() -> None:
    assert {file.stem for file in FOLDER.glob("*.py")} == set(KINDS)
    for name, kind in KINDS.items():
        (plugin,) = Registry().load_file(FOLDER / f"{name}.py")
        assert plugin.info.kind == kind


@pytest.mark.parametrize("name", KINDS)
def test_it_imports_the_face_and_building_blocks_alone(name: str) -> None:
    modules = {module for module in imports(FOLDER / f"{name}.py", at_run_time=False) if module.startswith("harness")}
    assert "harness.plugin" in modules
    assert all(is_public(module) for module in modules)
    assert name == "byol" or modules == {"harness.plugin"}  # the one import line that a simple plugin needs


@pytest.mark.parametrize("name", KINDS)
def test_it_keeps_the_contract(name: str, npz: Path, tmp_path: Path) -> None:
    registry = Registry()
    (plugin,) = registry.load_file(FOLDER / f"{name}.py")
    checks = check_plugin(plugin, registry, tmp_path, {"path": str(npz)} if name == "npz" else {})
    assert [check for check in checks if check.status not in ("ok", "skipped")] == []
    assert sum(check.status == "ok" for check in checks) > 4


def test_the_method_is_checked_on_the_backbone_too(tmp_path: Path) -> None:
    registry = Registry()
    registry.load_file(FOLDER / "patches.py")
    (plugin,) = registry.load_file(FOLDER / "byol.py")
    setting = Setting(shape=(3, 12), backbone=PluginRef(name="patches"))
    checks = check_plugin(plugin, registry, tmp_path, None, setting)
    assert [check for check in checks if check.status not in ("ok", "skipped")] == []
    assert any("12x12x3" in check.name for check in checks)


def test_all_four_in_one_bench(npz: Path, tmp_path: Path) -> None:
    results = harness.bench(
        f"{FOLDER / 'byol.py'},random-init",
        references="none",
        datasets=f"{FOLDER / 'npz.py'}[path={npz}]",
        backbone=f"{FOLDER / 'patches.py'}",
        evaluations=f"{FOLDER / 'few_shot.py'},knn",
        seeds=1,
        budget="60 steps",
        out=tmp_path / "run",
        progress=False,
    )
    assert results.ok, results.failures
    scores = results.frame[(results.frame.evaluation.str.contains("few")) & (results.frame.score == "accuracy")]
    assert len(scores) == 2
    assert scores.value.min() > 0.3  # chance is a tenth
    assert set(scores.backbone.str.contains("patches")) == {True}
