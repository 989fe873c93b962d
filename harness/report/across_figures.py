"""Figures of a comparison across datasets: critical-difference diagram, performance profiles, intervals of aggregates.

A method is a series with its look, as in all figures; `series` are in the order of the methods of the scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from harness.metrics.critical_difference import Diagram
from harness.metrics.performance_profiles import Profile
from harness.metrics.statistics import Estimate
from harness.report.digits import Digits, of_estimates
from harness.report.figures import Drawing, canvas, sheet, svg_of
from harness.report.numbers import interval, number, probability
from harness.report.palette import DASHES, INK, MUTED, PAPER, Look
from harness.report.series import Series

LINE = 0.2  # inches from one name to the next
BAR = 0.11  # inches from one bar to the next
WIDE = 7.4
SPAN = 3.7  # inches from rank 1 to the last in a diagram; names stand at both sides
LETTER = 0.078  # inches of a letter of a name, on average
BANDS = 6  # profiles with a band; more of them hide each other


def critical_difference_chart(
    diagram: Diagram, series: Sequence[Series], looks: Mapping[int, Look], name: str
) -> Drawing:
    """Average ranks along an axis, best at the left; a bar joins methods that are not told apart, with a dot for each.

    A method that a bar passes without a dot is not of its group. `series`: as `diagram.methods`, best rank first.
    """
    count, bars = len(diagram.ranks), _levels(diagram)
    left = (count + 1) // 2  # names at the left; the others at the right
    top = 0.5 if diagram.critical_difference is None else 0.78
    depth = BAR * (max(bars, default=-1) + 1) + 0.16  # of the bars below the axis
    height = top + depth + LINE * left + 0.1
    margins = [_room(series[:left]), _room(series[left:])]
    width = margins[0] + SPAN + margins[1]
    with sheet(width, height) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(top - height, top)  # in inches, with the axis of ranks at 0

        def across(rank: float) -> float:
            return margins[0] + (rank - 1) / (count - 1) * SPAN

        _rank_axis(axes, count, across)
        for place, (one, rank) in enumerate(zip(series, diagram.ranks, strict=True)):
            row = place if place < left else count - 1 - place
            edge = margins[0] - 0.12 if place < left else width - margins[1] + 0.12
            at = (across(rank), -depth - LINE * (row + 0.5))
            _rank_name(axes, one, looks[one.index], rank, at, edge)
        for group, level in zip(diagram.groups, bars, strict=True):
            dots = [across(diagram.ranks[i]) for i in group]
            axes.plot([dots[0], dots[-1]], [-BAR * (level + 1)] * 2, color=INK, linewidth=2.4, solid_capstyle="round")
            axes.plot(dots, [-BAR * (level + 1)] * len(dots), "o", color=INK, markersize=4.2)
        if diagram.critical_difference is not None:
            _ruler(axes, across, diagram.critical_difference, count)
        title = f"average ranks over {diagram.datasets} datasets"
        svg = svg_of(figure, name, title)
    return Drawing(name=name, title=title, caption=_diagram_caption(diagram), svg=svg)


def profiles_chart(
    profiles: Sequence[Profile],
    series: Sequence[Series],
    looks: Mapping[int, Look],
    score: str,
    name: str,
    *,
    better: str = "higher",
) -> Drawing:
    """Each method's share of runs above every tau, with its band where there are few methods. `score`: "accuracy"."""
    bands = len(profiles) <= BANDS
    side = "above" if better == "higher" else "below"
    with canvas(WIDE, max(3.2, LINE * len(profiles) + 0.75)) as (figure, axes):
        for order, (profile, one) in enumerate(zip(profiles, series, strict=True)):
            look, gid = looks[one.index], f"series-{one.index}"
            if bands and profile.low is not None and profile.high is not None:
                axes.fill_between(profile.taus, profile.low, profile.high, color=look.colour, alpha=0.15, linewidth=0,
                                  step="pre", gid=gid)  # fmt: skip
            every = max(1, len(profile.taus) // 10)
            first = order * every // max(1, len(profiles))  # markers of different lines do not meet
            axes.step(profile.taus, profile.share, where="pre", color=look.colour, linewidth=1.2, marker=look.marker,
                      markevery=(first, every), markersize=4.5, markerfacecolor=look.fill if look.fill != "none" else
                      PAPER, linestyle=DASHES[order // 6 % len(DASHES)], label=one.label, gid=gid)  # fmt: skip
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel(f"{score} τ")
        axes.set_ylabel(f"share of runs {side} τ (fraction)")
        figure.legend(loc="outside right upper", frameon=False, fontsize=8, handlelength=3, labelspacing=0.35)
        title = f"performance profiles: share of runs with {score} {side} τ"
        svg = svg_of(figure, name, title)
    caption = (
        f"A line above another everywhere is the better method at every quantile of {score}; a dataset counts once."
    )
    if not bands:
        caption += " Too many methods to draw bands."
    elif any(profile.low is not None for profile in profiles):
        caption += " Bands: 95 % for each τ on its own, over new seeds."
    caption = " ".join([caption, *_sentences(profile.note for profile in profiles)])
    return Drawing(name=name, title=title, caption=caption, svg=svg)


def intervals_chart(
    panels: Mapping[str, Sequence[Estimate]],
    series: Sequence[Series],
    looks: Mapping[int, Look],
    name: str,
    *,
    unit: str = "fraction",
    datasets: int,
) -> Drawing:
    """Aggregates over datasets side by side: one line per method in the order given, first on top.

    `panels`: title ("interquartile mean") -> estimates in the order of `series`. One panel writes its numbers beside.
    """
    with sheet(WIDE if len(panels) < 3 else 9.4, 0.26 * len(series) + 0.75) as figure:
        every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, estimates) in zip(every, panels.items(), strict=True):
            digits = of_estimates(estimates, unit)
            for place, (one, estimate) in enumerate(zip(series, estimates, strict=True)):
                _interval_line(axes, -place, one, estimate, looks[one.index], digits if len(panels) == 1 else None)
            axes.set_ylim(0.6 - len(series), 0.6)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
            axes.locator_params(axis="x", nbins=6 if len(panels) > 1 else 8)
            axes.set_xlabel(f"{title} ({unit})" if len(panels) == 1 else title)
        beside = every[0].get_yaxis_transform()
        for place, one in enumerate(series):
            style: dict[str, Any] = {"ha": "right", "va": "center", "gid": f"series-{one.index}"}
            every[0].text(-0.03, -place, one.label, transform=beside, **style)
        title = f"{', '.join(panels)} over {datasets} datasets"
        svg = svg_of(figure, name, title)
    return Drawing(name=name, title=title, caption=_intervals_caption(next(iter(panels.values()))), svg=svg)


def _intervals_caption(estimates: Sequence[Estimate]) -> str:
    """What the intervals speak of, and what they lack: the notes of the first panel, each once."""
    known = [estimate for estimate in estimates if estimate.low is not None]
    if not known:
        return "One seed each, or all seeds alike: no interval."
    said = "95 % interval by stratified bootstrap: over new seeds on these datasets, not over other datasets."
    return " ".join([said, *_sentences(estimate.note for estimate in known)])


def _sentences(notes: Iterable[str]) -> list[str]:
    """Each note once, as a sentence."""
    return [f"{note[0].upper()}{note[1:]}." for note in dict.fromkeys(notes) if note]


def _levels(diagram: Diagram) -> list[int]:
    """For each group, on which line its bar is drawn: the first where it meets no other bar."""
    ends: list[float] = []  # rank at which each line's last bar ends
    levels = []
    gap = 0.035 * (len(diagram.ranks) - 1)
    for group in diagram.groups:
        start, stop = diagram.ranks[group[0]], diagram.ranks[group[-1]]
        level = next((i for i, end in enumerate(ends) if end + gap < start), len(ends))
        ends[level : level + 1] = [stop]
        levels.append(level)
    return levels


def _rank_axis(axes: Axes, count: int, across: Any) -> None:
    axes.plot([across(1), across(count)], [0, 0], color=INK, linewidth=1)
    step = 1 if count <= 13 else 2 if count <= 26 else 5
    for rank in range(1, count + 1):
        labelled = (rank - 1) % step == 0
        axes.plot([across(rank)] * 2, [0, 0.08 if labelled else 0.045], color=INK, linewidth=0.8)
        if labelled:
            axes.text(across(rank), 0.12, str(rank), ha="center", va="bottom")
    axes.text(across(1) - 0.2, 0.12, "average rank (1 is best)", ha="right", va="bottom", color=MUTED, fontsize=8)


def _room(series: Sequence[Series]) -> float:
    """Inches that the longest of these names needs, with its rank; at least what the words at the axis need."""
    return max(1.6, LETTER * max((len(one.label) for one in series), default=0) + 0.75)


def _rank_name(axes: Axes, one: Series, look: Look, rank: float, at: tuple[float, float], edge: float) -> None:
    """From the axis down to the method's own line and out to its name, which is at the side of `edge`."""
    (x, y), gid, at_left = at, f"series-{one.index}", edge < at[0]
    axes.plot([x, x, edge], [0, y, y], color=look.colour, linewidth=0.8, gid=gid, solid_joinstyle="miter")
    fill = look.colour if look.fill != "none" else PAPER
    axes.plot([x], [0], look.marker, color=look.colour, markerfacecolor=fill, markersize=4.5, gid=gid, zorder=3)
    text = f"{one.label}  {rank:.2f}" if at_left else f"{rank:.2f}  {one.label}"
    side = "right" if at_left else "left"
    axes.text(edge + (-0.06 if at_left else 0.06), y, text, ha=side, va="center", gid=gid)


def _ruler(axes: Axes, across: Any, difference: float, count: int) -> None:
    """The critical difference as a length above the axis; where it is longer than the axis, the words alone."""
    said = f"critical difference {difference:.2f}"
    if difference > count - 1:
        axes.text(across(1), 0.52, f"{said}: more than the axis is long", ha="left", va="center")
        return
    start, stop = across(1), across(1 + difference)
    axes.plot([start, start, start, stop, stop, stop], [0.47, 0.57, 0.52, 0.52, 0.57, 0.47], color=INK, linewidth=1.2)
    axes.text(stop + 0.08, 0.52, said, ha="left", va="center")


def _diagram_caption(diagram: Diagram) -> str:
    told = (
        f"Wilcoxon's signed-rank test of each pair with Holm's correction at {diagram.alpha:.0%}"
        if diagram.critical_difference is None
        else f"Nemenyi's test at {diagram.alpha:.0%}"
    )
    joined = "A bar joins methods that are not told apart; its dots say which." if diagram.groups else (
        "All pairs are told apart."
    )  # fmt: skip
    overall = f"Friedman's test (Iman and Davenport): {probability(diagram.friedman.p)}."
    return " ".join(filter(None, (joined, f"{told}, over {diagram.datasets} datasets.", overall, _ended(diagram.note))))


def _ended(sentence: str) -> str:
    return f"{sentence}." if sentence else ""


def _interval_line(axes: Axes, place: int, one: Series, estimate: Estimate, look: Look, digits: Digits | None) -> None:
    gid = f"series-{one.index}"
    if estimate.low is not None and estimate.high is not None:
        ends = [estimate.low, estimate.high]
        axes.plot(ends, [place, place], color=look.colour, linewidth=2.2, gid=gid, solid_capstyle="butt")
    fill = look.colour if look.fill != "none" else PAPER
    axes.plot([estimate.mean], [place], look.marker, color=look.colour, markerfacecolor=fill, markersize=4.5,
              markeredgewidth=1.2, gid=gid)  # fmt: skip
    if digits is not None:
        says = " ".join(filter(None, (number(estimate.mean, digits), interval(estimate, digits))))
        axes.text(1.015, place, says, transform=axes.get_yaxis_transform(), ha="left", va="center", gid=gid)
