"""What training gave: a method beside itself with a budget of nothing; and settings of the optimisation as series."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from example_run import example_results

from harness.records import Budget, CellResult
from harness.report.content import Run, gather
from harness.report.frame import tidy_frame
from harness.report.html import page
from harness.report.markdown import markdown
from harness.report.reading import reading
from harness.report.series import with_series
from harness.report.summary import Comparison, comparisons


def compare(results: list[CellResult]) -> Comparison:
    frame, series = with_series(tidy_frame(results, "run"))
    return comparisons(frame, series)[0]


def untrained(result: CellResult, gained: float = 0.2) -> CellResult:
    """The same cell without training, by so much worse in every accuracy."""

    def worse(score):
        return replace(score, value=score.value - gained) if score.score == "accuracy" else score

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
    assert entry.before_after == pytest.approx((entry.estimate.mean - 0.2, entry.estimate.mean))
    assert not any(row.entries[0].learned for row in comparison.rows if row is not vae)


def test_the_sentence_says_what_the_best_had_before_training(both: list[CellResult]) -> None:
    twin = [untrained(result) for result in both if result.cell.method.name == "rotation"]
    comparison = compare([*both, *twin])
    (best,) = [row for row in comparison.rows if row.series.label == "rotation"]
    before = best.entries[0].estimate.mean - 0.2
    assert f"; training gave +0.200 of it ({before:.3f} before)" in reading(comparison)
    assert "training gave" not in reading(compare(both))


@pytest.mark.parametrize("gained", [0.0, -0.1])
def test_the_sentence_does_not_praise_what_training_did_not_give(both: list[CellResult], gained: float) -> None:
    twins = [untrained(result, gained) for result in both if result.cell.method.name == "rotation"]
    assert "; training did not give it: " in reading(compare([*both, *twins]))


def test_marks_and_gains_are_those_of_a_run_without_the_twin(both: list[CellResult]) -> None:
    alone = compare([result for result in both if result.cell.budget.amount])
    for one, other in zip(alone.rows, compare(both).rows, strict=True):
        kept = [replace(entry, before_after=None, learned=None) for entry in other.entries]
        assert (one.series.label, list(one.entries)) == (other.series.label, kept)


def test_an_untrained_method_alone_is_a_row_that_says_so(both: list[CellResult]) -> None:
    rows = compare([result for result in both if result.cell.method.name != "vae" or not result.cell.budget.amount])
    assert [row.series.label.endswith("· untrained") for row in rows.rows if "vae" in row.series.label] == [True]


def test_what_training_gave_needs_no_rank(both: list[CellResult]) -> None:
    """Other methods may have another task in a column: each is still comparable with its own beginning."""

    def changed(result: CellResult) -> CellResult:
        odds = 0.1 if result.cell.method.name == "vae" else 0.2
        found = [replace(e, scores=tuple(replace(s, chance=odds) for s in e.scores)) for e in result.evaluations]
        return replace(result, evaluations=tuple(found))

    comparison = compare([changed(result) for result in both])
    names = [column.evaluation for column in comparison.columns]
    index = names.index("knn")
    (vae,) = [row for row in comparison.rows if row.series.label == "vae"]
    assert not comparison.columns[index].ranked
    assert vae.entries[index].learned.effect == pytest.approx(0.2)
    assert vae.entries[names.index("throughput")].learned is None


def longer(result: CellResult, epochs: int) -> CellResult:
    return replace(result, cell=replace(result.cell, budget=Budget(amount=epochs, unit="epochs")))


def test_only_an_unusual_budget_stands_in_the_name(both: list[CellResult], tmp_path: Path) -> None:
    results = [longer(r, 80) if r.cell.method.name == "rotation" and r.cell.budget.amount else r for r in both]
    labels = [row.series.label for row in compare(results).rows]
    assert [label for label in labels if "·" in label] == ["rotation · 80 epochs"]
    content = gather([Run(name="run", path=tmp_path, results=tuple(results), environment={}, request={})])
    assert content.trained_for == "40 epochs, or for the budget in their name"
    assert content.trained_for in page(content)


def test_without_a_usual_budget_every_name_has_one(both: list[CellResult], tmp_path: Path) -> None:
    trained = [result for result in both if result.cell.budget.amount]
    results = [*trained, *(longer(replace(r, key=f"{r.key}-80"), 80) for r in trained)]
    content = gather([Run(name="run", path=tmp_path, results=tuple(results), environment={}, request={})])
    assert content.trained_for == "the budget in their name"
    assert all("epochs" in one.label for one in content.series if one.budget)
    assert {one.method for one in content.series if not one.budget} == {"pixels", "pca", "random-init"}


def test_one_budget_for_all_is_said_once(both: list[CellResult], tmp_path: Path) -> None:
    content = gather([Run(name="run", path=tmp_path, results=tuple(both), environment={}, request={})])
    assert content.trained_for == "the same budget, 40 epochs"


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


def test_before_and_after_are_of_the_seeds_that_both_have(both: list[CellResult]) -> None:
    """One seed was left untrained: what stands beside the gain is of that seed, so that the numbers add up."""
    one = [result for result in both if result.cell.budget.amount or result.cell.seed == 0]
    entry = next(row for row in compare(one).rows if row.series.label == "vae").entries[0]
    before, after = entry.before_after
    assert after == entry.by_seed[0] != pytest.approx(entry.estimate.mean)
    assert after - before == pytest.approx(entry.learned.effect)
    assert entry.learned.unpaired == 2


def test_what_one_seed_gained_is_said_to_be_of_one_seed(both: list[CellResult]) -> None:
    twin = [untrained(r) for r in both if r.cell.method.name == "rotation" and r.cell.seed == 0]
    assert re.search(r"; \+0\.200 over the 0\.\d{3} before training, at one seed", reading(compare([*both, *twin])))
