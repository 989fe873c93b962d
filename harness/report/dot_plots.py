"""The comparative figure: a score of all methods as dots with intervals, in a report, and by itself for a notebook."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.cells import cell_len

from harness.errors import RequestError, did_you_mean
from harness.report.digits import Digits
from harness.report.entries import Entry
from harness.report.figures import STYLE, Drawing, canvas, styled, svg_of
from harness.report.frame import TRAINING
from harness.report.numbers import interval, number
from harness.report.palette import GRID, INK, MUTED, PAPER, PRINTED, Look, looks_in_a_report, printed
from harness.report.series import with_series
from harness.report.summary import Comparison, Row, comparisons, led_by

WIDTH, LINE, MARGIN, TITLE = 7.4, 0.34, 0.75, 0.25  # inches: of a figure, a row, the axis below, the title above
NAME, LETTER = 30, 0.12  # letters of a name that the figure has room for, and inches of each wide one beyond them
_PRINTED_STYLE = {key: PRINTED.get(value, value) if isinstance(value, str) else value for key, value in STYLE.items()}


class Printed(Figure):
    """A figure of no window and no list of open ones, which a notebook shows by itself."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=120)
        return buffer.getvalue()


def ranking_chart(comparison: Comparison, looks: Mapping[int, Look], name: str) -> Drawing | None:
    """One line per series, best on top: mean, interval, and each seed as a thin tick."""
    column, rows = comparison.leading_column(), _measured(comparison)
    if column is None or not rows:
        return None
    with canvas(_width(rows), LINE * len(rows) + MARGIN) as (figure, axes):
        _ranking(axes, comparison, looks)
        title = f"{column.name} on {comparison.title}"
        svg = svg_of(figure, name, title)
    return Drawing(name=name, title=title, caption="Mean and 95 % interval; thin ticks are single seeds.", svg=svg)


def ranking_figure(frame: pd.DataFrame, runs: Mapping[str, Path], evaluation: str = "", score: str = "") -> Figure:
    """The same of the leading score, or of any other, below each other for each source and target.

    frame: tidy. runs: the folders of its runs by their names. evaluation, score: by their names as in the frame; of an
    evaluation alone, its first score in the report. Raises RequestError where nothing is called so or was measured.
    """
    numbered, series = with_series(frame)
    asked = _asked(numbered, evaluation, score)
    compared = comparisons(_with_primary(numbered, asked), series, runs)
    if evaluation or score:
        compared = _led_by_one(compared, asked)
    shown = [one for one in compared if _measured(one)]
    if not shown:
        raise RequestError(f"no score leads here: name one, such as '{asked[0][1]}' of '{asked[0][0]}'")
    looks = {index: printed(look) for index, look in looks_in_a_report(series).items()}
    heights = [LINE * len(_measured(one)) + MARGIN + TITLE for one in shown]
    with styled(_PRINTED_STYLE):
        width = max(_width(_measured(one)) for one in shown)
        figure = Printed(figsize=(width, sum(heights)), layout="constrained", facecolor=PRINTED[PAPER])
        below = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, one in zip(below, shown, strict=True):
            _ranking(axes, one, looks)
            axes.set_title(one.title, loc="left", fontsize=9)
            # ticks are made when they are drawn, by whoever draws the figure
            axes.tick_params(labelsize=9, color=PRINTED[MUTED], labelcolor=PRINTED[INK], grid_color=PRINTED[GRID])
            axes.tick_params(grid_linewidth=0.6)
    return figure


def _asked(numbered: pd.DataFrame, evaluation: str, score: str) -> list[tuple[str, str]]:
    """The evaluations and scores that are called so and were measured: the primary ones, or the first if none is."""
    rows = numbered[numbered["value"].notna() & (numbered["evaluation"] != TRAINING)]
    if rows.empty:
        raise RequestError("nothing was measured, so there is no figure: see `.failures`")
    for column, name in (("evaluation", evaluation), ("score", score)):
        if name and name not in set(rows[column]):
            where = f" of {evaluation}" if column == "score" and evaluation else ""
            raise RequestError(f"no {column} '{name}'{where} was measured: {did_you_mean(name, rows[column])}")
        rows = rows[rows[column] == name] if name else rows
    found = rows[rows["primary"]] if rows["primary"].any() else rows.head(1)
    return list(found[["evaluation", "score"]].drop_duplicates().itertuples(index=False, name=None))


def _with_primary(numbered: pd.DataFrame, asked: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """The frame with these among the primary scores, which are those that a report compares."""
    pairs = zip(numbered["evaluation"], numbered["score"], strict=True)
    return numbered.assign(primary=numbered["primary"] | pd.Series([pair in asked for pair in pairs], numbered.index))


def _led_by_one(compared: Sequence[Comparison], asked: Sequence[tuple[str, str]]) -> list[Comparison]:
    """Those that have the first of these scores, in the order of a report's columns, ranked by it."""
    places = [{(c.evaluation, c.score): i for i, c in enumerate(one.columns)} for one in compared]
    first = next(pair for there in places for pair in there if pair in asked)
    return [led_by(one, there[first]) for one, there in zip(compared, places, strict=True) if first in there]


def _measured(comparison: Comparison) -> list[Row]:
    return [row for row in comparison.rows if comparison.leading_entry(row).estimate]


def _width(rows: Sequence[Row]) -> float:
    """Inches: more where names would leave no room for the dots."""
    return WIDTH + LETTER * max(0, max(cell_len(row.series.label) for row in rows) - NAME)


def _ranking(axes: Axes, comparison: Comparison, looks: Mapping[int, Look]) -> None:
    """The lines of all rows, and what they say."""
    column, rows = comparison.leading_column(), _measured(comparison)
    assert column is not None
    assert comparison.leading is not None
    digits = comparison.digits[comparison.leading]
    for place, row in enumerate(reversed(rows)):
        _ranking_line(axes, place, row, comparison.leading_entry(row), looks[row.series.index], digits)
    axes.set_yticks([])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.spines["left"].set_visible(False)
    better = f"{column.better} is better" if column.better != "none" else ""
    about = ", ".join(filter(None, (column.unit, better)))
    axes.set_xlabel(f"{column.name} ({about})" if about else column.name)


def _ranking_line(axes: Axes, place: int, row: Row, entry: Entry, look: Look, digits: Digits) -> None:
    gid = f"series-{row.series.index}"
    assert entry.estimate is not None
    mean = entry.estimate.mean
    if entry.estimate.low is not None and entry.estimate.high is not None:
        ends = [entry.estimate.low, entry.estimate.high]
        axes.plot(ends, [place, place], color=look.colour, linewidth=2.2, gid=gid, solid_capstyle="butt")
    seeds = list((entry.by_seed or {}).values())
    axes.plot(seeds, [place] * len(seeds), "|", color=look.colour, markersize=9, markeredgewidth=0.9, gid=gid)
    fill = PAPER if look.fill == "none" else look.fill
    axes.plot([mean], [place], look.marker, color=look.colour, markerfacecolor=fill, markeredgewidth=1.4, gid=gid)
    beside = axes.get_yaxis_transform()
    weight = "bold" if entry.mark == "best" else "normal"
    style: dict[str, Any] = {"gid": gid, "va": "center", "fontweight": weight}
    axes.text(-0.015, place, row.series.label, transform=beside, ha="right", **style)
    says = " ".join(filter(None, (number(mean, digits), interval(entry.estimate, digits), entry.mark)))
    axes.text(1.015, place, says, transform=beside, ha="left", **style)
