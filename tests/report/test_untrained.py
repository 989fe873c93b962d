"""What training gave: a method beside itself with a budget of nothing; and settings of the optimisation as series."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from example_run import example_results

from harness.frame import tidy_frame
from harness.records import Budget, CellResult
from harness.report.content import Run, gather
from harness.report.html import page
from harness.report.markdown import markdown
from harness.report.numbers import apart
from harness.report.series import with_series
from harness.report.summary import Comparison, comparisons
from harness.stats import Estimate


def compare(results: list[CellResult]) -> Comparison:
    frame, series = with_series(tidy_frame(results, "run"))
    return comparisons(frame, series)[0]


def untrained(result: CellResult) -> CellResult:
    """The same cell without training, 0.2 worse in every accuracy."""

    def worse(score):
        return replace(score, value=score.value - 0.2) if score.score == "accuracy" else score

    judged = [replace(e, scores=tuple(map(worse, e.scores)), pictures=()) for e in result.evaluations]
    cell = replace(result.cell, budget=Budget.parse("0 steps"))
    return replace(result, key=f"{result.key}-0", cell=cell, evaluations=tuple(judged))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[CellResult]:
    results = example_results(tmp_path_factory.mktemp("run"))
    return results + [untrained(result) for result in results if result.cell.method.name == "vae"]


def test_an_untrained_twin_has_no_row_but_says_what_training_gave(both: list[CellResult]) -> None:
    comparison = compare(both)
    labels = [row.series.label for row in comparison.rows]
    assert not [label for label in labels if "untrained" in label or "epochs" in label]
    (vae,) = [row for row in comparison.rows if row.series.label.startswith("vae")]
    entry = vae.entries[0]
    assert entry.learned.effect == pytest.approx(0.2)
    assert entry.untrained.mean == pytest.approx(entry.estimate.mean - 0.2)
    assert apart(entry.untrained, entry.estimate) == "intervals apart"
    assert not any(row.entries[0].learned for row in comparison.rows if row is not vae)


def test_marks_and_gains_are_those_of_a_run_without_the_twin(both: list[CellResult]) -> None:
    alone = compare([result for result in both if result.cell.budget.amount])
    for one, other in zip(alone.rows, compare(both).rows, strict=True):
        kept = [replace(entry, untrained=None, learned=None) for entry in other.entries]
        assert (one.series.label, list(one.entries)) == (other.series.label, kept)


def test_an_untrained_method_alone_is_a_row_that_says_so(both: list[CellResult]) -> None:
    rows = compare([result for result in both if result.cell.method.name != "vae" or not result.cell.budget.amount])
    assert [row.series.label.endswith("· untrained") for row in rows.rows if "vae" in row.series.label] == [True]


def test_both_reports_have_the_table(both: list[CellResult], tmp_path: Path) -> None:
    run = Run(name="run", path=tmp_path, results=tuple(both), environment={}, request={})
    content = gather([run])
    assert "What training gave" in page(content)
    assert "→" in markdown(content, {}).partition("What training gave")[2].partition("##")[0]
    without = gather([replace(run, results=tuple(r for r in both if r.cell.budget.amount))])
    assert "What training gave" not in page(without)


def test_settings_of_the_optimisation_are_series_of_their_own(both: list[CellResult]) -> None:
    fast = [
        replace(result, key=f"{result.key}-fast", provenance={**result.provenance, "settings": "learning_rate=0.1"})
        for result in both
        if result.cell.method.name == "rotation"
    ]
    labels = {row.series.label for row in compare([*both, *fast]).rows if row.series.method == "rotation"}
    assert labels == {"rotation", "rotation · learning_rate=0.1"}


def test_intervals_that_are_not_there_say_nothing() -> None:
    wide, far = Estimate(mean=0.0, low=-1.0, high=1.0, n=3), Estimate(mean=5.0, low=4.0, high=6.0, n=3)
    assert (apart(wide, far), apart(wide, wide)) == ("intervals apart", "intervals overlap")
    assert apart(Estimate(mean=0.0, low=None, high=None, n=1), far) == apart(None, far) == ""
