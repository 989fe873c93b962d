from __future__ import annotations

import pytest
from example_run import example_results, write_run

from harness.store import RunFolder


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    """The folder of the example run, and its report beside it."""
    from harness.report import build

    folder = tmp_path_factory.mktemp("runs") / "example"
    write_run(folder, example_results(folder))
    build([RunFolder(folder)], folder)
    return folder


@pytest.fixture(scope="session")
def results(example):
    return RunFolder(example).load_cells()
