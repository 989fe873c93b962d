"""Curves of evaluations in a report: the mean over seeds, its interval, and one pair of limits for all panels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from example_run import example_results

from harness.records import Picture
from harness.report import build, curves


def content(values: list[float], **changes) -> dict:
    ways = {"low": {}, "high": {}, "levels": {"from scratch": values[:1] * len(values)}}
    labels = {"x_label": "stages", "y_label": "accuracy", "x_names": [], "log_x": False, "y_range": None}
    made = {"x": [0, 1, 2], "lines": {"frozen": values}, "bounds": [0.0, 1.0]}
    return {**made, **ways, **labels, **changes}


def test_seeds_are_averaged_and_intervals_stay_within_bounds() -> None:
    mean = curves.merged([content([0.2, 0.5, 0.98]), content([0.4, 0.5, 1.0])])
    assert mean["lines"]["frozen"] == pytest.approx([0.3, 0.5, 0.99])
    assert mean["levels"]["from scratch"] == pytest.approx([0.3] * 3)
    first, second, third = zip(mean["low"]["frozen"], mean["high"]["frozen"], strict=True)
    assert first == (0.0, 1.0)  # 0.3 +- 12.7 * 0.1 without bounds
    assert second == (0.5, 0.5)
    assert third == pytest.approx((0.99 - 12.706 * 0.01, 1.0), abs=1e-3)


def test_a_gap_of_one_seed_is_a_gap_of_the_mean() -> None:
    mean = curves.merged([content([0.2, None, 0.9]), content([0.4, 0.5, 0.9])])
    assert mean["lines"]["frozen"][1] is mean["low"]["frozen"][1] is None


def test_one_seed_keeps_its_own_intervals() -> None:
    one = content([0.2, 0.5, 0.9], low={"frozen": [0.1, 0.4, 0.8]}, high={"frozen": [0.3, 0.6, 1.0]})
    assert curves.merged([one]) == one


def test_seeds_with_other_places_are_left_out() -> None:
    other = content([0.2, 0.5], x=[0, 1])
    assert curves.alike({0: content([0.1] * 3), 3: other, 4: content([0.2] * 3)}) == (0, 4)


def test_limits_are_those_of_all_panels() -> None:
    low, high = curves.limits_of([content([0.2, 0.5, 0.9]), content([0.1, 0.5, 0.6])])
    assert low == pytest.approx(0.06)
    assert high == pytest.approx(0.94)


def test_a_report_draws_the_mean_of_its_seeds(tmp_path: Path) -> None:
    results = []
    for result in example_results(tmp_path, seeds=(0, 1), targets=("digits",)):
        if result.cell.method.name not in ("vae", "random-init"):
            continue
        file = Path("artifacts") / f"{result.key}.json"
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(json.dumps(content([0.5, 0.6, 0.7 + 0.1 * result.cell.seed])))
        picture = Picture(name="depths", kind="curve", file=str(file), caption="Accuracy <by> depth", heading="Depths")
        evaluations = (replace(result.evaluations[0], pictures=(picture,)), *result.evaluations[1:])
        results.append(replace(result, evaluations=evaluations))
    build([(results, tmp_path)], tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    section = page.split("<h2>Depths</h2>")[1].split("</section>")[0]
    assert "Accuracy &lt;by&gt; depth. Mean over the seeds of each method" in section
    assert "mean of seeds 0, 1" in section
    assert "axes have no meaning" not in section
    drawn = sorted((tmp_path / "out" / "figures").glob("depths-*.svg"))
    assert drawn
    for file in drawn:
        ElementTree.fromstring(file.read_text())
    assert "from scratch" in drawn[0].read_text()
    assert "mean of seeds 0, 1" in (tmp_path / "out" / "report.md").read_text()
