"""benchmarks/gate/quality.py: its changes fit the code as it is, and its repetitions share nothing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import torch

from harness.gate.sides import Side
from harness_plugins.models.vae import kl_from_standard_normal

FILE = Path(__file__).parents[2] / "benchmarks" / "gate" / "quality.py"


def loaded(file: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


quality = loaded(FILE, "quality_benchmark")
PLANTED = [change for change in quality.CHANGES if change.planted]


@pytest.mark.parametrize("change", PLANTED, ids=lambda change: change.name)
def test_a_change_fits_the_code_as_it_is(change):
    text = quality.changed(change, (quality.ROOT / change.file).read_text())
    assert change.new in text
    compile(text, change.file, "exec")


def test_a_change_that_fits_nowhere_is_an_error():
    with pytest.raises(ValueError, match="0 times, not once"):
        quality.changed(PLANTED[0], "another file")


def test_the_other_formula_of_the_divergence_is_equal(tmp_path):
    change = next(change for change in PLANTED if change.name == "formula-vae")
    file = tmp_path / "vae.py"
    file.write_text(quality.changed(change, (quality.ROOT / change.file).read_text()))
    mu, log_variance = torch.randn(2, 8, 5, generator=torch.Generator().manual_seed(0)).double()
    other = loaded(file, "vae_with_the_other_formula").kl_from_standard_normal(mu, log_variance)
    torch.testing.assert_close(other, kl_from_standard_normal(mu, log_variance))


def test_repetitions_are_whole_and_share_no_seed():
    base, candidate = (Side(name, pd.DataFrame({"seed": range(seeds)})) for name, seeds in (("a", 9), ("b", 8)))
    found = [
        (list(one.frame["seed"]), list(other.frame["seed"]))
        for one, other in quality.repetitions(base, candidate, 3, 20)
    ]
    assert found == [([0, 1, 2], [0, 1, 2]), ([3, 4, 5], [3, 4, 5])]
