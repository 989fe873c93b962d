"""What the report of a large run costs: CPU seconds, memory, and how long a browser takes to open it.

    python -m pytest benchmarks/speed/test_large_report.py -o addopts="" -s

1,000 cells are one source, 100 settings and 10 seeds; 5,000 are four sources with 125 settings each. CPU seconds are
user and system time of `harness report` as a process of its own; other work on the machine makes them more, so that the
limits are for one that is idle. Opening ends with the second frame after the load, all of it on view.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from many_cells import written_run

MOST = {1000: (10.0, 400.0), 5000: (60.0, None)}  # cells: CPU seconds, MiB at the peak
SHAPES = {1000: (100, 10, 1), 5000: (125, 10, 4)}  # settings, seeds, sources
MOST_OPENING = 5.0  # seconds
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="module", params=SHAPES)
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The number of cells, and the folder of their run, which takes up to 300 MB."""
    folder = tmp_path_factory.mktemp("large") / "run"
    written_run(folder, *SHAPES[request.param])
    yield request.param, folder
    shutil.rmtree(folder)


def measured(folder: Path) -> tuple[float, float]:
    """CPU seconds of `harness report`, and MiB at its peak."""
    command = [sys.executable, "-m", "harness", "report", str(folder)]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime, used.ru_maxrss / (1024 if sys.platform == "linux" else 2**20)


def test_a_large_report_is_made_and_opened(large: tuple[int, Path]) -> None:
    cells, folder = large
    seconds, peak = measured(folder)
    page = folder / "index.html"
    print(f"\n{cells} cells: {seconds:.1f} CPU seconds, {peak:.0f} MiB, page of {page.stat().st_size / 1e6:.1f} MB")
    most_seconds, most_memory = MOST[cells]
    assert seconds < most_seconds
    assert most_memory is None or peak < most_memory
    if not (BROWSER and DRIVER):
        pytest.skip("needs chromium and chromedriver on the PATH to open it")
    opening = opened(page)
    print(f"opened in {opening:.1f} s")
    assert opening < MOST_OPENING


def opened(page: Path) -> float:
    """Seconds from asking for the page until it is drawn."""
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1280,900"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.get("about:blank")
        start = time.perf_counter()
        driver.get(page.as_uri())
        frames = "requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))"
        driver.execute_async_script(frames)
        return time.perf_counter() - start
    finally:
        driver.quit()
