"""Exports: pytest-benchmark itself reads its file, costs are what they should be, and the others parse."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from gate_runs import BASE, accuracies, cell, judged, score, write

from harness.gate.exports import cost_form, csv, exported, github_action, pytest_benchmark, stats
from harness.gate.sides import load_side


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of three seeds with a fraction, a rate, decibels, nats, a distance, and a score of nothing."""
    folder = tmp_path_factory.mktemp("runs")

    def run(name, shift):
        return write(folder / name, [
            cell(
                judged(score(value=0.9 + s / 100 + shift)),
                judged(score("images_per_second", 200 + s, "images/s"), score("latency", 2.0 + s, "ms", "lower"),
                       by="throughput"),
                judged(score("psnr", 20 + s, "dB"), by="reconstruction"),
                judged(score("log_likelihood", 5.0 - s, "nats"), by="density"),
                judged(score("fid", 3.0 + s, "distance", "lower"), score("floor", 1.0, "distance", "none"), by="fid"),
                seed=s,
            )
            for s in range(3)
        ])  # fmt: skip

    return run("main", 0.0), run("mine", 0.01)


def test_pytest_benchmark_compares_two_files(runs, tmp_path):
    pytest.importorskip("pytest_benchmark")
    for run in runs:
        (tmp_path / f"{run.name}.json").write_text(pytest_benchmark(load_side(run)))
    command = [sys.executable, "-m", "pytest_benchmark", "compare", "main.json", "mine.json", "--group-by", "group"]
    done = subprocess.run([*command, "--csv=out.csv"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "digits: knn accuracy (1 - value)" in done.stdout
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * len(list(exported(load_side(runs[0]))))
    assert not [line for line in done.stderr.splitlines() if "ERROR" in line.upper()]


def test_pytest_benchmark_takes_one_for_its_baseline(runs, tmp_path):
    """What `--benchmark-compare` reads more strictly: machine_info, and every field of the statistics."""
    pytest.importorskip("pytest_benchmark")
    (tmp_path / "main.json").write_text(pytest_benchmark(load_side(runs[0])))
    (tmp_path / "test_it.py").write_text("def test_it(benchmark):\n    benchmark(sum, [1, 2])\n")
    options = ["-q", "-p", "no:cacheprovider", "--benchmark-compare=main.json", "--benchmark-max-time=0.01"]
    command = [sys.executable, "-m", "pytest", "test_it.py", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_statistics_are_those_of_pytest_benchmark():
    from_it = pytest.importorskip("pytest_benchmark.stats")
    data = np.random.default_rng(0).exponential(size=9)
    theirs = from_it.Stats()
    for value in data:
        theirs.update(value)
    ours = stats(tuple(data))
    for field in ("min", "max", "mean", "stddev", "rounds", "median", "outliers", "ops", "total"):
        assert ours[field] == pytest.approx(getattr(theirs, field)), field
    assert set(ours) == {*theirs.as_dict(), "data", "iterations"}


def test_a_row_has_costs_in_its_statistics_and_true_values_beside(runs):
    content = json.loads(pytest_benchmark(load_side(runs[0])))
    rows = {row["extra_info"]["score"]: row for row in content["benchmarks"]}
    assert rows["accuracy"]["stats"]["data"] == pytest.approx([0.1, 0.09, 0.08])
    assert rows["accuracy"]["extra_info"]["values"] == pytest.approx([0.9, 0.91, 0.92])
    assert rows["accuracy"]["extra_info"]["seeds"] == [0, 1, 2]
    assert rows["images_per_second"]["stats"]["max"] == pytest.approx(1 / 200)
    assert rows["latency"]["stats"]["min"] == pytest.approx(0.002)
    assert len({row["fullname"] for row in content["benchmarks"]}) == len(content["benchmarks"])
    assert content["commit_info"]["id"] == "0123abc"
    assert "floor" not in rows  # nothing says which way is better


@pytest.mark.parametrize(
    ("unit", "better", "values"),
    [("fraction", "higher", (0.8, 0.9)), ("dB", "higher", (20, 21)), ("nats", "higher", (-90.0, -89.0)),
     ("images/s", "higher", (100, 101)), ("ms", "lower", (2.0, 1.0)), ("nats", "lower", (0.3, 0.2)),
     ("fraction", "lower", (0.2, 0.1))],
)  # fmt: skip
def test_what_is_better_always_costs_less(unit, better, values):
    _, _, cost = cost_form({"unit": unit}, better)
    assert cost(values[1]) < cost(values[0])


def test_a_score_of_zero_still_gives_a_file_that_can_be_compared(tmp_path):
    pytest.importorskip("pytest_benchmark")
    perfect = write(tmp_path / "perfect", accuracies([1.0, 1.0]))
    (tmp_path / "one.json").write_text(pytest_benchmark(load_side(perfect)))
    command = [sys.executable, "-m", "pytest_benchmark", "compare", "one.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "knn accuracy" in done.stdout


def test_the_list_for_github_action_benchmark(runs):
    rows = json.loads(github_action(load_side(runs[0])))
    assert all({"name", "unit", "value"} <= set(row) for row in rows)
    (knn,) = (row for row in rows if "knn" in row["name"])
    assert knn["value"] == pytest.approx(0.09)
    assert "0.9, 0.91, 0.92 fraction at seeds 0, 1, 2" in knn["extra"]


def test_csv_is_the_tidy_frame(tmp_path):
    side = load_side(write(tmp_path / "run", accuracies(BASE[:2])))
    lines = csv(side).splitlines()
    assert len(lines) == len(side.frame) + 1
    assert lines[0].startswith("run,cell,label,method")
