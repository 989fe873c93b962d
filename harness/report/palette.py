"""Colours and shapes of series and classes: told apart without colour as well, by marker and line style.

Okabe and Ito's colours (jfly.uni-koeln.de/color), which are distinct in all common kinds of colour blindness, without
their yellow, which is too light on paper. Ink, muted and grid are placeholders that become CSS variables on the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from harness.report.series import Series, worth_a_row

INK, MUTED, GRID, PAPER = "#010203", "#040506", "#070809", "#fefdfc"
PRINTED = {INK: "#1a1a1a", MUTED: "#6b6b6b", GRID: "#d9d9d9", PAPER: "#ffffff"}  # what they are on paper
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("-", "--", ":", "-.")
# matplotlib's name of a marker, and the same shape as an SVG path around the origin
SHAPES = {
    "o": "M5,0A5,5 0 1 1 -5,0A5,5 0 1 1 5,0Z",
    "s": "M-4.4,-4.4H4.4V4.4H-4.4Z",
    "^": "M0,-5.2L5.2,4.2H-5.2Z",
    "D": "M0,-5.8L5.8,0L0,5.8L-5.8,0Z",
    "v": "M0,5.2L5.2,-4.2H-5.2Z",
    "P": "M-1.8,-5H1.8V-1.8H5V1.8H1.8V5H-1.8V1.8H-5V-1.8H-1.8Z",
    "X": "M-5,-2.6L-2.6,-5L0,-2.4L2.6,-5L5,-2.6L2.4,0L5,2.6L2.6,5L0,2.4L-2.6,5L-5,2.6L-2.4,0Z",
    "<": "M-5.2,0L4.2,-5.2V5.2Z",
    ">": "M5.2,0L-4.2,-5.2V5.2Z",
    "p": "M0,-5.4L5.1,-1.7L3.2,4.4H-3.2L-5.1,-1.7Z",
}
MARKERS = tuple(SHAPES)


class Look:
    """How one series is drawn: what is there for scale hollow and grey, methods filled and coloured."""

    def __init__(self, rank: int, for_scale: bool) -> None:
        self.colour = MUTED if for_scale else COLOURS[rank % len(COLOURS)]
        self.marker = MARKERS[rank % len(MARKERS)]
        self.fill = "none" if for_scale else self.colour

    @property
    def key(self) -> str:
        """The marker as a little SVG, to be set before a name."""
        paint = f'fill="{self.fill}" stroke="{self.colour}" stroke-width="1.5"'
        return (
            '<svg class="key" viewBox="-7 -7 14 14" width="14" height="14" aria-hidden="true">'
            f'<path d="{SHAPES[self.marker]}" {paint}/></svg>'
        )


def looks(series: Sequence[Series]) -> dict[int, Look]:
    """A look for every series; methods and what is there for scale are numbered apart."""
    numbered = {True: 0, False: 0}
    found = {}
    for one in series:
        found[one.index] = Look(numbered[not one.competes], not one.competes)
        numbered[not one.competes] += 1
    return found


def looks_in_a_report(series: Sequence[Series]) -> dict[int, Look]:
    """A look for every series, those first that have a row."""
    shown = {one.index: one for one in worth_a_row(series)}
    return looks([*shown.values(), *(one for one in series if one.index not in shown)])


def printed(look: Look) -> Look:
    """The same in colours rather than placeholders, hollow shapes in that of the paper."""
    found = copy(look)
    found.colour = PRINTED.get(look.colour, look.colour)
    found.fill = PRINTED[PAPER] if look.fill == "none" else found.colour
    return found


def class_look(label: int) -> tuple[str, str]:
    """Colour and SVG path of a class on a map; 70 classes get different ones."""
    return (*COLOURS, INK)[label % 7], SHAPES[MARKERS[label % len(MARKERS)]]


def on_page(svg: str) -> str:
    """Placeholders become CSS variables, so that a figure follows the page into dark mode and into print."""
    return (
        svg.replace(INK, "var(--ink)")
        .replace(MUTED, "var(--muted)")
        .replace(GRID, "var(--line)")
        .replace(PAPER, "var(--paper)")
    )


def on_paper(svg: str) -> str:
    """Placeholders become colours, for a file that stands alone."""
    for placeholder, colour in PRINTED.items():
        svg = svg.replace(placeholder, colour)
    return svg
