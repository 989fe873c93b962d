"""Training curves as small panels, written as SVG: a large run has hundreds, and matplotlib takes long over each.

They look as its figures do: the same sizes, colours, ticks (its own locator finds them) and line styles. Places are
points, from the upper left corner of the panel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import floor, isfinite, log10
from typing import Any

from matplotlib.ticker import EngFormatter, MaxNLocator

from harness.records import CurvePoint
from harness.report.figures import CURVE_POINTS, Drawing
from harness.report.palette import DASHES, GRID, INK, MUTED, Look

WIDTH, HEIGHT = 252.0, 158.4  # 3.5 x 2.2 inches
TOP, RIGHT, BOTTOM = 3.0, 249.0, 126.4  # of the axes; the left side leaves room for what is written there
FONT, SMALL = 9.0, 7.5  # sizes of text, and of that of the legend
DIGIT, OTHER = 0.64, 0.32  # widths of a digit and of a point, in sizes
TICK = 3.5
LINE = 1.2  # width of a line, and the unit of its dashes
DASHED = {"-": "", "--": "4.4 1.9", ":": "1.2 2", "-.": "7.7 1.9 1.2 1.9"}
MARGIN = 0.05  # beyond the values, as a share of their range
NAMED = 6  # seeds, at most, that a legend tells apart
LEGEND_LINE, LEGEND_ROW = 18.0, 10.5

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Scale:
    """Values along one side of the axes: `at(low)` is `start`, `at(high)` is `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def curve_panel(
    curves: Sequence[tuple[int, Sequence[CurvePoint]]], counted: str, look: Look, name: str, **about: Any
) -> Drawing:
    """The loss of one series against what was seen ("images"); one line per seed, in its own line style."""
    lines = [(f"seed {seed}", _losses(curve)) for seed, curve in curves]
    colour = look.colour if look.fill != "none" else INK
    label = escape(f"training loss of {about['title']}", quote=True)
    svg = (
        f'<svg role="img" aria-label="{label}" width="{WIDTH:g}pt" height="{HEIGHT:g}pt" '
        f'viewBox="0 0 {WIDTH:g} {HEIGHT:g}" xmlns="http://www.w3.org/2000/svg" version="1.1">\n'
        f"{_panel(lines, colour, f'{counted} seen', 'loss')}\n</svg>"
    )
    return Drawing(name=name, svg=svg, **about)


def _losses(curve: Sequence[CurvePoint]) -> Points:
    thinned = curve[:: -(-len(curve) // CURVE_POINTS) or 1]
    found = [(point.examples, point.scalars["loss"]) for point in thinned if "loss" in point.scalars]
    return [(seen, loss) for seen, loss in found if isfinite(loss)]


def _panel(lines: Sequence[tuple[str, Points]], colour: str, x_label: str, y_label: str) -> str:
    places = [point for _, points in lines for point in points] or [(0.0, 0.0)]
    low, high = _limits([y for _, y in places])
    y = Scale(low, high, BOTTOM, TOP)
    y_ticks = _ticks(y, 2)
    written = _decimals([tick for tick, _ in y_ticks])
    left = TOP + FONT + 5 + max((_width(text, FONT) for text in written), default=0.0) + 2 * TICK
    x = Scale(*_limits([seen for seen, _ in places]), left, RIGHT)
    x_ticks = _ticks(x, 3)
    engineered = EngFormatter(sep="")
    names = [(place, engineered(tick)) for tick, place in x_ticks]
    grid = [f"M{place:.1f} {BOTTOM}V{TOP}" for _, place in x_ticks]
    grid += [f"M{left:.1f} {place:.1f}H{RIGHT}" for _, place in y_ticks]
    marks = [f"M{place:.1f} {BOTTOM}v{TICK}" for _, place in x_ticks]
    marks += [f"M{left:.1f} {place:.1f}h-{TICK}" for _, place in y_ticks]
    drawn = [[(x.at(seen), y.at(value)) for seen, value in points] for _, points in lines]
    axes, middle = f"M{left:.1f} {TOP}V{BOTTOM}H{RIGHT}", (TOP + BOTTOM) / 2
    parts = [
        f'<path d="{"".join(grid)}" fill="none" stroke="{GRID}" stroke-width=".6"/>',
        f'<path d="{axes}{"".join(marks)}" fill="none" stroke="{MUTED}" stroke-width=".7"/>',
        f'<g fill="none" stroke="{colour}" stroke-width="{LINE}" stroke-linejoin="round">',
        *(_line(points, order) for order, points in enumerate(drawn)),
        *(_legend_lines(left, drawn, lines) if len(lines) <= NAMED else ()),
        "</g>",
        f'<g fill="{INK}" font-size="{FONT:g}" font-family="\'DejaVu Sans\', sans-serif">',
        *(_text(place, BOTTOM + 13.8, name) for place, name in names),
        *(_text(left - 2 * TICK, place + 3.4, name, "end") for (_, place), name in zip(y_ticks, written, strict=True)),
        _text((left + RIGHT) / 2, HEIGHT - 5.2, x_label),
        f'<text text-anchor="middle" transform="translate(9.8 {middle:.1f}) rotate(-90)">{escape(y_label)}</text>',
        *(_legend_names(left, drawn, lines) if len(lines) <= NAMED else ()),
        "</g>",
    ]
    return "\n".join(parts)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = MARGIN * (high - low)
    if margin <= 1e-13 * max(abs(low), abs(high)):  # a level line, or one that only rounding moves
        margin = MARGIN * abs(low) or MARGIN
    return low - margin, high + margin


def _ticks(scale: Scale, room: int) -> list[tuple[float, float]]:
    """Round values within the limits, and their places; room: of each, in sizes of the text."""
    most = min(9, max(1, floor(abs(scale.end - scale.start) / (room * FONT))))
    found = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(scale.low, scale.high)
    return [(float(tick), scale.at(float(tick))) for tick in found if scale.low <= tick <= scale.high]


def _decimals(ticks: Sequence[float]) -> list[str]:
    """Values of an even step as text, all with the decimals that the step needs.

    >>> _decimals([0.0, 0.25, 0.5]), _decimals([-1e9, 0.0]), _decimals([2.0, 4.0])
    (['0.00', '0.25', '0.50'], ['−1e+09', '0'], ['2', '4'])
    """
    step = min((b - a for a, b in pairwise(ticks)), default=0.0)
    largest = max(map(abs, ticks), default=0.0)
    if step <= 0 or not (1e-4 <= largest < 1e5):
        return [f"{tick:g}".replace("-", "−", 1) if tick < 0 else f"{tick:g}" for tick in ticks]
    decimals = max(0, -floor(log10(step) + 1e-9))
    decimals += abs(round(step, decimals) - step) > 1e-6 * step  # 0.25 needs one more than 0.2
    return [f"{tick + 0.0:.{decimals}f}".replace("-", "−") for tick in ticks]


def _width(text: str, size: float) -> float:
    return size * sum(OTHER if letter in ".,i" else DIGIT for letter in text)


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _dash(order: int) -> str:
    dash = DASHED[DASHES[order % len(DASHES)]]
    return f' stroke-dasharray="{dash}"' if dash else ""


def _line(points: Points, order: int) -> str:
    return f'<polyline{_dash(order)} points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _corner(left: float, drawn: Sequence[Points], lines: Sequence[tuple[str, Points]]) -> tuple[float, float]:
    """The upper left of the legend: in the corner where it hides fewest points, the upper right one first."""
    wide = LEGEND_LINE + 14 + max((_width(label, SMALL) for label, _ in lines), default=0.0)
    tall = LEGEND_ROW * len(lines) + 4
    corners = [(x, y) for y in (TOP + 2, BOTTOM - 2 - tall) for x in (RIGHT - 2 - wide, left + 2)]

    def hidden(corner: tuple[float, float]) -> int:
        points = [point for line in drawn for point in line]
        return sum(0 <= x - corner[0] <= wide and 0 <= y - corner[1] <= tall for x, y in points)

    return min(corners, key=hidden)


def _legend_lines(left: float, drawn: Sequence[Points], lines: Sequence[tuple[str, Points]]) -> list[str]:
    x, y = _corner(left, drawn, lines)
    rows = [y + LEGEND_ROW * (order + 0.7) for order in range(len(lines))]
    return [f'<path{_dash(order)} d="M{x + 4:.1f} {row:.1f}h{LEGEND_LINE:g}"/>' for order, row in enumerate(rows)]


def _legend_names(left: float, drawn: Sequence[Points], lines: Sequence[tuple[str, Points]]) -> list[str]:
    x, y = _corner(left, drawn, lines)
    names = [
        f'<text x="{x + 4 + LEGEND_LINE + 6:.1f}" y="{y + LEGEND_ROW * (order + 0.7) + 2.7:.1f}">{escape(label)}</text>'
        for order, (label, _) in enumerate(lines)
    ]
    return [f'<g font-size="{SMALL:g}">', *names, "</g>"]
