"""The local launcher: ends that are seen at once, groups that end with their cell, deaths that are told in a line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from multiprocessing import popen_forkserver
from pathlib import Path

import psutil
import pytest

import harness

LEAVING = Path(__file__).with_name("leaving.py")
WAYS = ("forks", "starts", "forks and dies", "starts and dies", "forks away and dies", "speaks and dies", "crashes")
WITHIN = 300.0  # seconds for all ways on a busy machine; the children sleep longer


@pytest.fixture(scope="module")
def pids(tmp_path_factory: pytest.TempPathFactory):
    """The folder in which methods note what they started; those that went away are ended after the tests."""
    folder = tmp_path_factory.mktemp("pids")
    yield folder
    for file in folder.iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(file.name), signal.SIGKILL)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, pids: Path) -> harness.Results:
    started = time.monotonic()
    results = harness.bench(
        f"{LEAVING}[pids='{pids}',way={'|'.join(WAYS)}]",
        references="none",
        seeds=1,
        budget="1 steps",
        evaluations="none",
        jobs=2,
        out=tmp_path_factory.mktemp("runs") / "run",
        progress=False,
    )
    assert time.monotonic() - started < WITHIN
    return results


def reason(results: harness.Results, way: str) -> str:
    return next(r.training.reason for r in results.cells if r.cell.method.params["way"] == way)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_dead_cell_is_seen_at_once_whatever_it_left_behind(results: harness.Results) -> None:
    for way in ("forks and dies", "starts and dies", "forks away and dies"):
        assert reason(results, way) == "the process died, exit code 3: nothing in its log"


def test_what_a_cell_started_ends_with_it(results: harness.Results, pids: Path) -> None:
    """The one that left the cell's group, too, where a keeper is possible."""
    started = [int(file.name) for file in pids.iterdir()]
    assert len(started) == 5
    assert len([pid for pid in started if alive(pid)]) == (0 if sys.platform == "linux" else 1)
    assert reason(results, "forks") == reason(results, "starts") == ""


def test_a_long_line_is_cut(results: harness.Results) -> None:
    text = reason(results, "speaks and dies")
    assert text.startswith("the process died, exit code 3: xxx")
    assert text.endswith("x…")
    assert len(text) < 300


def test_a_crash_in_c_is_named_with_its_last_python_line(results: harness.Results) -> None:
    text = reason(results, "crashes")
    assert text.startswith("the process died, SIGSEGV: Segmentation fault in read_null (leaving.py, line ")
    assert "Extension modules" not in text


def test_a_second_run_quotes_its_own_log(results: harness.Results) -> None:
    """The log of the first run is kept in the same file."""
    (before,) = [r for r in results.cells if r.cell.method.params["way"] == "speaks and dies"]
    log = results.folder.logs / f"{before.key}.log"
    again = next(r for r in results.cells if r.cell.method.params["way"] == "forks and dies")
    other = results.folder.logs / f"{again.key}.log"
    other.write_text("words of an earlier run\n")
    harness.bench(
        f"{LEAVING}[pids='{before.cell.method.params['pids']}',way=forks and dies]",
        references="none",
        seeds=1,
        budget="1 steps",
        evaluations="none",
        out=results.folder.path,
        progress=False,
    )
    assert "earlier run" in other.read_text()
    assert results.folder.stored()[again.key].training.reason == reason(results, "forks and dies")
    assert log.stat().st_size > 3_000_000


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize(
    ("way", "hold"), [("forks", "time.sleep(400)"), ("forks away", "ctypes.PyDLL(None).sleep(400)")]
)
def test_the_children_of_a_cell_end_with_the_bench(tmp_path: Path, end: signal.Signals, way: str, hold: str) -> None:
    """kill -9 of the bench, and Ctrl-C: the cell, even one that holds the interpreter's lock, and what it started."""
    if sys.platform != "linux" and way == "forks away":
        pytest.skip("no keeper is possible")
    pids = tmp_path / "pids"
    pids.mkdir()
    hanging = tmp_path / "hanging.py"
    hanging.write_text(LEAVING.read_text().replace("read_null()\n", f"self.note(os.getpid()) or {hold}\n", 1))
    plugin = f"{hanging}[pids='{pids}',way={way} and crashes]"
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f'import harness; harness.bench(r"{plugin}", references="none", seeds=1, budget="1 steps", '
        f'evaluations="none", out=r"{tmp_path / "run"}", progress=False)'
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    wait_until(lambda: len(list(pids.iterdir())) == 2)
    process.send_signal(end)
    process.wait()
    wait_until(lambda: not any(alive(int(file.name)) for file in pids.iterdir()))


def wait_until(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "waited two minutes"
        time.sleep(0.1)


def test_a_cell_whose_process_cannot_be_started_is_a_row_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a moment there is no process, descriptor or memory left: this is what the start of one raises then."""
    start, started = popen_forkserver.Popen._launch, []
    errors = {1: BlockingIOError(11, "Resource temporarily unavailable"), 4: EOFError("unexpected EOF")}

    def launch(*arguments: object) -> None:
        started.append(arguments)
        if len(started) in errors:
            raise errors[len(started)]
        start(*arguments)

    monkeypatch.setattr(popen_forkserver.Popen, "_launch", launch)
    words = {"references": "none", "seeds": 1, "budget": "1 steps", "jobs": 1, "out": tmp_path, "progress": False}
    results = harness.bench("pixels,pca", evaluations="knn", **words)
    assert [cell.training.status for cell in results.cells] == ["failed", "ok"]
    for row in (results.cells[0].training, *results.cells[0].evaluations):
        assert "its process could not be started (too little memory, " in row.reason
        assert "BlockingIOError: [Errno 11] Resource temporarily unavailable" in row.reason
    results = harness.bench("pixels,pca", evaluations="knn,representation", **words)  # the judging of pca fails
    assert [cell.training.status for cell in results.cells] == ["ok", "ok"]
    late = {row.evaluation: row for row in results.cells[1].evaluations}
    assert late["knn"].status == "ok"
    assert late["representation"].reason.startswith("the trained method was not loaded: its process could not be ")
