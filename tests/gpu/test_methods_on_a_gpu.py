"""Every method trains on a GPU: to the same bits twice, and to the same bits when it was interrupted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from interrupted import Interrupted, case_of, first_difference, trained

from harness.registry import METHOD_KINDS, Registry

REGISTRY = Registry()
GPU = "cuda:0"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here")


@pytest.fixture(scope="module", autouse=True)
def deterministic() -> Iterator[None]:
    """As the process of a cell is."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", [info.name for info in REGISTRY.infos() if info.kind in METHOD_KINDS])
def test_every_method(name: str, tmp_path: Path) -> None:
    if name in ("checkpoint", "timm-encoder", "torchvision-encoder", "transformers-encoder"):
        pytest.skip("it does not train")
    case = case_of(name, REGISTRY)
    if case is None:
        pytest.skip("it takes no steps")
    file = tmp_path / "key" / "training.state"
    whole = trained(case, device=GPU)
    assert {weight.device for weight in whole.method.parameters()} == {torch.device(GPU)}
    assert first_difference(whole, trained(case, device=GPU)) == ""
    with pytest.raises(Interrupted):
        trained(case, file, stop=5, device=GPU)
    again = trained(case, file, device=GPU)
    assert first_difference(whole, again) == ""
