"""Curves that evaluations made: one panel for each series, all of a name on the same axes; the mean over seeds.

Each curve is JSON as `harness.records.Picture` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes

from harness.metrics.statistics import mean_interval, within
from harness.report.figures import Drawing, canvas, svg_of
from harness.report.palette import COLOURS, DASHES, INK, MARKERS, MUTED

Limits = tuple[float, float]
Content = Mapping[str, Any]


def alike(seeds: Mapping[int, Content]) -> tuple[int, ...]:
    """The seeds whose curves have the x and the names of the first one's: those that a mean can be taken of."""
    first = next(iter(seeds.values()))
    return tuple(
        seed
        for seed, content in seeds.items()
        if content["x"] == first["x"] and list(content["series"]) == list(first["series"])
    )


def merged(seeds: Sequence[Content]) -> dict[str, Any]:
    """The mean over seeds of curves that are alike, and its 95 % interval; one seed keeps the intervals that it has."""
    first = dict(seeds[0])
    if len(seeds) == 1:
        return first
    series: dict[str, list[float]] = {}
    intervals: dict[str, list[list[float]]] = {}
    for name in first["series"]:
        points = [mean_interval(values) for values in zip(*(each["series"][name] for each in seeds), strict=True)]
        points = [within(point, *first["bounds"]) for point in points] if first["bounds"] else points
        series[name] = [point.mean for point in points]
        intervals[name] = [  # where all seeds gave the same number, it is that number
            [point.mean if point.low is None else point.low, point.mean if point.high is None else point.high]
            for point in points
        ]
    levels = {
        name: sum(each["levels"][name] for each in seeds) / len(seeds)
        for name in first["levels"]
        if all(name in each["levels"] for each in seeds)
    }
    return {**first, "series": series, "intervals": intervals, "levels": levels}


def limits_of(contents: Sequence[Content]) -> Limits:
    """The least and the largest value of all curves, so that panels beside each other can be compared."""
    values = [
        value
        for content in contents
        for value in (
            *(value for values in content["series"].values() for value in values),
            *(end for ends in content["intervals"].values() for pair in ends for end in pair),
            *content["levels"].values(),
        )
    ]
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.05 * (high - low) or 0.05
    return low - margin, high + margin


def panel(content: Content, limits: Limits, name: str, **about: Any) -> Drawing:
    """The curves of one series, told apart by colour, marker and line; levels are lines across."""
    x = content["x"]
    with canvas(3.5, 2.6) as (figure, axes):
        for order, (label, values) in enumerate(content["series"].items()):
            style = {"color": COLOURS[order % len(COLOURS)], "linestyle": DASHES[order % len(DASHES)]}
            ends = content["intervals"].get(label, [])
            for place, (low, high) in zip(x, ends, strict=False):
                axes.plot(
                    [place, place], [low, high], color=style["color"], linewidth=max(1.0, 3.0 - order), alpha=0.55
                )
            axes.plot(x, values, MARKERS[order % len(MARKERS)], markersize=4.5, linewidth=1.3, label=label, **style)
        for order, (label, value) in enumerate(content["levels"].items()):
            dash = DASHES[(2 + order) % len(DASHES)]
            axes.axhline(value, color=INK if order == 0 else MUTED, linestyle=dash, linewidth=1, label=label)
        axes.set_ylim(*limits)
        _set_places(axes, x)
        axes.set_xlabel(content["x_name"])
        axes.set_ylabel(content["y_name"])
        axes.legend(frameon=False, fontsize=7.5, handlelength=2.6)
        svg = svg_of(figure, name, f"{content['y_name']} against {content['x_name']}: {about['title']}")
    return Drawing(name=name, svg=svg, **about)


def _set_places(axes: Axes, x: Sequence[float]) -> None:
    """A tick at each x where there are few; in the logarithm where they grow by factors."""
    if min(x) > 0 and max(x) >= 8 * min(x) and all(later > earlier for earlier, later in pairwise(x)):
        axes.set_xscale("log")
    if len(x) <= 10:
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.set_xticks([], minor=True)
