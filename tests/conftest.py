"""What tests share: a cache folder of their own, and the real Fashion-MNIST where a data root has it."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest
import torch

collect_ignore_glob = ["*/conftest.py"]  # not as modules with doctests: they have one name

hypothesis.settings.register_profile("harness", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("harness")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Extractors and fingerprints go to a temporary folder, never to the user's cache. Subprocesses inherit it."""
    os.environ["HARNESS_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small tensors gain nothing from more, and lose much on a machine that does other work."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def fashion_root() -> Path:
    """A data root with Fashion-MNIST, named by HARNESS_DATA."""
    root = os.environ.get("HARNESS_DATA", "")
    if not root or not (Path(root) / "FashionMNIST" / "raw").is_dir():
        pytest.skip("Fashion-MNIST is not here: set HARNESS_DATA to a data root that has it")
    return Path(root)
