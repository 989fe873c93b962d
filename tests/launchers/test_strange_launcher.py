"""A launcher of others has a process of its own: what it does to that is one line, and nothing of it is left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

import harness
from harness import strange_launcher
from harness.aside import POSSIBLE
from harness.errors import BrokenPlugin, HarnessError

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="no such process can be had here")
FILE = Path(__file__).with_name("careless.py")
WORDS: dict[str, Any] = {
    "plugins": "pixels,pca",
    "references": "none",
    "seeds": 1,
    "budget": "2 steps",
    "evaluations": "knn",
    "jobs": 1,
    "progress": False,
}


def bench(tmp_path: Path, way: str, **more: Any) -> harness.Results:
    return harness.bench(**{**WORDS, **more}, launcher=f"{FILE}[folder='{tmp_path}',way='{way}']", out=tmp_path / "run")


def is_gone(file: Path) -> bool:
    try:
        return psutil.Process(int(file.read_text())).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def scores(results: harness.Results) -> list[Any]:
    return [[(e.evaluation, e.scores) for e in cell.evaluations] for cell in results.cells]


def test_it_gives_what_the_local_one_gives_after_it_in_one_process(tmp_path: Path) -> None:
    """The forkserver of the bench is none of its process's; events come home; timings run too."""
    methods = {"plugins": "rotation,pixels", "evaluations": "knn,throughput"}
    local = harness.bench(**{**WORDS, **methods}, out=tmp_path / "local")
    other = bench(tmp_path, "child", **methods, trackers="json-lines[file=news.jsonl]")
    assert local.ok
    assert other.ok
    assert [found[0] for found in scores(local)] == [found[0] for found in scores(other)]  # knn
    assert [cell.training.weights for cell in local.cells] == [cell.training.weights for cell in other.cells]
    told = [json.loads(line) for line in (tmp_path / "run/news.jsonl").read_text().splitlines()]
    assert {"cell_started", "cell_finished"} <= {news["event"] for news in told}
    assert (tmp_path / "ended").read_text() == "True"  # its second run: what measures time
    assert is_gone(tmp_path / "pid")
    assert is_gone(tmp_path / "child")  # nothing that it started is left


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("leaves", "ended the process, exit code 0 in misbehave (careless.py, line "),
        ("crashes", "ended the process, SIGSEGV in misbehave (careless.py, line "),
        ("odd", "failed: "),
        pytest.param("tells", "failed: AttributeError: ", marks=pytest.mark.slow),
        pytest.param("tells what cannot be sent", "failed: ", marks=pytest.mark.slow),
    ],
)
def test_what_ends_it_is_one_line_and_what_is_finished_is_kept(way: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(BrokenPlugin) as caught:
        bench(tmp_path, way)
    text = str(caught.value)
    assert text.startswith(f"launcher '{FILE}[")
    assert f"]' {says}" in text
    assert text.endswith(f"; {strange_launcher.KEPT}")
    assert "\n" not in text
    assert len(list((tmp_path / "run/cells").glob("*.json"))) == (way != "odd")
    assert is_gone(tmp_path / "pid")
    if way == "leaves":
        assert bench(tmp_path, "").ok


@pytest.mark.parametrize("way", ["is killed", "waits"])
def test_what_ends_it_when_it_is_built_is_one_line(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strange_launcher, "STARTING", 2.0 if way == "waits" else 120.0)
    with pytest.raises(HarnessError, match=r"^launcher .* cannot start: it (ended the process|gave no answer for 2 s)"):
        bench(tmp_path, f"build {way}")
    assert is_gone(tmp_path / "pid")


def test_it_ends_what_runs_when_the_bench_stops_at_a_failure(tmp_path: Path) -> None:
    failing = f"{FILE.parents[1] / 'faults/bad_methods.py'}[way=build],pixels"
    assert not bench(tmp_path, "", plugins=failing, fail_fast=True).ok
    assert (tmp_path / "ended").read_text() == "False"
    assert is_gone(tmp_path / "pid")


def test_it_ends_what_runs_at_ctrl_c(tmp_path: Path) -> None:
    words = ["--plugins", "pixels,rotation", "--references", "none", "--evaluations", "none", "--seeds", "1"]
    words += ["--budget", "600 s", "--jobs", "1", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-m", "harness", "bench", *words, "--launcher", f"{FILE}[folder='{tmp_path}']"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 180
    while not list((tmp_path / "run/cells").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130
    assert told.splitlines()[-1].startswith("harness: interrupted; 1 of 2 cells are finished and kept")
    assert "Traceback" not in told
    assert (tmp_path / "ended").exists()
    assert is_gone(tmp_path / "pid")
