"""Drawings of curves and matrices, and the likeness of methods of what their cells kept."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch
from example_run import METHODS, example_results, write_run

from harness.judging import compared, drawn
from harness.metrics.centred_alignment import gram, linear_cka
from harness.records import Picture
from harness.report import build
from harness.report.plots import curves_chart, matrix_chart
from harness.report.similarity import by_likeness, mean_similarity
from harness.store import RunFolder

NO_INTERVALS = {"low": {}, "high": {}, "x_label": "labels", "y_label": "accuracy", "y_range": None, "bounds": None}
NAN = float("nan")


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def curve(**more):
    words = NO_INTERVALS | {"levels": {}, "x_names": (), "log_x": False} | more
    return drawn.curves([1, 10, 100], {"few": [0.1, NAN, 0.3], "many": [0.2, 0.3, 0.4]}, **words)


def test_a_curve_has_its_names_its_levels_and_its_places():
    content = curve(levels={"chance": 0.1, "line": [NAN, 0.2, 0.3]}, log_x=True,
                    low={"few": [0.0, NAN, 0.2]}, high={"few": [0.2, NAN, 0.4]})  # fmt: skip
    drawing = curves_chart(content, None, "c", title="vae on digits", series=3)
    assert (drawing.name, drawing.series, drawing.title) == ("c", 3, "vae on digits")
    assert {"few", "many", "chance", "line", "labels", "accuracy", "1", "10", "100"} <= set(texts(drawing.svg))
    assert "accuracy of" not in drawing.svg
    assert 'aria-label="vae on digits"' in drawing.svg


def test_names_stand_along_the_axis_and_one_line_needs_no_legend():
    content = curve(x_names=("none", "some", "all"), y_range=(0.0, 1.0))
    assert {"none", "some", "all"} <= set(texts(curves_chart(content, None, "c", title="t").svg))
    alone = drawn.curves([0, 1], {"few": [1, 2]}, **NO_INTERVALS, levels={}, x_names=(), log_x=False)
    assert "few" not in texts(curves_chart(alone, None, "c", title="t").svg)


def test_a_curve_of_gaps_alone_is_drawn_empty():
    content = drawn.curves([0, 1], {"a": [NAN, NAN]}, **NO_INTERVALS, levels={"b": NAN}, x_names=(), log_x=False)
    assert "<svg" in curves_chart(content, None, "c", title="t").svg


@pytest.mark.parametrize("n", [2, 30])
def test_a_matrix_writes_its_numbers_where_there_is_room(n):
    values = torch.eye(n)
    values[0, 1] = NAN
    names = [f"layer {i}" for i in range(n)]
    svg = matrix_chart(drawn.matrix(values, names, names, 0.0, 1.0), "m", title="t").svg
    assert texts(svg).count("layer 0") == 2
    assert ("1.00" in texts(svg)) == (n == 2)
    assert "nan" not in svg
    assert "<image" not in svg.split("colorbar")[0] or svg.count("<image") <= 1  # at most the colour bar


def test_likeness_is_the_mean_over_what_is_of_the_same_examples(tmp_path):
    features = {(s, i): torch.randn(30, 6, generator=torch.Generator().manual_seed(10 * s + i)) for s in (0, 1)
                for i in (4, 7)}  # fmt: skip
    kept = []
    for (seed, index), values in features.items():
        file = tmp_path / f"{seed}-{index}.npz"
        compared.write(file, values, torch.arange(30), f"digits {seed}")
        kept.append((index, file))
    (tmp_path / "bad.npz").write_bytes(b"no")
    values, seeds = mean_similarity([*kept, (9, tmp_path / "bad.npz"), (9, tmp_path / "gone.npz")], [4, 7, 9])
    assert seeds == 2
    expected = [float(linear_cka([gram(features[s, 4]), gram(features[s, 7])])[0, 1]) for s in (0, 1)]
    assert values[0][1] == pytest.approx(sum(expected) / 2, abs=1e-4)
    assert values[2] == [None] * 3


def test_what_is_alike_stands_together():
    a, b = 0.9, 0.1
    values = [[1, b, a, b], [b, 1, b, a], [a, b, 1, b], [b, a, b, None]]
    order = by_likeness(values)
    assert sorted(order) == [0, 1, 2, 3]
    assert abs(order.index(0) - order.index(2)) == abs(order.index(1) - order.index(3)) == 1
    assert by_likeness([[1.0, 0.0], [0.0, 1.0]]) == [0, 1]


def test_a_report_draws_what_evaluations_kept(tmp_path):
    folder = tmp_path / "run"
    results = []
    for number, cell in enumerate(example_results(folder, seeds=(0,), targets=("digits",))):
        if not cell.evaluations:
            results.append(cell)
            continue
        home = folder / "artifacts" / cell.key
        home.mkdir(parents=True, exist_ok=True)
        where = f"artifacts/{cell.key}"
        features = torch.randn(20, 4, generator=torch.Generator().manual_seed(number))
        compared.write(home / "similarity.npz", features, torch.arange(20), "digits 0")
        (home / "robustness.json").write_text(json.dumps(curve(levels={"clean": 0.5})))
        (home / "layers.json").write_text(json.dumps(drawn.matrix(torch.eye(2), "ab", "ab", 0.0, 1.0)))
        more = (
            Picture(name="similarity", kind="features", file=f"{where}/similarity.npz", caption="Linear CKA"),
            Picture(name="robustness", kind="curve", file=f"{where}/robustness.json", caption="By strength"),
            Picture(name="layers", kind="matrix", file=f"{where}/layers.json", caption="Of layers"),
        )
        first = replace(cell.evaluations[0], pictures=(*cell.evaluations[0].pictures, *more))
        results.append(replace(cell, evaluations=(first, *cell.evaluations[1:])))
    write_run(folder, results)
    build([RunFolder(folder)], folder)
    page, markdown = (folder / "index.html").read_text(), (folder / "report.md").read_text()
    for heading in ("Similarity of methods", "Robustness", "Layers"):
        assert page.count(f"<h2>{heading}</h2>") == 1, heading
        assert f"## {heading}" in markdown
    assert "Linear CKA, one seed; alike stand together." in page
    assert "figures/similarity-digits-digits.svg" in markdown
    assert (folder / "figures" / "similarity-digits-digits.svg").is_file()
    section = page.split("<h2>Similarity of methods</h2>")[1].split("</section>")[0]
    assert sum(f">{name}<" in section for name in METHODS) >= 3
    ids = [part.split('"')[0] for part in page.split(' id="')[1:]]
    assert len(ids) == len(set(ids))
