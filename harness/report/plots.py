"""Drawings of what evaluations keep as JSON (harness.judging.drawn): curves with intervals, and matrices of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes

from harness.report.curves import Limits
from harness.report.figures import Drawing, canvas, svg_of
from harness.report.palette import COLOURS, DASHES, INK, MARKERS, MUTED

ROOM = 0.05  # beyond a given range, as a share of it
TICKS = 8  # places that are written along the axis one by one, at most
MARKED = 20  # places that a line marks one by one, at most
WRITTEN = 14  # rows of a matrix whose numbers are written into it, at most
COLOUR_MAP = "cividis"  # even to the eye, in all common kinds of colour blindness
CELL, NAMES = 0.36, 1.5  # inches of a cell of a matrix, and of the names beside it


def curves_chart(content: Mapping[str, Any], limits: Limits | None, name: str, **about: Any) -> Drawing:
    """Lines over places, each with its interval if it has one, and horizontal levels; between limits, or its range."""
    with canvas(4.2, 3.1) as (figure, axes):
        for order, (label, values) in enumerate(content["lines"].items()):
            ends = [content[side].get(label, ()) for side in ("low", "high")]
            _line(axes, order, label, content["x"], values, ends)
        for label, values in content["levels"].items():
            _level(axes, label, content["x"], [_number(value) for value in values])
        if content["log_x"]:
            axes.set_xscale("log")
        if content["x_names"] or len(content["x"]) <= TICKS:
            axes.set_xticks(content["x"], content["x_names"] or [f"{place:g}" for place in content["x"]])
            axes.set_xticks([], minor=True)
        if content["y_range"]:
            low, high = content["y_range"]
            axes.set_ylim(low - ROOM * (high - low), high + ROOM * (high - low))
        elif limits:
            axes.set_ylim(*limits)
        axes.set_xlabel(content["x_label"])
        axes.set_ylabel(content["y_label"])
        if len(content["lines"]) > 1:
            figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8, handlelength=2.4)
        svg = svg_of(figure, name, about["title"])
    return Drawing(name=name, svg=svg, **about)


def _line(axes: Axes, order: int, label: str, x: Sequence[float], values: Sequence[Any], ends: Sequence[Any]) -> None:
    colour, dash = COLOURS[order % len(COLOURS)], DASHES[order // len(COLOURS) % len(DASHES)]
    low, high = ([_number(value) for value in side] for side in ends)
    for place, one, other in zip(x, low, high, strict=False):  # of a line without intervals there are none
        axes.plot([place, place], [one, other], color=colour, linewidth=1)
    marker = MARKERS[order % len(MARKERS)] if len(x) <= MARKED else ""
    ys = [_number(value) for value in values]
    axes.plot(x, ys, marker=marker, linestyle=dash, color=colour, markersize=4.5, linewidth=1.2, label=label)


def _level(axes: Axes, label: str, x: Sequence[float], values: Sequence[float]) -> None:
    """A quiet line, which goes on to both sides where it is level, named above it."""
    style: dict[str, Any] = {"color": MUTED, "linewidth": 0.9, "linestyle": (0, (2, 2))}
    level = bool(values) and len(set(values)) == 1
    if level:
        axes.axhline(values[0], **style)
    else:
        axes.plot(x, values, **style)
    style = {"xytext": (-2, 2), "textcoords": "offset points", "ha": "right", "fontsize": 7.5, "color": INK}
    known = [(place, value) for place, value in zip(x, values, strict=True) if not isnan(value)]
    if level:
        axes.annotate(label, (1, values[0]), xycoords=axes.get_yaxis_transform(), **style)
    elif known:
        axes.annotate(label, known[len(known) // 3], **style)


def _number(value: float | None) -> float:
    return nan if value is None else value


def matrix_chart(content: dict[str, Any], name: str, **about: Any) -> Drawing:
    """A heat map with the names of its rows and columns; the numbers are written into it where there is room."""
    rows, columns = content["rows"], content["columns"]
    values = [[_number(value) for value in row] for row in content["values"]]
    low, high = content["low"], content["high"]
    colours = colormaps[COLOUR_MAP].with_extremes(bad="none")
    with canvas(NAMES + CELL * len(columns) + 0.6, NAMES + CELL * len(rows)) as (figure, axes):
        mesh = axes.pcolormesh(values, cmap=colours, vmin=low, vmax=high, edgecolors="face", linewidth=0.1)
        axes.set_xticks(
            [i + 0.5 for i in range(len(columns))], columns, rotation=60, ha="right", rotation_mode="anchor"
        )
        axes.set_yticks([i + 0.5 for i in range(len(rows))], rows)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.grid(False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if max(len(rows), len(columns)) <= WRITTEN:
            for i, row in enumerate(values):
                for j, value in enumerate(row):
                    if not isnan(value):
                        ink = "#000000" if value - low > 0.5 * (high - low) else "#ffffff"
                        axes.text(j + 0.5, i + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=7, color=ink)
        figure.colorbar(mesh, ax=axes, fraction=0.04, pad=0.02).outline.set_visible(False)  # type: ignore[operator]
        svg = svg_of(figure, name, about["title"])
    return Drawing(name=name, svg=svg, **about)
