"""`harness bench` and `harness doctor` as a user types them: what is printed, exit codes, the plan."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BAD = Path(__file__).parents[1] / "faults" / "bad_methods.py"


def harness(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "110"} | environment,
        check=False,
        timeout=240,
    )


def test_a_dry_run_prints_every_cell_and_runs_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = harness("bench", "--plugins", "vae,jigsaw[grid=3]", "--seeds", "2", "--dry-run", "--out", str(out))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert sum(line.startswith("to run") for line in lines) == 10
    skipped = [line for line in lines if line.startswith("skipped")]
    assert skipped.pop() == "skipped   12 evaluations: digits has no regression targets"
    assert len(skipped) == 2
    assert all("fewer than 3 pixels" in line for line in skipped)
    assert "12 cells, 228 evaluations: 10 to run, 2 skipped" in done.stdout
    assert not out.exists()


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    out = tmp_path_factory.mktemp("bench") / "run"
    words = ["--plugins", f"{BAD}[way=raise|none]", "--references", "random-init", "--seeds", "1"]
    done = harness("bench", *words, "--budget", "2 steps", "--evaluations", "linear-probe,knn", "--out", str(out))
    return done, out


def test_a_failed_cell_is_exit_1_and_the_rest_is_reported(failing) -> None:
    done, out = failing
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "FAILED  bad[way=raise] on digits, seed 0: ValueError: the sizes do not fit: expected 3" in done.stdout
    assert f"Report: {(out / 'index.html').as_uri()}" in done.stdout
    assert "random-init" in done.stdout
    for name in ("results.parquet", "results.csv", "report.md", "index.html", "request.toml", "environment.json"):
        assert (out / name).stat().st_size > 0


def test_a_log_has_one_line_for_each_cell(failing) -> None:
    done, _ = failing
    lines = done.stderr.splitlines()
    assert [line.split("]")[0] for line in lines] == ["[1/3", "[2/3", "[3/3"]
    assert not any("\x1b" in line or "\r" in line for line in lines)


def test_only_the_failed_cell_is_tried_again(failing) -> None:
    _, out = failing
    words = ["--plugins", f"{BAD}[way=raise|none]", "--references", "random-init", "--seeds", "1"]
    plan = harness(
        "bench", *words, "--budget", "2 steps", "--evaluations", "linear-probe,knn", "--out", str(out), "--dry-run"
    )
    states = [line.split()[0] for line in plan.stdout.splitlines()[:3]]
    assert states == ["cached", "to", "cached"]
    assert "tried before: ValueError" in plan.stdout


def test_fail_fast_stops_at_the_first_failure(tmp_path: Path) -> None:
    words = ["--plugins", f"{BAD}[way=raise|none]", "--references", "none", "--seeds", "3", "--jobs", "1"]
    words += ["--budget", "1 steps", "--evaluations", "knn", "--fail-fast", "--out", str(tmp_path / "run")]
    done = harness("bench", *words)
    assert done.returncode == 1
    assert "5 cells were not run" in done.stdout


def test_the_doctor_tells_what_is_here(tmp_path: Path) -> None:
    done = harness("doctor", "--data-dir", str(tmp_path))
    assert done.returncode == 0
    facts = {line.split("  ")[0]: line for line in done.stdout.splitlines()}
    assert {"Python", "torch", "cpu", "bf16", "data root", "datasets", "not there", "plugins"} <= set(facts)
    assert str(tmp_path) in facts["data root"]
    assert "digits" in facts["datasets"]
    assert "mnist" in facts["not there"]
    assert "0 broken" in facts["plugins"]


def test_help_teaches() -> None:
    done = harness("bench", "--help")
    assert done.returncode == 0
    assert "vae[latent_dim=8|32]" in done.stdout
    assert "Exit codes" in done.stdout
    requests = "plugins datasets targets devices seeds evaluations backbone budget precision set references"
    ways = "out data-dir jobs timeout launcher trackers monitor fail-fast dry-run fresh threads"
    assert all(f"--{option}" in done.stdout for option in f"{requests} {ways}".split())


@pytest.mark.parametrize("words", [["--help"], ["plugins"], ["plugins", "list"], ["bench", "--help"]])
def test_what_needs_no_torch_imports_none(words: list[str]) -> None:
    code = (
        "import sys\nfrom harness.cli import app\n"
        f"try:\n    app({words!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'pandas', 'numpy', 'scipy', 'sklearn', 'matplotlib', 'torchvision'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"
