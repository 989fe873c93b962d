"""Charts of scores against what training cost: seconds, which are the machine's, and FLOPs, which are the method's.

What is not trained is a dashed line across. Where a run has several budgets of one method, a line joins them: at equal
compute, what is above is better. Names stand in the right margin, pushed apart, with a thin line to their point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from harness.report.costs import Cost, Costs
from harness.report.entries import Entry
from harness.report.figures import Drawing, sheet, svg_of
from harness.report.numbers import duration, number
from harness.report.palette import PAPER, Look
from harness.report.series import Series
from harness.report.summary import Comparison, Row

FEWEST = 3  # methods whose cost is known: fewer tell nothing by their costs
SCORES = 3  # that are drawn: the probe, nearest neighbours and the next that ranks
LABEL = 0.195  # inches from one name in the margin to the next
WIDE = 3.0  # times the smallest cost: from here on the axis is logarithmic


@dataclass(frozen=True, kw_only=True)
class Scale:
    """An axis of costs."""

    title: str
    cost: Callable[[Cost], float | None]
    written: Callable[[float], str]
    nice: Sequence[
        float
    ] = ()  # what its ticks may be multiples of, or on a logarithmic axis are; none: of powers of ten


NICE_SECONDS = (0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 18000, 36000, 86400, 432000)
TICKS = 6  # at most

SECONDS = Scale(title="training time per cell", cost=lambda cost: cost.seconds, written=duration, nice=NICE_SECONDS)
FLOPS = Scale(title="FLOPs of training per cell", cost=lambda cost: cost.flops, written=lambda x: number(x, "FLOPs"))


@dataclass(frozen=True, kw_only=True)
class Point:
    """A series in one panel."""

    series: Series
    look: Look
    entry: Entry  # it has an estimate
    cost: float  # 0: nothing was trained, or in steps that were not counted

    @property
    def mean(self) -> float:
        assert self.entry.estimate is not None
        return self.entry.estimate.mean

    @property
    def gid(self) -> str:
        return f"series-{self.series.index}"


def worth_drawing(comparison: Comparison, costs: Costs) -> list[int]:
    """The first columns that rank, and in which enough methods have a score and FLOPs: the leading ones come first."""

    def known(row: Row, column: int) -> bool:
        cost = costs.of(row.series)
        return bool(cost and cost.flops and row.entries[column].estimate and not row.series.is_reference)

    ranked = [i for i, column in enumerate(comparison.columns) if column.ranked]
    return [i for i in ranked if sum(known(row, i) for row in comparison.rows) >= FEWEST][:SCORES]


def cost_chart(comparison: Comparison, costs: Costs, looks: dict[int, Look], name: str) -> Drawing | None:
    """The leading score against seconds of training; None where nothing that has the score was trained."""
    if comparison.leading is None:
        return None
    return _chart(comparison, comparison.leading, (SECONDS,), costs, looks, name)


def compute_chart(
    comparison: Comparison, index: int, costs: Costs, looks: dict[int, Look], name: str
) -> Drawing | None:
    """The score of that column against seconds, and beside it against FLOPs."""
    return _chart(comparison, index, (SECONDS, FLOPS), costs, looks, name)


def _chart(
    comparison: Comparison, index: int, scales: Sequence[Scale], costs: Costs, looks: dict[int, Look], name: str
) -> Drawing | None:
    column = comparison.columns[index]
    counted = FLOPS in scales
    panels = [(s, list(_points(comparison.rows, index, s, costs, looks, counted=counted))) for s in scales]
    panels = [(scale, points) for scale, points in panels if any(point.cost for point in points)]
    if not panels:
        return None
    labels = len(panels[0][1])
    with sheet(7.4 if len(panels) == 1 else 8.4, max(3.6, LABEL * labels + 0.7)) as figure:
        every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (scale, points) in zip(every, panels, strict=True):
            _panel(axes, scale, points)
        every[0].set_ylim(every[0].get_ylim())  # from here on, labels must not move it
        _edge_labels(every[-1], panels[-1][1])
        better = f", {column.better} is better" if column.better != "none" else ""
        every[0].set_ylabel(f"{column.name} ({column.unit}{better})")
        against = " and ".join(("training time", "FLOPs")[: len(panels)])
        title = f"{column.name} on {comparison.title} against {against}"
        svg = svg_of(figure, name, title)
    joined = " A line joins the budgets of one method." if any(map(len, _budgets(panels[0][1]))) else ""
    dashed = "no training steps whose FLOPs were counted" if counted else "not trained, at no cost"
    caption = f"Mean and 95 % interval. Dashed: {dashed}.{joined}"
    return Drawing(name=name, title=title, caption=caption, svg=svg)


def _points(
    rows: Sequence[Row], index: int, scale: Scale, costs: Costs, looks: dict[int, Look], *, counted: bool
) -> Iterator[Point]:
    """Those of a panel; with `counted`, only what has FLOPs has a place along it."""
    for row in rows:
        if row.entries[index].estimate:
            cost = costs.of(row.series)
            value = scale.cost(cost) if cost and (cost.flops or not counted) else 0.0
            look, entry = looks[row.series.index], row.entries[index]
            yield Point(series=row.series, look=look, entry=entry, cost=value or 0.0)


def _panel(axes: Axes, scale: Scale, points: Sequence[Point]) -> None:
    trained = [point.cost for point in points if point.cost]
    low, high = min(trained), max(trained)
    if high >= WIDE * low:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,)))
        axes.set_xlim(low / 1.6, high * 1.6)
    else:
        axes.set_xlim(0, high * 1.15)
        axes.locator_params(axis="x", nbins=5)
    if scale.nice:
        axes.set_xticks(ticks(scale.nice, *axes.get_xlim(), log=axes.get_xscale() == "log"))
    for line in _budgets(points):
        axes.plot([one.cost for one in line], [one.mean for one in line], color=line[0].look.colour, linewidth=0.8)
    for point in points:
        _point(axes, point)
    axes.xaxis.set_major_formatter(lambda value, _: scale.written(value))
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.set_xlabel(scale.title + (" (log scale)" if axes.get_xscale() == "log" else ""))


def ticks(nice: Sequence[float], low: float, high: float, *, log: bool) -> list[float]:
    """At most TICKS places that people would choose: nice ones themselves, or the multiples of one.

    >>> ticks(NICE_SECONDS, 40, 900, log=True)
    [60, 120, 300, 600]
    >>> ticks(NICE_SECONDS, 0, 290, log=False)
    [0, 60, 120, 180, 240]
    """
    if log:
        inside = [value for value in nice if low <= value <= high]
        return inside[:: -(-len(inside) // TICKS)] if inside else [low, high]
    step = next((value for value in nice if high / value < TICKS), high)
    return [n * step for n in range(int(high / step) + 1)]


def _budgets(points: Sequence[Point]) -> list[list[Point]]:
    """Points of one method that differ in their budget alone, by cost."""
    found: dict[tuple[str, ...], list[Point]] = {}
    for point in points:
        one = point.series
        if point.cost:
            key = (one.method, one.backbone, one.device, one.precision, one.train, one.run)
            found.setdefault(key, []).append(point)
    return [sorted(line, key=lambda point: point.cost) for line in found.values() if len(line) > 1]


def _point(axes: Axes, point: Point) -> None:
    look, estimate = point.look, point.entry.estimate
    assert estimate is not None
    if not point.cost:
        axes.axhline(point.mean, color=look.colour, linestyle="--", linewidth=1, gid=point.gid)
        return
    ends = (estimate.low, point.mean, estimate.high)
    heights = [height for height in ends if height is not None]  # an interval has two ends, or none
    fill = look.colour if look.fill != "none" else PAPER
    axes.plot([point.cost] * len(heights), heights, marker=look.marker, markevery=[len(heights) // 2], linewidth=1.2,
              color=look.colour, markerfacecolor=fill, markeredgewidth=1.4, gid=point.gid)  # fmt: skip


def _edge_labels(axes: Axes, points: Sequence[Point]) -> None:
    """Names in the right margin at the height of their point, pushed apart, with a thin line to the point."""
    placed = axes.transScale + axes.transLimits  # from data to fractions of the axes
    right = axes.get_xlim()[1]
    ordered = sorted(points, key=lambda point: point.mean)
    at = [placed.transform((point.cost or right, point.mean)) for point in ordered]
    gap = min(0.065, 1 / max(1, len(points) - 1))
    for point, (across, height), label in zip(ordered, at, spread([y for _, y in at], gap=gap), strict=True):
        axes.plot([across, 1, 1.025], [height, height, label], color=point.look.colour, linewidth=0.5, clip_on=False,
                  transform=axes.transAxes, gid=point.gid)  # fmt: skip
        note = " (untrained)" if point.series.is_baseline or point.series.is_untrained else ""
        axes.text(1.03, label, point.series.label + note, transform=axes.transAxes, va="center", gid=point.gid)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Ascending heights in [0,1], moved as little as a simple sweep needs until neighbours are `gap` apart.

    >>> spread([0.5, 0.5, 0.9], gap=0.1)
    [0.45, 0.55, 0.9]
    >>> spread([0.96, 0.99], gap=0.1)
    [0.9, 1.0]
    """
    groups: list[list[float]] = []  # neighbours that touch share a block around the mean of their own heights
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _bottom(groups[-1], gap) - _top(groups[-2], gap) < gap - 1e-12:
            groups[-2:] = [groups[-2] + groups[-1]]
    moved = [_bottom(group, gap) + i * gap for group in groups for i in range(len(group))]
    ceilings = [1 - (len(moved) - 1 - i) * gap for i in range(len(moved))]
    return [round(min(height, ceiling), 6) for height, ceiling in zip(moved, ceilings, strict=True)]


def _bottom(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) - gap * (len(group) - 1) / 2


def _top(group: Sequence[float], gap: float) -> float:
    return _bottom(group, gap) + gap * (len(group) - 1)
