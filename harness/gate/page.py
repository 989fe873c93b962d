"""A comparison as one HTML file with its style inside: every row, with its interval drawn in margins."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import harness.report
from harness.gate import wording
from harness.gate.findings import Comparison, Finding
from harness.report.html import policy, shown_text

_HERE = Path(__file__).parent
WIDTH, HEIGHT = 132, 22  # of a drawing, in CSS pixels
_HALF = WIDTH / 2 / wording.NOT_FAR  # pixels of one margin


def page(comparison: Comparison) -> str:
    """The whole page. Rows that are gated come first; below them all others."""
    unchanged = [f for f in comparison.gated() if wording.is_unchanged(f)]
    changed = wording.lines([f for f in comparison.gated() if f not in unchanged], comparison)
    others = wording.lines([f for f in comparison.findings if not f.gated], comparison)
    return (
        _template()
        .get_template("page.html.j2")
        .render(
            comparison=comparison,
            policy=policy(),
            changed=changed,
            unchanged=wording.lines(unchanged, comparison),
            others=others,
            meaning=wording.meaning(comparison),
            differing=[wording.differs(one) for one in comparison.differing],
            style=Markup(Path(harness.report.__file__).with_name("style.css").read_text(encoding="utf-8")),
            own_style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        )
    )


@cache
def _template() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown_text,
    )
    environment.filters["drawn"] = drawn
    return environment


def drawn(finding: Finding) -> Markup:
    """The gain and its interval over the band of ± margin; an arrow where it goes on beyond the drawing."""
    ends = wording.in_margins(finding)
    if ends is None:
        return Markup("")
    low, middle, high = (WIDTH / 2 + end * _HALF for end in ends)
    far = ["‹"] if ends[0] <= -wording.NOT_FAR else []
    far += ["›"] if ends[2] >= wording.NOT_FAR else []
    y = HEIGHT / 2
    places = {"‹": (2, "start"), "›": (WIDTH - 2, "end")}
    marks = "".join(
        f'<text x="{places[cut][0]}" y="{y + 4}" text-anchor="{places[cut][1]}">{cut}</text>' for cut in far
    )
    return Markup(
        f'<svg class="interval {finding.outcome.split()[0]}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" aria-label="gain {ends[1]:+.2g} margins, from {ends[0]:+.2g} to {ends[2]:+.2g}">'
        f'<rect x="{WIDTH / 2 - _HALF:.1f}" y="0" width="{2 * _HALF:.1f}" height="{HEIGHT}"/>'
        f'<line class="zero" x1="{WIDTH / 2}" y1="0" x2="{WIDTH / 2}" y2="{HEIGHT}"/>'
        f'<line class="range" x1="{low:.1f}" y1="{y}" x2="{max(high, low + 1):.1f}" y2="{y}"/>'
        f'<circle cx="{middle:.1f}" cy="{y}" r="3.5"/>{marks}</svg>'
    )
