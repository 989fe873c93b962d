"""The contract suite over every registered plugin, so that a new one is covered unasked."""

from __future__ import annotations

import pytest

from harness.contract import methods
from harness.contract.kit import check_plugin
from harness.loading import data_root
from harness.registry import PluginInfo, Registry

REGISTRY = Registry()


@pytest.mark.parametrize("info", REGISTRY.infos(), ids=lambda info: f"{info.kind}-{info.name}")
def test_contract(info: PluginInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "LONG_SECONDS", 0.5)  # each is trained for longer elsewhere
    loaded = REGISTRY.load(f"{info.distribution}:{info.name}", (info.kind,))
    checks = check_plugin(loaded, REGISTRY, data_root())
    failed = [f"{check.name}: {check.detail}" for check in checks if check.status == "failed"]
    assert not failed, "\n".join(failed)
    if info.kind == "dataset" and any(check.status == "skipped" for check in checks):
        pytest.skip(next(check.detail for check in checks if check.status == "skipped"))


def test_names_are_unique() -> None:
    assert REGISTRY.duplicates() == []
