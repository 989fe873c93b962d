"""What ends one evaluation is the row of that one: those before it stay, those after it go on in a fresh process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import harness
from harness.plan import make_plan
from harness.records import CellResult, EvaluationResult
from harness.registry import Registry
from harness.suite import make_request

JUDGES = Path(__file__).with_name("bad_judges.py")
ENDS = ("exit", "leave", "crash", "hang", "raise", "count")
NUMBERS = ("knn", "representation", f"{JUDGES}[way=none]")
WORDS = {"plugins": "pixels", "references": "pca", "seeds": 1}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> harness.Results:
    """The same without those that go wrong."""
    out = tmp_path_factory.mktemp("good") / "run"
    return harness.bench(**WORDS, evaluations=list(NUMBERS), out=out, progress=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> harness.Results:
    first, second, third = NUMBERS
    bad = [f"{JUDGES}[way={way}]" for way in ENDS]
    judges = [first, *bad[:4], second, *bad[4:], third]
    out = tmp_path_factory.mktemp("bad") / "run"
    return harness.bench(**WORDS, evaluations=judges, timeout=20, out=out, progress=False)


def row(cell: CellResult, way: str) -> EvaluationResult:
    return next(row for row in cell.evaluations if row.evaluation == f"judge[way={way}]")


def numbers(results: harness.Results) -> dict[tuple[str, str, str], float]:
    return {
        (cell.cell.title, row.evaluation, score.score): score.value
        for cell in results.cells
        for row in cell.evaluations
        for score in row.scores
    }


def test_what_was_judged_before_and_after_is_as_without_the_crashes(
    results: harness.Results, good: harness.Results
) -> None:
    assert good.ok
    assert len(numbers(good)) > 6
    assert numbers(results) == numbers(good)
    assert [cell.training.status for cell in results.cells] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("exit", "SystemExit: 0 (bad_judges.py:"),
        ("leave", "the process died, exit code 0: nothing in its log"),
        ("crash", "the process died, SIGSEGV: Segmentation fault in read_null (bad_judges.py, line "),
        ("hang", "timed out after 20 s"),
        ("raise", "ValueError: xxx"),
        ("count", "n of mean is a str, expected a whole number of examples"),
    ],
)
def test_each_end_is_the_reason_of_its_row_alone(results: harness.Results, way: str, reason: str) -> None:
    for cell in results.cells:
        found = row(cell, way)
        assert found.status == "failed"
        assert found.reason.startswith(reason)
        assert len(found.reason) <= 1000
        assert len(cell.evaluations) == len(NUMBERS) + len(ENDS)


def test_only_the_failed_ones_are_left_to_do(results: harness.Results) -> None:
    request = make_request({**WORDS, "evaluations": [NUMBERS[0], f"{JUDGES}[way=leave]"]})
    plan = make_plan(request, Registry(), results.folder)
    assert [planned.why.partition(";")[0] for planned in plan.cells] == ["1 of 2 evaluations: judge"] * 2


def test_a_cell_file_stays_small(results: harness.Results) -> None:
    assert max(file.stat().st_size for file in results.folder.cells.iterdir()) < 200_000


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux alone")
def test_memory_words_and_pictures_have_bounds(tmp_path: Path) -> None:
    judges = [f"{JUDGES}[way={way}]" for way in ("memory", "long", "picture")]
    words = {**WORDS, "references": "none", "evaluations": judges}
    results = harness.bench(**words, memory_limit="3GB", out=tmp_path / "run", progress=False)
    (cell,) = results.cells
    assert (row(cell, "memory").status, row(cell, "memory").reason) == ("failed", "used more than 3 GB of memory")
    assert len(row(cell, "long").scores[0].note) == 2000
    large = row(cell, "picture")
    assert (large.status, large.pictures) == ("ok", ())
    assert large.note.startswith("pictures left out: 'noise' of ")
    assert (tmp_path / "run" / "index.html").stat().st_size < 2_000_000
