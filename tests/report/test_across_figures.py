"""Figures across datasets: every series is drawn and named, and nothing that is written overlaps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from harness.metrics.across_datasets import Scores
from harness.metrics.critical_difference import critical_difference
from harness.metrics.performance_profiles import performance_profiles
from harness.metrics.stratified_bootstrap import interquartile_mean, optimality_gap
from harness.report import across_figures
from harness.report.across_figures import _levels, critical_difference_chart, intervals_chart, profiles_chart
from harness.report.palette import Look, looks
from harness.report.series import Series

LONG = "denoising-autoencoder[corruption=0.5]"


def series_of(count: int) -> list[Series]:
    names = [LONG if i == count - 1 else f"method-{i:02d}" for i in range(count)]
    kinds = ["reference" if i % 6 == 0 else "pretext" for i in range(count)]
    rest = dict.fromkeys(("uses", "backbone", "device", "precision", "budget", "train", "run"), "")
    return [Series(index=i, label=names[i], method=names[i], kind=kinds[i], **rest) for i in range(count)]


def scores_of(count: int, datasets: int = 16, seeds: int = 3, better: str = "higher") -> Scores:
    generator = np.random.default_rng(count)
    level = 0.8 - 0.3 * np.arange(count)[:, None, None] / count
    values = (
        level + generator.normal(0, 0.03, (count, datasets, 1)) + generator.normal(0, 0.01, (count, datasets, seeds))
    )
    return Scores(methods=tuple(one.label for one in series_of(count)), datasets=tuple(map(str, range(datasets))),
                  seeds=tuple(range(seeds)), values=values, better=better)  # fmt: skip


def draw(kind: str, count: int, **how):
    """(drawing, series) of that kind."""
    scores, series = scores_of(count, **how), series_of(count)
    look: dict[int, Look] = looks(series)
    if kind == "profiles":
        found = performance_profiles(scores, resamples=50)
        profiles = [found[name] for name in scores.methods]
        return profiles_chart(profiles, series, look, "accuracy", kind, better=scores.better), series
    if kind == "intervals":
        panels = {"interquartile mean": [interquartile_mean(own, resamples=50) for own in scores.values]}
        return intervals_chart(panels, series, look, kind, datasets=len(scores.datasets)), series
    diagram = critical_difference(scores, test=kind)
    by_name = {one.label: one for one in series}
    return critical_difference_chart(diagram, [by_name[name] for name in diagram.methods], look, kind), series


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn, as they were when they were written."""
    drawn: list[Figure] = []
    for name in ("sheet", "canvas"):
        original = getattr(across_figures, name)

        @contextmanager
        def kept(*size: float, original=original) -> Iterator[object]:
            with original(*size) as made:
                drawn.append(made if isinstance(made, Figure) else made[0])
                yield made

        monkeypatch.setattr(across_figures, name, kept)
    return drawn


def written(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every text that a figure shows, with its box in pixels; ticks outside the view have one that is not shown."""
    figure.draw_without_rendering()
    unseen = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        out = (tick for tick in axis.get_major_ticks() if not low - 1e-9 <= tick.get_loc() <= high + 1e-9)
        unseen |= {label for tick in out for label in (tick.label1, tick.label2)}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text not in unseen]
    return [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text().strip()]


@pytest.mark.parametrize("kind", ["wilcoxon-holm", "nemenyi", "profiles", "intervals"])
@pytest.mark.parametrize("count", [2, 5, 25])
def test_all_methods_are_drawn_and_no_text_overlaps_or_leaves_the_sheet(kind, count, sheets):
    drawing, series = draw(kind, count)
    ElementTree.fromstring(drawing.svg)
    for one in series:
        assert f'data-series="{one.index}"' in drawing.svg
        assert one.label in drawing.svg
    (figure,) = sheets
    texts = written(figure)
    assert {one.label for one in series} <= {part for text, _ in texts for part in text.split("  ")}
    for (one, box), (other, theirs) in itertools.combinations(texts, 2):
        assert not box.shrunk(0.98, 0.8).overlaps(theirs.shrunk(0.98, 0.8)), f"{one!r} lies on {other!r}"
    for text, box in texts:
        assert figure.bbox.x0 - 1 <= box.x0, text
        assert box.x1 <= figure.bbox.x1 + 1, text
        assert figure.bbox.y0 - 1 <= box.y0, text
        assert box.y1 <= figure.bbox.y1 + 1, text


def test_bars_on_one_line_do_not_meet():
    diagram = critical_difference(scores_of(25), test="nemenyi")
    levels = _levels(diagram)
    assert len(diagram.groups) > 5
    for (one, at), (other, theirs) in itertools.combinations(zip(diagram.groups, levels, strict=True), 2):
        if at == theirs:
            assert diagram.ranks[one[-1]] < diagram.ranks[other[0]]


def test_the_diagram_says_its_test_and_what_it_cannot():
    few, _ = draw("wilcoxon-holm", 4, datasets=3)
    assert "Wilcoxon's signed-rank test of each pair with Holm's correction at 5%, over 3 datasets." in few.caption
    assert few.caption.endswith("the smallest possible p is 1; 8 datasets could.")
    nemenyi, _ = draw("nemenyi", 4)
    assert "Nemenyi's test at 5%" in nemenyi.caption
    assert "critical difference 1.17" in nemenyi.svg
    longer, _ = draw("nemenyi", 4, datasets=2)
    assert "more than the axis is long" in longer.svg
    apart, _ = draw("nemenyi", 2)
    assert "All pairs are told apart." in apart.caption


def test_profiles_have_bands_where_they_can_be_told_apart():
    few, _ = draw("profiles", 3)
    assert "Bands: 95 %" in few.caption
    many, _ = draw("profiles", 25)
    assert "Too many methods to draw bands." in many.caption
    lower, _ = draw("profiles", 3, better="lower")
    assert lower.title == "performance profiles: share of runs with accuracy below τ"
    alone, _ = draw("profiles", 3, seeds=1)
    assert "Bands" not in alone.caption


def test_intervals_say_what_they_cover_or_that_there_are_none():
    some, _ = draw("intervals", 3)
    assert "over new seeds on these datasets, not over other datasets" in some.caption
    assert some.caption.endswith(" At most 3 seeds a dataset: an interval from so few is too short.")
    none, _ = draw("intervals", 3, seeds=1)
    assert none.caption == "One seed each, or all seeds alike: no interval."


def test_aggregates_stand_side_by_side_on_the_same_lines():
    scores, series = scores_of(5), series_of(5)
    panels = {
        "interquartile mean": [interquartile_mean(own, resamples=50) for own in scores.values],
        "optimality gap": [optimality_gap(own, resamples=50) for own in scores.values],
    }
    drawing = intervals_chart(panels, series, looks(series), "all", datasets=16)
    assert drawing.title == "interquartile mean, optimality gap over 16 datasets"
    assert drawing.svg.count(f">{LONG}<") == 1
