"""The published library of stratified bootstraps, where it is installed."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from types import ModuleType

import pytest


@pytest.fixture
def rliable(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    """rliable's modules `library` and `metrics`.

    rliable 1.2 hands `random_state` to arch, which before version 8 ignored it for rliable's own draws (they come from
    numpy's global stream), and since then takes it for data: it is dropped on the way. arch 7 does not run on pandas 3.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            bootstrap = pytest.importorskip("arch.bootstrap")
            library, metrics = pytest.importorskip("rliable.library"), pytest.importorskip("rliable.metrics")
        except TypeError as error:
            pytest.skip(f"arch {version('arch')} does not import: {error}")
    if int(version("arch").split(".")[0]) >= 8:
        for base in (bootstrap.IIDBootstrap, bootstrap.IndependentSamplesBootstrap):

            def without_state(self, *args, random_state=None, init=base.__init__, **kwargs):
                init(self, *args, **kwargs)

            monkeypatch.setattr(base, "__init__", without_state)
    return library, metrics
