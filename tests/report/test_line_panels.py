"""Training curves written as SVG: places, ticks and legend are those of the numbers; no curve breaks the picture."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from harness.records import CurvePoint
from harness.report.line_panels import BOTTOM, HEIGHT, RIGHT, TOP, WIDTH, curve_panel
from harness.report.palette import Look

SVG = "{http://www.w3.org/2000/svg}"


def curve(losses, step=100):
    points = enumerate(losses, 1)
    return tuple(CurvePoint(examples=n * step, seconds=1.0, scalars={"loss": loss}) for n, loss in points)


def drawn(*curves, title="vae", counted="images"):
    panel = curve_panel(list(enumerate(curves)), counted, Look(0, for_scale=False), "curve-0", title=title, series=0)
    assert panel.series == 0
    return ElementTree.fromstring(panel.svg)


def lines(svg):
    found = [line.get("points").split() for line in svg.iter(f"{SVG}polyline")]
    return [[tuple(map(float, point.split(","))) for point in points] for points in found]


def texts(svg):
    return ["".join(text.itertext()) for text in svg.iter(f"{SVG}text")]


def test_a_line_is_where_its_numbers_are():
    (line,) = lines(drawn(curve([3.0, 2.0, 1.0, 1.0])))
    xs, ys = zip(*line, strict=True)
    assert xs[3] - xs[2] == pytest.approx(xs[1] - xs[0], abs=0.11)
    assert ys[1] - ys[0] == pytest.approx(ys[2] - ys[1], abs=0.11)
    assert ys[2] == ys[3]
    assert ys[0] < ys[1] < ys[2]  # a larger loss is higher up
    room = 0.05 / 1.1
    assert ys[0] == pytest.approx(TOP + room * (BOTTOM - TOP), abs=0.1)
    assert ys[2] == pytest.approx(BOTTOM - room * (BOTTOM - TOP), abs=0.1)
    assert RIGHT - xs[3] == pytest.approx(0.05 * (xs[3] - xs[0]), abs=0.2)


def test_a_tick_is_where_a_value_of_its_number_is():
    svg = drawn(curve([0.5, 1.5]))
    ((_, low), (_, high)) = lines(svg)[0]
    ticks = [text for text in svg.iter(f"{SVG}text") if text.get("text-anchor") == "end"]
    assert len(ticks) >= 4
    for tick in ticks:
        expected = low + (float(tick.text) - 0.5) * (high - low)
        assert float(tick.get("y")) - 3.4 == pytest.approx(expected, abs=0.2)


def test_seeds_have_line_styles_and_a_legend_up_to_six():
    svg = drawn(*(curve([2.0 - n / 10, 1.0]) for n in range(3)))
    styles = [line.get("stroke-dasharray") for line in svg.iter(f"{SVG}polyline")]
    assert len(set(styles)) == 3
    assert styles[0] is None
    assert [text for text in texts(svg) if text.startswith("seed")] == ["seed 0", "seed 1", "seed 2"]
    many = drawn(*(curve([2.0 - n / 10, 1.0]) for n in range(7)))
    assert not any(text.startswith("seed") for text in texts(many))


def test_the_legend_hides_no_falling_curve():
    svg = drawn(curve([float(n) for n in range(40, 0, -1)]), curve([float(n) for n in range(41, 1, -1)]))
    (first, _) = (text for text in svg.iter(f"{SVG}text") if (text.text or "").startswith("seed"))
    assert float(first.get("x")) > WIDTH / 2
    assert float(first.get("y")) < HEIGHT / 2
    rising = drawn(curve([float(n) for n in range(40)]))
    (first,) = (text for text in rising.iter(f"{SVG}text") if (text.text or "").startswith("seed"))
    assert float(first.get("x")) < WIDTH / 2 or float(first.get("y")) > HEIGHT / 2


@pytest.mark.parametrize(
    "losses",
    [[], [1.0], [2.0, 2.0], [0.0, 0.0], [1e300, -1e300], [1e-300, 2e-300], [1.0, 1.0 + 1e-16], [-5.0, 1e9],
     [float("nan"), 1.0], [float("inf"), 1.0, 2.0], [float("nan")]],
)  # fmt: skip
def test_any_losses_are_a_whole_picture_within_its_frame(losses):
    svg = drawn(curve(losses))
    for line in lines(svg):
        assert all(0 <= x <= WIDTH and TOP <= y <= BOTTOM for x, y in line)
    assert "nan" not in ElementTree.tostring(svg, "unicode")
    assert "inf" not in ElementTree.tostring(svg, "unicode")
    assert len(texts(svg)) >= 3


def test_a_curve_without_a_loss_and_one_of_many_points():
    assert lines(drawn((CurvePoint(examples=1, seconds=0.0, scalars={"rate": 0.1}),))) == [[]]
    (line,) = lines(drawn(curve([1.0 / (n + 1) for n in range(5000)])))
    assert 100 < len(line) <= 200


def test_names_are_written_out():
    svg = drawn(curve([1.0, 2.0]), title="<b>&\"'", counted="<i>")
    assert svg.get("aria-label") == "training loss of <b>&\"'"
    assert "<i> seen" in texts(svg)
    assert re.search(r"loss", " ".join(texts(svg)))
