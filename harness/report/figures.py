"""Charts as small SVGs: the leading score with intervals, scores along a setting, curves, feature maps.

matplotlib without pyplot, text kept as text. Everything that belongs to one series carries `data-series`, so that the
page can hide it.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from math import isfinite
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from harness.records import CurvePoint
from harness.report.digits import Digits
from harness.report.entries import Column, Entry
from harness.report.numbers import interval, number
from harness.report.palette import COLOURS, DASHES, GRID, INK, MARKERS, MUTED, PAPER, Look, class_look
from harness.report.series import Series
from harness.report.summary import Comparison, Row
from harness.report.sweeps import LEAST, Sweep

MAP_POINTS = 600  # of a map; every k-th point is drawn where there are more
CURVE_POINTS = 200
LEGEND_CLASSES = 20

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "harness", "text.parse_math": False, "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"], "font.size": 9.0, "text.color": INK, "axes.edgecolor": MUTED,
    "axes.labelcolor": INK, "axes.linewidth": 0.7, "xtick.color": MUTED, "ytick.color": MUTED,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": GRID, "grid.linewidth": 0.6, "figure.facecolor": "none",
    "axes.facecolor": "none", "savefig.facecolor": "none", "lines.linewidth": 1.5, "lines.markersize": 6.5,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure: `svg` still has the palette's placeholders. `series` is set where it shows one series only."""

    name: str  # of its file
    title: str
    caption: str = ""
    svg: str
    series: int | None = None


@contextmanager
def canvas(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure of that size in inches with one pair of axes."""
    with sheet(width, height) as figure:
        yield figure, figure.add_subplot()


@contextmanager
def sheet(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of that size in inches."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure


def svg_of(figure: Figure, name: str, title: str) -> str:
    """The figure as one `<svg>` element whose ids are unique on a page, with a title for screen readers."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'<g id="series-(\d+)"', r'<g class="series" data-series="\1"', text)
    text = re.sub(r'<g id="[A-Za-z0-9.]+_\d+"', "<g", text)  # groups that nothing refers to
    for pattern in (r'(\bid=")', r'(href="#)', r"(url\(#)"):
        text = re.sub(pattern, rf"\g<1>{name}-", text)
    text = re.sub(r"<[^>]+>", _shorter, text)
    text = re.sub(r"\n\s+", "\n", text)
    label = f'role="img" aria-label="{escape(title, quote=True)}"'
    return text.replace("<svg ", f"<svg {label} ", 1).strip()


def _shorter(tag: re.Match[str]) -> str:
    """Places to a hundredth of a point, less than a pixel; what is written in the figure stays as it is."""
    return re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0])


def ranking_chart(comparison: Comparison, looks: dict[int, Look], name: str) -> Drawing | None:
    """One line per series, best on top: mean, interval, and each seed as a thin tick."""
    column = comparison.leading_column()
    rows = [row for row in comparison.rows if comparison.leading_entry(row).estimate]
    if column is None or not rows:
        return None
    assert comparison.leading is not None
    digits = comparison.digits[comparison.leading]
    with canvas(7.4, 0.34 * len(rows) + 0.75) as (figure, axes):
        for place, row in enumerate(reversed(rows)):
            _ranking_line(axes, place, row, comparison.leading_entry(row), looks[row.series.index], digits)
        axes.set_yticks([])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"{column.name} ({column.unit}, {column.better} is better)")
        title = f"{column.name} on {comparison.title}"
        svg = svg_of(figure, name, title)
    return Drawing(name=name, title=title, caption="Mean and 95 % interval; thin ticks are single seeds.", svg=svg)


def _ranking_line(axes: Axes, place: int, row: Row, entry: Entry, look: Look, digits: Digits) -> None:
    gid = f"series-{row.series.index}"
    assert entry.estimate is not None
    mean = entry.estimate.mean
    if entry.estimate.low is not None and entry.estimate.high is not None:
        ends = [entry.estimate.low, entry.estimate.high]
        axes.plot(ends, [place, place], color=look.colour, linewidth=2.2, gid=gid, solid_capstyle="butt")
    seeds = list((entry.by_seed or {}).values())
    axes.plot(seeds, [place] * len(seeds), "|", color=look.colour, markersize=9, markeredgewidth=0.9, gid=gid)
    fill = look.colour if look.fill != "none" else PAPER
    axes.plot([mean], [place], look.marker, color=look.colour, markerfacecolor=fill, markeredgewidth=1.4, gid=gid)
    beside = axes.get_yaxis_transform()
    weight = "bold" if entry.mark == "best" else "normal"
    style: dict[str, Any] = {"gid": gid, "va": "center", "fontweight": weight}
    axes.text(-0.015, place, row.series.label, transform=beside, ha="right", **style)
    says = " ".join(filter(None, (number(mean, digits), interval(entry.estimate, digits), entry.mark)))
    axes.text(1.015, place, says, transform=beside, ha="left", **style)


def sweep_chart(sweep: Sweep, column: Column, entries: Mapping[int, Entry], where: str, name: str) -> Drawing | None:
    """One score along a setting: mean and interval of each series, joined where they differ in nothing else."""
    lines = [(line.label, [(x, entries[i].estimate) for x, i in line.points if i in entries]) for line in sweep.lines]
    lines = [(label, known) for label, points in lines if len(known := [p for p in points if p[1]]) >= LEAST]
    if not lines:
        return None
    values = sorted({x for _, points in lines for x, _ in points})
    with canvas(7.4, 3.2) as (figure, axes):
        for order, (label, points) in enumerate(sorted(lines, key=lambda line: line[0])):
            _sweep_line(axes, order, label, points)
        if values[0] > 0 and values[-1] >= 8 * values[0]:
            axes.set_xscale("log")
        if len(values) <= 8:
            axes.set_xticks(values, [f"{value:g}" for value in values])
            axes.set_xticks([], minor=True)
        axes.set_xlabel(sweep.setting)
        axes.set_ylabel(f"{column.name}\n({', '.join(filter(None, (column.unit, f'{column.better} is better')))})")
        if any(label for label, _ in lines):
            figure.legend(loc="outside right upper", frameon=False, fontsize=8, handlelength=2.6)
        title = f"{column.name} on {where} by {sweep.setting}"
        svg = svg_of(figure, name, title)
    caption = f"What a line joins differs in {sweep.setting} alone. Mean, and 95 % interval where there are seeds."
    return Drawing(name=name, title=title, caption=caption, svg=svg)


def _sweep_line(axes: Axes, order: int, label: str, points: Sequence[tuple[float, Any]]) -> None:
    colour = COLOURS[order % len(COLOURS)]
    known = [(x, one.low, one.high) for x, one in points if one.low is not None and one.high is not None]
    if known:
        axes.vlines(*zip(*known, strict=True), color=colour, linewidth=1)
    marker, dash = MARKERS[order % len(MARKERS)], DASHES[order // len(COLOURS) % len(DASHES)]
    axes.plot([x for x, _ in points], [estimate.mean for _, estimate in points], marker, linestyle=dash, color=colour,
              markersize=5, linewidth=1.2, label=label)  # fmt: skip


def monitor_chart(
    lines: Sequence[tuple[Series, Sequence[Sequence[CurvePoint]]]],
    counted: str,
    where: str,
    looks: dict[int, Look],
    name: str,
) -> Drawing:
    """What the online monitor saw against what was seen ("images"): each series a line, the mean of its seeds' points.

    The first marker of a line is the untrained method.
    """
    with canvas(7.4, 3.4) as (figure, axes):
        for one, seeds in lines:
            look = looks[one.index]
            style: dict[str, Any] = {"color": look.colour, "markersize": 4, "linewidth": 1.2, "linestyle": "-"}
            style["markerfacecolor"] = look.fill if look.fill != "none" else PAPER
            xs, ys = zip(*_mean_points(seeds), strict=True)
            axes.plot(xs, ys, look.marker, label=one.label, gid=f"series-{one.index}", **style)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlabel(f"{counted} seen")
        axes.set_ylabel("kNN accuracy on validation\n(fraction)")
        figure.legend(loc="outside right upper", frameon=False, fontsize=8, handlelength=2.6)
        title = f"kNN accuracy along training on {where}"
        svg = svg_of(figure, name, title)
    caption = "Mean over seeds; the first point of a line is the untrained method."
    return Drawing(name=name, title=title, caption=caption, svg=svg)


def _mean_points(seeds: Sequence[Sequence[CurvePoint]]) -> Iterator[tuple[float, float]]:
    """The n-th points of all seeds that have one, as their mean (examples, value)."""
    for n in range(max(map(len, seeds))):
        points = [points[n] for points in seeds if n < len(points)]
        values = [value for point in points for value in point.scalars.values()]
        yield sum(point.examples for point in points) / len(points), sum(values) / len(values)


def feature_map(points: dict[str, Any], name: str, **about: Any) -> Drawing:
    """A scatter of {"x", "y", "label", "classes"}: one marker and colour per class, each an unseen line with markers at
    its points, since a page may have hundreds of maps.
    """
    step = -(-len(points["x"]) // MAP_POINTS) or 1
    xs, ys = points["x"][::step], points["y"][::step]
    labels = points["label"][::step] or [0] * len(xs)
    across, down = _scaled(xs), _scaled(ys)
    places: dict[int, list[str]] = {}
    for x, y, label in zip(across, down, labels, strict=True):
        if isfinite(x) and isfinite(y):
            places.setdefault(int(label), []).append(f"{x:.1f},{300 - y:.1f}")
    shapes, groups = [], []
    for label in sorted(places):
        colour, path = class_look(label)
        mark = f"{name}-{label}"
        shapes.append(
            f'<marker id="{mark}" viewBox="-7 -7 14 14" markerWidth="8.68" markerHeight="8.68" '
            f'markerUnits="userSpaceOnUse"><path d="{path}" fill="{colour}" fill-opacity=".72"/></marker>'
        )
        ends = ("start", "mid", "end")[: 1 if len(places[label]) == 1 else 3]  # one place begins and ends a line
        marks = " ".join(f'marker-{end}="url(#{mark})"' for end in ends)
        groups.append(f'<polyline fill="none" {marks} points="{" ".join(places[label])}"/>')
    title = escape(f"map of the features of {about['title']}", quote=True)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 316 316" role="img" aria-label="{title}">'
        f"<defs>{''.join(shapes)}</defs>{''.join(groups)}</svg>"
    )
    return Drawing(name=name, svg=svg, **about)


def _scaled(values: Sequence[float]) -> list[float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return [300 * (value - low) / ((high - low) or 1.0) for value in values]


def class_legend(classes: Sequence[str]) -> list[tuple[str, str]]:
    """(marker as SVG, name) for each class of a map; empty where there are too many to tell apart."""
    if len(classes) > LEGEND_CLASSES:
        return []
    legend = []
    for label, name in enumerate(classes):
        colour, path = class_look(label)
        mark = f'<svg class="key" viewBox="-7 -7 14 14" width="12" height="12"><path d="{path}" fill="{colour}"/></svg>'
        legend.append((mark, name))
    return legend
