"""A bench from request to results: determinism, caching, staleness, interruption; real training on real digits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import harness
from harness.plan import make_plan
from harness.registry import Registry
from harness.store import RunFolder
from harness.suite import make_request

SMALL = {"plugins": "rotation,vae", "references": "pca,random-init", "seeds": 1, "budget": "10 steps"}
JUDGES = "linear-probe,knn"

NEVER_TRAIN = {"pixels", "pca", "random-init"}  # their results are those of any budget


def numbers(results: harness.Results) -> dict[tuple[str, int, str, str], float]:
    """Every score and every loss, exactly."""
    found = {}
    for result in results.cells:
        cell = (str(result.cell.method), result.cell.seed)
        for point, entry in enumerate(result.training.curve):
            found[(*cell, "curve", str(point))] = entry.scalars["loss"]
        for evaluation in result.evaluations:
            found |= {(*cell, evaluation.evaluation, score.score): score.value for score in evaluation.scores}
    return found


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> harness.Results:
    out = tmp_path_factory.mktemp("run") / "first"
    return harness.bench(**SMALL, evaluations=JUDGES, out=out, jobs=2, progress=False)


def plan_of(results: harness.Results, **changes: object):
    request = make_request(SMALL | {"evaluations": JUDGES} | changes)
    return make_plan(request, Registry(), RunFolder(results.folder.path))


def test_all_cells_are_ok(first: harness.Results) -> None:
    assert first.ok
    assert [str(result.cell.method) for result in first.cells] == ["pca", "random-init", "rotation", "vae"]
    assert all(0 < score.value <= 1 for r in first.cells for e in r.evaluations for score in e.scores if score.primary)


def test_the_same_numbers_whatever_the_jobs_the_order_and_the_evaluations(
    first: harness.Results, tmp_path: Path
) -> None:
    words = SMALL | {"plugins": "vae,rotation", "references": "random-init,pca"}
    other = harness.bench(**words, evaluations=f"clustering,{JUDGES}", out=tmp_path / "other", jobs=1, progress=False)
    ours, theirs = numbers(first), numbers(other)
    assert len(ours) > 30
    assert {key: theirs[key] for key in ours} == ours


def test_another_seed_gives_other_numbers(first: harness.Results, tmp_path: Path) -> None:
    other = harness.bench(**SMALL | {"seeds": "7-7"}, evaluations="knn", out=tmp_path / "other", progress=False)
    losses = [result.training.loss for result in (first.cells[2], other.cells[2])]
    assert losses[0] != losses[1]


def test_a_second_run_does_nothing(first: harness.Results) -> None:
    files = {file: file.stat().st_mtime_ns for file in first.folder.cells.iterdir()}
    again = harness.bench(**SMALL, evaluations=JUDGES, out=first.folder.path, progress=False)
    assert numbers(again) == numbers(first)
    assert {file: file.stat().st_mtime_ns for file in first.folder.cells.iterdir()} == files
    assert {planned.state for planned in plan_of(first).cells} == {"cached"}


def test_a_new_evaluation_does_not_train_again(first: harness.Results, tmp_path: Path) -> None:
    shutil.copytree(first.folder.path, tmp_path / "run")
    more = harness.bench(**SMALL, evaluations=f"{JUDGES},clustering", out=tmp_path / "run", progress=False)
    before = {str(r.cell.method): r.training for r in first.cells}
    assert all(result.training == before[str(result.cell.method)] for result in more.cells)
    assert all(len(result.evaluations) == 3 and result.evaluations[2].status == "ok" for result in more.cells)
    assert {key: value for key, value in numbers(more).items() if key[2] != "clustering"} == numbers(first)


def test_what_is_cached_and_why_the_rest_is_not(first: harness.Results) -> None:
    assert {p.why for p in plan_of(first, evaluations="knn,clustering").cells} == {"1 of 2 evaluations: clustering"}
    longer = {p.cell.method.name: (p.state, p.why) for p in plan_of(first, budget="11 steps").cells}
    assert {name for name, said in longer.items() if said == ("to run", "new")} == set(longer) - NEVER_TRAIN
    assert {said for name, said in longer.items() if name in NEVER_TRAIN} == {("cached", "")}
    assert {p.state for p in plan_of(first, seeds="0-1").cells} == {"cached", "to run"}
    assert {p.state for p in plan_of(first, set=["train.batch_size=64"]).cells} == {"to run"}


def test_a_changed_plugin_makes_its_cells_stale_and_says_so(tmp_path: Path) -> None:
    source = (Path(__file__).parent / "faults" / "bad_methods.py").read_text()
    plugin = tmp_path / "mine.py"
    plugin.write_text(source)
    words = {"plugins": str(plugin), "references": "random-init", "seeds": 1, "budget": "2 steps", "evaluations": "knn"}
    results = harness.bench(**words, out=tmp_path / "run", progress=False)
    plugin.write_text("# a comment changes nothing\n" + source)
    plan = make_plan(make_request(words), Registry(), RunFolder(tmp_path / "run"))
    assert [p.state for p in plan.cells] == ["cached", "cached"]
    plugin.write_text(source.replace(".square()", ".abs()"))
    plan = make_plan(make_request(words), Registry(), RunFolder(tmp_path / "run"))
    assert [(p.state, p.why) for p in plan.cells] == [("cached", ""), ("stale", "changed: method source")]
    again = harness.bench(**words, out=tmp_path / "run", progress=False)
    assert again.cells[1].training.loss != results.cells[1].training.loss
    assert len(list(again.folder.cells.iterdir())) == 2  # the stale one is gone


def test_a_cell_that_makes_no_sense_is_skipped_with_the_reason(tmp_path: Path) -> None:
    results = harness.bench(
        "jigsaw[grid=3]", references="none", seeds=1, evaluations="knn", out=tmp_path / "run", progress=False
    )
    (only,) = results.cells
    assert results.ok
    assert only.training.status == "skipped"
    assert [(e.status, e.reason) for e in only.evaluations] == [("skipped", only.training.reason)]
    assert "fewer than 3 pixels" in only.training.reason


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """kill -9 while a slow cell trains: the finished cells are kept, and the second run only does the rest."""
    out = tmp_path / "run"
    slow = Path(__file__).parent / "faults" / "bad_methods.py"
    script = (
        f"import harness; harness.bench(r'{slow}[way=hang]', references='pca,random-init', seeds=1, budget='2 steps', "
        f"evaluations='knn', out=r'{out}', jobs=1, progress=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 180  # only a busy machine needs so long
    while len(list((out / "cells").glob("[!.]*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(RunFolder(out).stored()) == 2
    words = {"references": "pca,random-init", "seeds": 1, "budget": "2 steps", "evaluations": "knn"}
    plan = make_plan(make_request({"plugins": f"{slow}[way=none]", **words}), Registry(), RunFolder(out))
    assert [p.state for p in plan.cells] == ["cached", "cached", "to run"]
    results = harness.bench(f"{slow}[way=none]", **words, out=out, progress=False)
    assert results.ok


def test_a_script_without_a_main_guard_is_not_run_again_in_every_cell(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import harness\nprint('once')\n"
        "r = harness.bench('rotation', references='none', seeds=1, budget='1 steps', evaluations='knn', "
        f"out=r'{tmp_path / 'run'}', progress=False)\nprint(r.ok)\n"
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=True)
    assert run.stdout.split() == ["once", "True"]


def test_two_benches_cannot_write_to_one_folder(first: harness.Results) -> None:
    from harness.errors import RequestError

    folder = RunFolder(first.folder.path)
    with folder.locked(), pytest.raises(RequestError, match="another harness bench is writing"):
        harness.bench(**SMALL, evaluations=JUDGES, out=first.folder.path, progress=False)


def test_what_a_cell_ran_with_is_stored(first: harness.Results) -> None:
    stored = json.loads((first.folder.cells / f"{first.cells[2].key}.json").read_text())
    keyed = stored["provenance"]["keyed"]
    sources = {"method source", "backbone source", "core source", "dataset source"}
    files = {"method files", "backbone files"}
    assert set(keyed) == sources | files | {"dataset", "dataset description", "libraries", "torch", "device class"}
    assert stored["identity"]["train"]["batch_size"] == 128
    assert stored["provenance"]["device name"]
    assert (first.folder.artifacts / stored["key"] / "method.safetensors").exists()


def test_a_listener_plugin_hears_of_the_run_and_a_broken_one_harms_nothing(tmp_path: Path) -> None:
    plugin = tmp_path / "listening.py"
    source = (Path(__file__).parent / "faults" / "bad_methods.py").read_text()
    heard = tmp_path / "heard.txt"  # a stranger's plugin hears in a process of its own
    plugin.write_text(
        source
        + f"""

def hears(*what):
    with open({str(heard)!r}, "a") as file:
        print(*what, file=file)


@hookimpl
def harness_cell_started(cell):
    hears("started", cell.method)


@hookimpl
def harness_cell_finished(result):
    hears("finished", result.training.status)


@hookimpl
def harness_run_finished(results):
    raise RuntimeError("the tracker is down")
"""
    )
    from harness.run import Options, carry_out

    request = make_request(
        {"plugins": str(plugin), "references": "none", "seeds": 1, "budget": "1 steps", "evaluations": "knn"}
    )
    assert carry_out(request, Options(out=tmp_path / "run"), Registry()).ok
    assert heard.read_text().splitlines() == ["started bad", "finished ok"]


@pytest.mark.parametrize(("option", "value"), [("jobs", 0), ("timeout", -1)])
def test_options_that_make_no_sense_are_refused_in_python_too(option: str, value: int, tmp_path: Path) -> None:
    from harness.errors import RequestError

    with pytest.raises(RequestError, match=option):
        harness.bench(**SMALL, out=tmp_path / "run", **{option: value})
    assert not (tmp_path / "run").exists()
