"""What training cost in the report: the table, the sentence on unequal compute, the figure, and where there is none."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from example_run import example_results

from harness.records import Budget, CellResult, TrainingResult
from harness.report.content import Content, Run, gather
from harness.report.cost_charts import SCORES, spread
from harness.report.html import page
from harness.report.markdown import markdown

TERA = 1e12
FLOPS = {"vae": 2 * TERA, "rotation": 5 * TERA, "jigsaw": 2.5 * TERA, "supervised": 1 * TERA}
VIEWS = {"vae": 1.0, "rotation": 4.0, "jigsaw": 36.0, "supervised": 1.0}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[CellResult]:
    return example_results(tmp_path_factory.mktemp("run"), targets=("digits",))


def counted(result: CellResult, flops: Mapping[str, float] = FLOPS) -> CellResult:
    """The result with what its method costs; each seed a little more than the one before."""
    name = result.cell.method.name
    if name not in flops or result.training.status != "ok":
        return result
    views = VIEWS[name]
    costs = {"views": views, "passes": 2 * views, "flops": flops[name] * (1 + result.cell.seed / 10)}
    return replace(result, training=replace(result.training, **costs))


def report_of(results: Sequence[CellResult]) -> Content:
    return gather([Run(name="run", path=Path(), results=tuple(results), environment={}, request={})])


@pytest.fixture(scope="module")
def content(plain: list[CellResult]) -> Content:
    return report_of([counted(result) for result in plain])


def test_the_table_has_the_mean_costs_of_what_was_trained(content: Content) -> None:
    (costs,) = content.spent
    rows = {row.series.method.partition("[")[0]: row for row in costs.rows}
    assert set(rows) == {"vae", "rotation", "jigsaw", "supervised", "pca"}
    vae, pca = rows["vae"], rows["pca"]
    assert (vae.views, vae.passes, vae.flops) == (1.0, 2.0, pytest.approx(2.2 * TERA))
    assert vae.seconds == pytest.approx(12 * 1.05)
    assert vae.per_second == pytest.approx(sum(43_160 / (12 * (1 + seed / 20)) for seed in range(3)) / 3)
    assert rows["jigsaw"].flops == pytest.approx(2.5 * 1.05 * TERA)  # its third seed failed
    assert (pca.flops, pca.views, pca.seconds) == (None, None, pytest.approx(0.05))


def test_both_reports_show_the_table_with_its_meaning(content: Content) -> None:
    text, html = markdown(content, {}), page(content)
    assert "| method | views | passes | TFLOP | seconds | images/s |" in text
    assert "| **rotation** | 4 | 8 | 5.50 | 22.05 | 1,960 |" in text
    assert "| *pca* (reference) | – | – | – | 0.05 | – |" in text
    section = html.partition("<h2>What training cost</h2>")[2].partition("</section>")[0]
    assert '<span class="value">5.50</span>' in section
    for report in (text, section):
        assert "inputs that the trained backbone encoded with gradients, for one image of the source" in report
        assert "A crop or a tile of any size is one input." in report


def test_unequal_compute_at_equal_images_is_a_sentence_with_the_fix(content: Content) -> None:
    """Between methods, not references: 5.5 TFLOP to 2.2."""
    said = "At equal images, rotation costs 2.5 times the FLOPs of vae: --budget '5.5 TFLOP' gives equal compute."
    assert content.spent[0].unequal == [said]
    assert said in markdown(content, {})
    assert said.replace("'", "&#39;") in page(content)
    assert Budget.parse("5.5 TFLOP").unit == "flops"


@pytest.mark.parametrize(
    ("flops", "budget"),
    [
        ({"vae": TERA, "rotation": 1.45 * TERA, "jigsaw": 1.2 * TERA}, Budget(amount=40, unit="epochs")),
        (FLOPS, Budget(amount=60, unit="seconds")),
        (FLOPS, Budget(amount=5e12, unit="flops")),
        ({"rotation": 5 * TERA}, Budget(amount=40, unit="epochs")),
        ({}, Budget(amount=40, unit="epochs")),
    ],
)
def test_where_compute_is_equal_or_not_known_nothing_is_said(
    plain: list[CellResult], flops: Mapping[str, float], budget: Budget
) -> None:
    results = [replace(one, cell=replace(one.cell, budget=budget)) for one in plain]
    assert report_of([counted(one, flops) for one in results]).spent[0].unequal == []


def titles(content: Content) -> list[str]:
    return [drawing.title for drawing in content.costs]


def test_the_first_scores_that_rank_are_drawn_against_seconds_and_flops(content: Content) -> None:
    assert titles(content) == [
        f"{score} on digits against training time and FLOPs"
        for score in ("linear-probe accuracy", "knn accuracy", "clustering nmi")
    ]
    assert len(content.costs) == SCORES
    assert "Scores against training cost" in page(content)
    svg = content.costs[0].svg
    ElementTree.fromstring(svg)
    assert set(re.findall(r'data-series="(\d+)"', svg)) == {str(one.index) for one in content.shown}
    words = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    for label in ("rotation", "jigsaw[grid=3]", "vae", "supervised", "pca", "random-init (untrained)"):
        assert words.count(label) == 1
    assert "FLOPs of training per cell (log scale)" in words
    assert "training time per cell" in words  # 12 to 34 s: less than three times, from 0
    assert "A line joins" not in content.costs[0].caption


def test_with_few_known_costs_the_leading_score_is_drawn_against_seconds(plain: list[CellResult]) -> None:
    few = {name: FLOPS[name] for name in ("vae", "rotation", "supervised")}
    for results in (plain, [counted(one, few) for one in plain]):
        assert titles(report_of(results)) == ["linear-probe accuracy on digits against training time"]


def test_budgets_of_one_method_are_joined(plain: list[CellResult]) -> None:
    results = [counted(one) for one in plain]
    longer = [
        replace(
            one,
            key=f"{one.key}-80",
            cell=replace(one.cell, budget=Budget(amount=80, unit="epochs")),
            training=replace(one.training, seconds=80.0, flops=11 * TERA),
        )
        for one in results
        if one.cell.method.name == "rotation"
    ]
    content = report_of([*results, *longer])
    assert all(drawing.caption.endswith("A line joins the budgets of one method.") for drawing in content.costs)
    assert "rotation · 80 epochs" in content.costs[0].svg


def test_what_was_not_trained_costs_nothing(plain: list[CellResult]) -> None:
    untrained = [one for one in plain if one.cell.method.name in ("pixels", "random-init")]
    content = report_of(untrained)
    assert (content.spent, content.costs) == ((), ())
    assert "What training cost" not in page(content)


def test_a_run_of_one_failed_training_has_no_costs(plain: list[CellResult]) -> None:
    failed = TrainingResult(status="failed", reason="diverged")
    content = report_of([replace(one, training=failed, evaluations=()) for one in plain[:1]])
    assert content.spent == ()


def test_many_names_keep_apart_within_the_margin() -> None:
    for count in (1, 5, 40):
        gap = min(0.065, 1 / max(1, count - 1))
        heights = spread([0.5] * count, gap=gap)
        assert 0 <= heights[0] <= heights[-1] <= 1
        assert all(b - a > gap - 1e-5 for a, b in itertools.pairwise(heights))
