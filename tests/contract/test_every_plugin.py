"""The contract suite over every registered plugin, so that a new one is covered unasked."""

from __future__ import annotations

import pytest

from harness.contract import judging, methods
from harness.contract.kit import Check, check_plugin
from harness.loading import data_root
from harness.registry import PluginInfo, Registry

REGISTRY = Registry()
QUICK = {"knn", "infilling", "language-model", "out-of-distribution", "pretext", "reconstruction", "translation"}


@pytest.mark.parametrize("info", REGISTRY.infos(), ids=lambda info: f"{info.kind}-{info.name}")
def test_contract(info: PluginInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "LONG_SECONDS", 0.5)  # each is trained for longer elsewhere
    monkeypatch.setattr(judging, "CHECKS", ())  # below
    checks = checks_of(info)
    if info.kind == "dataset" and any(check.status == "skipped" for check in checks):
        pytest.skip(next(check.detail for check in checks if check.status == "skipped"))


@pytest.mark.parametrize(
    "info",
    [
        pytest.param(info, marks=() if info.name in QUICK else pytest.mark.slow, id=info.name)
        for info in REGISTRY.infos("evaluation")
    ],
)
def test_every_evaluation_judges(info: PluginInfo) -> None:
    tried = [check for check in checks_of(info) if check.name.startswith("judges [")]
    assert {"ok"} <= {check.status for check in tried} <= {"ok", "skipped"}


def checks_of(info: PluginInfo) -> list[Check]:
    loaded = REGISTRY.load(f"{info.distribution}:{info.name}", (info.kind,))
    checks = check_plugin(loaded, REGISTRY, data_root())
    failed = [f"{check.name}: {check.detail}" for check in checks if check.status == "failed"]
    assert not failed, "\n".join(failed)
    return checks


def test_names_are_unique() -> None:
    assert REGISTRY.duplicates() == []
