from __future__ import annotations

import pytest
from chromium import BROWSER, DRIVER, FLAGS
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


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A real run, small: what a bench of one method and one reference gives."""
    import harness

    words = {"plugins": "vae", "references": "random-init", "seeds": 2, "budget": "5 steps"}
    out = tmp_path_factory.mktemp("runs") / "trained"
    return harness.bench(**words, evaluations="knn,reconstruction", out=out, progress=False, jobs=1)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()
