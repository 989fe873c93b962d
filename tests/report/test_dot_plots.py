"""`results.figure()`: the report's dots, of any score, without pyplot, its settings or a display."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import replace

import matplotlib
import pytest
from example_run import compare, example_results, write_run
from matplotlib.figure import Figure

import harness
from harness.errors import RequestError
from harness.report.dot_plots import ranking_chart
from harness.report.palette import GRID, INK, MUTED, PAPER, looks
from harness.store import RunFolder


def dots(axes):
    """The means, by label, best on top: what stands at the same height as a name."""
    names = {text.get_position()[1]: text.get_text() for text in axes.texts if text.get_ha() == "right"}
    lines = [line for line in axes.lines if line.get_marker() not in ("|", "None")]
    found = {names[line.get_ydata()[0]]: line.get_xdata()[0] for line in lines}
    return {names[place]: found[names[place]] for place in sorted(names, reverse=True)}


def ticks(axes):
    """What single seeds got, by label."""
    names = {text.get_position()[1]: text.get_text() for text in axes.texts if text.get_ha() == "right"}
    return {names[line.get_ydata()[0]]: sorted(line.get_xdata()) for line in axes.lines if line.get_marker() == "|"}


def test_a_real_run_has_the_figure_of_its_leading_score(trained):
    figure = trained.figure()
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    rows = trained.frame.query("evaluation == 'knn' and score == 'accuracy'").groupby("label")["value"]
    expected = rows.mean().sort_values(ascending=False)
    assert dots(axes) == pytest.approx(dict(expected))
    assert list(dots(axes)) == list(expected.index) == list(trained.table()["method"])
    assert ticks(axes) == {label: sorted(values) for label, values in rows}
    assert axes.get_xlabel() == "knn accuracy (fraction, higher is better)"
    assert axes.get_title(loc="left") == "digits"
    said = {text.get_position()[1]: text.get_text() for text in axes.texts if text.get_ha() == "left"}
    means = [f"{mean:.3f} [" for mean in dots(axes).values()]
    assert all(said[place].startswith(mean) for place, mean in zip(sorted(said, reverse=True), means, strict=True))


def test_any_score_can_be_asked_for_best_on_top(trained):
    (axes,) = trained.figure("reconstruction").axes
    assert list(dots(axes)) == ["vae"]
    assert axes.get_xlabel() == "reconstruction mse (squared pixel value, lower is better)"
    (axes,) = trained.figure("reconstruction", "psnr").axes  # in the frame alone, no column of a report
    rows = trained.frame.query("evaluation == 'reconstruction' and score == 'psnr'")
    assert dots(axes) == pytest.approx({"vae": rows["value"].mean()})
    assert not rows["primary"].any()


def test_each_target_has_axes_of_its_own_and_less_is_better_where_it_is(tmp_path):
    run = harness.load(write_run(tmp_path / "run", example_results(tmp_path / "run")))
    frame = run.frame[run.frame["value"].notna()]
    for words, name in [({}, ("linear-probe", "accuracy")), ({"score": "accuracy"}, ("linear-probe", "accuracy")),
                        ({"score": "calibration_error"}, ("linear-probe", "calibration_error")),
                        ({"evaluation": "representation"}, ("representation", "rankme"))]:  # fmt: skip
        figure = run.figure(**words)
        assert [axes.get_title(loc="left") for axes in figure.axes] == ["digits", "digits → noisy-digits"]
        for axes, target in zip(figure.axes, ("digits", "noisy-digits"), strict=True):
            rows = frame[(frame.evaluation == name[0]) & (frame.score == name[1]) & (frame.target == target)]
            means = rows.groupby("label")["value"].mean()
            assert dots(axes) == pytest.approx(dict(means))
            expected = sorted(means, reverse=name[1] != "calibration_error")
            assert list(dots(axes).values()) == pytest.approx(expected)
    assert figure.axes[0].get_xlabel() == "representation rankme (dimensions)"  # no direction is better


def test_the_figure_of_the_report_is_the_same(example, results):
    """Its svg has the same numbers and names."""
    svg = (example / "figures" / "ranking-digits-digits.svg").read_text()
    for text in harness.load(example).figure().axes[0].texts:
        assert text.get_text() in svg


def test_neither_pyplot_nor_a_display_is_needed(trained, tmp_path):
    pytest.importorskip("matplotlib", minversion="3.9", reason="older ones warn when they are imported")
    script = (
        "import sys, harness\n"
        f"results = harness.load({str(trained.folder.path)!r})\n"
        "figure = results.figure()\n"
        f"for kind in ('png', 'pdf', 'svg'): figure.savefig({str(tmp_path)!r} + '/figure.' + kind)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    bare = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "MPLBACKEND")}
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], env=bare, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_nothing_of_matplotlib_changes(trained):
    import matplotlib.pyplot as pyplot

    before, open_ones = dict(matplotlib.rcParams), pyplot.get_fignums()
    figure = trained.figure()
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == open_ones


def test_colours_are_those_of_paper_however_it_is_drawn_later(trained):
    figure = trained.figure()
    (axes,) = figure.axes
    axes.set_xlim(-3, 17)  # ticks that were not there before
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    for placeholder in (INK, MUTED, GRID, PAPER):
        assert placeholder not in buffer.getvalue()
    labels = axes.get_xticklabels()
    assert len(labels) > 4
    assert {label.get_color() for label in labels} == {"#1a1a1a"}
    assert {label.get_fontsize() for label in labels} == {9}
    assert {line.get_color() for line in axes.get_xgridlines()} == {"#d9d9d9"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"evaluation": "kn"}, "no evaluation 'kn' was measured: did you mean 'knn'?"),
        ({"score": "acuracy"}, "no score 'acuracy' was measured: did you mean 'accuracy'?"),
        ({"evaluation": "knn", "score": "mse"}, "no score 'mse' of knn was measured: choose from accuracy"),
        ({"evaluation": "training", "score": "loss"}, "no evaluation 'training' was measured: choose from knn"),
    ],
)
def test_unknown_names_are_one_line(trained, words, message):
    with pytest.raises(RequestError) as caught:
        trained.figure(**words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_without_numbers_and_one_without_a_leading_score(tmp_path):
    results = example_results(tmp_path, seeds=(0, 2), targets=("digits",))
    failed = write_run(tmp_path / "failed", [r for r in results if r.training.status == "failed"])
    with pytest.raises(RequestError, match="nothing was measured, so there is no figure: see"):
        harness.load(failed).figure()
    RunFolder(tmp_path / "empty").create()
    with pytest.raises(RequestError, match="nothing was measured"):
        harness.load(tmp_path / "empty").figure()
    told = [
        replace(r, evaluations=tuple(e for e in r.evaluations if e.evaluation == "representation")) for r in results
    ]
    run = harness.load(write_run(tmp_path / "told", told))
    with pytest.raises(RequestError, match="no score leads here: name one, such as 'rankme' of 'representation'"):
        run.figure()
    assert len(run.figure("representation").axes) == 1


@pytest.mark.filterwarnings("error")
def test_long_names_leave_room_for_the_dots(tmp_path):
    results = [
        replace(r, cell=replace(r.cell, method=replace(r.cell.method, name=f"{r.cell.method.name}-{'w' * 150}")))
        for r in example_results(tmp_path, targets=("digits",))
    ]
    run = harness.load(write_run(tmp_path / "run", results))
    (compared,) = compare(results)
    assert ranking_chart(compared, looks([row.series for row in compared.rows]), "chart")
    figure = run.figure()
    figure.draw_without_rendering()
    assert figure.axes[0].get_position().width * figure.get_figwidth() > 1.5


def test_several_runs_are_one_figure(tmp_path):
    one = write_run(tmp_path / "one", example_results(tmp_path / "one", seeds=(0, 1), targets=("digits",)))
    other = write_run(tmp_path / "two", example_results(tmp_path / "two", seeds=(2,), targets=("digits",)))
    both = harness.load(one, other)
    (axes,) = both.figure("knn").axes
    assert len(ticks(axes)["rotation"]) == 3
    assert dots(axes)["rotation"] == pytest.approx(both.pivot("knn").loc["rotation"].iloc[0])
