"""One small finished run, copied for each test that damages it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from finished_run import WORDS

import harness


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one cell, with every kind of file that a cell has."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert harness.bench(**WORDS, out=folder, progress=False).ok
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
