"""Scores along a setting: which series make a line, what it is called, and that both reports show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from example_run import example_results

from harness.records import Budget, CellResult, PluginRef
from harness.report.content import Run, gather
from harness.report.frame import tidy_frame
from harness.report.html import page
from harness.report.markdown import markdown
from harness.report.series import with_series
from harness.report.sweeps import Sweep, sweeps


@pytest.fixture(scope="module")
def vaes(tmp_path_factory: pytest.TempPathFactory) -> list[CellResult]:
    results = example_results(tmp_path_factory.mktemp("run"), targets=("digits",))
    return [result for result in results if result.cell.method.name in ("vae", "random-init")]


Vary = Callable[..., list[CellResult]]


@pytest.fixture
def vary(vaes: list[CellResult]) -> Vary:
    """The VAE's cells with other parameters, backbone, learning rate or budget."""

    def varied(
        learning_rate: float = 0.003, norm: str = "batch", budget: float = 40, **params: Any
    ) -> list[CellResult]:
        method = PluginRef(name="vae", params=params)
        full = PluginRef(name="vae", params={"beta": 1.0, "latent_dim": 16, **params})
        backbone = PluginRef(name="convnet", params={} if norm == "batch" else {"norm": norm})
        settings = f"learning_rate={learning_rate}" if learning_rate != 0.003 else ""
        return [
            replace(
                one,
                key=f"{one.key}-{full}-{learning_rate}-{norm}-{budget}",
                cell=replace(one.cell, method=method, backbone=backbone, budget=Budget(amount=budget, unit="epochs")),
                identity={
                    "method": str(full),
                    "backbone": f"convnet[norm={norm},width=32]",
                    "train": {"learning_rate": learning_rate, "schedule": "cosine"},
                },
                provenance={**one.provenance, "settings": settings},
            )
            for one in vaes
            if one.cell.method.name == "vae"
        ]

    return varied


def found(results: list[CellResult]) -> list[Sweep]:
    frame, series = with_series(tidy_frame(results, "run"))
    by_cell = dict(frame[["cell", "series"]].itertuples(index=False, name=None))
    return sweeps((series[by_cell[result.key]], result) for result in results)


def test_series_that_differ_in_one_number_make_a_line_with_the_default_in_it(vary: Vary) -> None:
    (sweep,) = found([*vary(latent_dim=64), *vary(), *vary(latent_dim=4)])
    assert sweep.setting == "latent dim"
    (line,) = sweep.lines
    assert [value for value, _ in line.points] == [4, 16, 64]
    assert len({index for _, index in line.points}) == 3
    assert line.label == ""


def test_lines_say_in_what_they_differ(vary: Vary) -> None:
    rates = (0.003, 0.03, 0.3)
    (sweep,) = found([one for norm in ("batch", "none") for rate in rates for one in vary(rate, norm)])
    assert sweep.setting == "learning rate"
    assert [(line.label, [value for value, _ in line.points]) for line in sweep.lines] == [
        ("norm=batch", [0.003, 0.03, 0.3]),
        ("norm=none", [0.003, 0.03, 0.3]),
    ]


def test_a_setting_of_the_backbone_is_named_apart_and_a_run_is_no_setting(vary: Vary) -> None:
    def wide(width: int) -> list[CellResult]:
        backbone = PluginRef(name="convnet", params={"width": width})
        full = f"convnet[norm=batch,width={width}]"
        return [
            replace(
                one,
                key=f"{one.key}-{width}",
                cell=replace(one.cell, backbone=backbone),
                identity={**one.identity, "backbone": full},
            )
            for one in vary()
        ]

    (sweep,) = found([one for width in (8, 16, 64) for one in wide(width)])
    assert sweep.setting == "backbone width"
    _, series = with_series(tidy_frame(vary(), "run"))
    (one,) = series
    assert sweeps((replace(one, index=run, run=str(run)), vary()[0]) for run in (1, 2, 3)) == []


def test_a_budget_is_a_setting_and_no_training_is_none_of_its_values(vary: Vary) -> None:
    short = [one for epochs in (0, 10, 20) for one in vary(budget=epochs)]
    assert found(short) == []
    (sweep,) = found([*short, *vary(budget=40)])
    assert (sweep.setting, [value for value, _ in sweep.lines[0].points]) == ("epochs", [10, 20, 40])


def test_two_values_or_words_make_no_line(vary: Vary) -> None:
    assert found([*vary(), *vary(latent_dim=4)]) == []
    assert found([one for norm in ("batch", "layer", "none") for one in vary(norm=norm)]) == []
    assert found([*vary(), *vary(latent_dim=4), *vary(latent_dim=64, beta=4.0)]) == []  # one differs in two things


def test_both_reports_show_it(vary: Vary, vaes: list[CellResult], tmp_path: Path) -> None:
    results = [*vaes, *vary(latent_dim=64), *vary(latent_dim=4)]
    run = Run(name="run", path=tmp_path, results=tuple(results), environment={}, request={})
    assert gather([run]).sweeps == ()  # the example's own VAE says nothing of its backbone, so two values are left
    content = gather([replace(run, results=(*results, *vary(latent_dim=8)))])
    titles = [drawing.title for drawing in content.sweeps]
    assert "linear-probe accuracy on digits by latent dim" in titles
    assert not [title for title in titles if "throughput" in title]
    assert content.title == "vae, vae[latent_dim=4], vae[latent_dim=64], vae[latent_dim=8] on digits"  # each once
    assert "differs in latent dim alone" in page(content)
    assert "by latent dim](figures/sweep-latent-dim-linear-probe-accuracy-digits-digits.svg)" in markdown(content, {})
