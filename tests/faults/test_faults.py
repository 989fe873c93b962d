"""What goes wrong in one cell is that cell's row, with its reason; the others finish, and the run says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.plan import make_plan
from harness.registry import Registry
from harness.store import RunFolder
from harness.suite import make_request

BAD = Path(__file__).with_name("bad_methods.py")
WAYS = "none|build|raise|nan|crash|kill|hang|collapse|encode|print|late"
BUILDING = "build exits|build quits|build aborts|build hangs|applies"  # what planning must not be ended by


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory):
    return harness.bench(
        f"{BAD}[way={WAYS}|{BUILDING}]",
        references="none",
        seeds=1,
        budget="2 steps",
        evaluations="knn,linear-probe",
        timeout=25,
        out=tmp_path_factory.mktemp("faults") / "run",
        progress=False,
    )


def cell(results, way: str):
    """The result of one way to fail."""
    return next(result for result in results.cells if result.cell.method.params.get("way", "none") == way)


def test_every_cell_has_a_result_and_the_run_is_not_ok(results) -> None:
    assert len(results.cells) == len(f"{WAYS}|{BUILDING}".split("|"))
    assert not results.ok
    assert results.missing == 0


@pytest.mark.parametrize("way", ["none", "print"])
def test_good_cells_finish_beside_bad_ones(results, way: str) -> None:
    good = cell(results, way)
    assert good.training.status == "ok"
    assert [evaluation.status for evaluation in good.evaluations] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("build", "KeyError: 'no such layer'"),
        ("raise", "ValueError: the sizes do not fit: expected 3"),
        ("nan", "the loss returned values that are not finite"),
        ("crash", "the process died, SIGSEGV"),
        ("kill", "the process died, SIGKILL (out of memory?)"),
        ("hang", "timed out after 25 s"),
        ("build exits", "the process died, exit code 0"),
        ("build quits", "the process died, exit code 0"),
        ("build aborts", "the process died, SIGABRT"),
        ("build hangs", "timed out after 25 s"),
        ("applies", "applies() of 'bad[way=applies]' failed: LookupError: no such declaration (bad_methods.py:72)"),
    ],
)
def test_a_failed_training_has_its_reason_in_every_row(results, way: str, reason: str) -> None:
    bad = cell(results, way)
    assert bad.training.status == "failed"
    assert bad.training.reason.startswith(reason)
    assert "\n" not in bad.training.reason
    assert [(e.evaluation, e.status) for e in bad.evaluations] == [("knn", "failed"), ("linear-probe", "failed")]
    assert all(reason in evaluation.reason for evaluation in bad.evaluations)


@pytest.mark.parametrize(
    ("way", "reason"), [("collapse", "collapsed: every image has the same"), ("encode", "values that are not finite")]
)
def test_an_unusable_representation_fails_its_evaluations(results, way: str, reason: str) -> None:
    bad = cell(results, way)
    assert bad.training.status == "ok"
    assert all(e.status == "failed" and reason in e.reason for e in bad.evaluations)


def test_a_crash_in_judging_does_not_lose_the_training(results) -> None:
    late = cell(results, "late")
    assert late.training.status == "ok"
    assert late.training.steps == 2
    assert all(e.status == "failed" and "the process died, SIGSEGV" in e.reason for e in late.evaluations)
    assert results.folder.checkpoint(late.key).exists()
    words = {"plugins": f"{BAD}[way=late]", "references": "none", "seeds": 1, "budget": "2 steps"}
    request = make_request(words | {"evaluations": "knn,linear-probe"})
    (planned,) = make_plan(request, Registry(), results.folder).cells
    assert planned.task.training == late.training
    assert planned.why == "2 of 2 evaluations: knn, linear-probe"


def test_tracebacks_and_prints_are_in_the_logs(results) -> None:
    logs = results.folder.logs
    assert "Traceback" in (logs / f"{cell(results, 'raise').key}.log").read_text()
    assert "Segmentation fault" in (logs / f"{cell(results, 'crash').key}.log").read_text()
    assert "hello from the plugin" in (logs / f"{cell(results, 'print').key}.log").read_text()


def test_the_frame_has_a_row_for_every_failure(results) -> None:
    frame = results.frame
    failed = frame[frame.status == "failed"]
    assert len(set(failed.cell)) == 14
    assert failed.reason.str.len().min() > 0
    assert failed.value.isna().all()


def test_failures_are_listed_one_a_line(results) -> None:
    assert len(results.failures) == 11 + 2 * 3
    assert all("\n" not in line for line in results.failures)


def test_the_report_is_there_all_the_same(results) -> None:
    page = (results.folder.path / "index.html").read_text()
    assert "timed out after 25 s" in page


def test_a_dry_run_builds_nothing(tmp_path: Path) -> None:
    """A constructor that exits, aborts or hangs is met by its cell, never by the plan."""
    request = make_request({"plugins": f"{BAD}[way=none|build|{BUILDING}]", "references": "none", "seeds": 1})
    plan = make_plan(request, Registry(), RunFolder(tmp_path / "run"))
    assert [planned.state for planned in plan.cells] == ["to run"] * 7
    command = [sys.executable, "-m", "harness", "bench", "--plugins", f"{BAD}[way={BUILDING}]", "--dry-run"]
    done = subprocess.run([*command, "--out", str(tmp_path / "run")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "45 cells" in done.stdout  # five seeds of five methods and four references


def test_what_only_building_tells_is_a_skipped_row_and_is_told_once(tmp_path: Path) -> None:
    words = {"plugins": f"{BAD}[way=skips]", "references": "none", "seeds": 1, "evaluations": "knn"}
    results = harness.bench(**words, out=tmp_path / "run", progress=False)
    assert results.ok
    (only,) = results.cells
    assert (only.training.status, only.training.reason) == ("skipped", "its backbone has no such layer")
    assert [(e.status, e.reason) for e in only.evaluations] == [("skipped", "its backbone has no such layer")]
    (planned,) = make_plan(make_request(words), Registry(), results.folder).cells
    assert (planned.state, planned.why) == ("skipped", "its backbone has no such layer")


def test_a_collapse_ends_training_early_and_what_was_seen_until_then_is_kept(tmp_path: Path) -> None:
    results = harness.bench(
        f"{BAD}[way=collapse]",
        references="none",
        seeds=1,
        budget="700 steps",
        set=["train.batch_size=2"],
        evaluations="knn",
        monitor=4,
        out=tmp_path / "run",
        progress=False,
    )
    training = cell(results, "collapse").training
    assert training.status == "failed"
    assert training.reason.startswith("collapsed after 1260 of 1400 images: all representations are nearly one (")
    assert "lower train.learning_rate" in training.reason
    assert (training.steps, training.examples, training.counted) == (630, 1260, "images")
    assert len(training.curve) == 90
    assert [point.examples for point in training.monitor] == [0, 350, 700, 1050]
    assert training.seconds > 0
    page = (tmp_path / "run" / "index.html").read_text()
    assert "collapsed after 1260" in page
    assert "Training curves" in page
