"""The page: one HTML file with its style, script, figures and pictures inside."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.records import CellResult
from harness.report import numbers
from harness.report.content import Content, provenance_of
from harness.report.figures import Drawing, class_legend
from harness.report.frame import flattened, tidy_frame
from harness.report.palette import looks, on_page
from harness.report.pictures import Shown, heading, shared_caption
from harness.report.reading import reading
from harness.report.series import with_series
from harness.report.summary import comparisons

_HERE = Path(__file__).parent


def page(content: Content) -> str:
    """The whole report as HTML."""
    shared, own = provenance_of(content)
    return (
        _templates()
        .get_template("template.html.j2")
        .render(
            content=content,
            shared=shared,
            own=own,
            environments=[(r, dict(flattened(r.environment)), dict(_request_lines(r.request))) for r in content.runs],
            heat=heat_maps(content) if content.transfers else [],
            evaluations=list(dict.fromkeys(row.evaluation for row in content.scores)),
            targets=list(dict.fromkeys(row.target for row in content.scores if row.target)),
            style=Markup((_HERE / "style.css").read_text()),
            script=Markup((_HERE / "script.js").read_text()),
        )
    )


def notebook_html(results: Iterable[CellResult]) -> str:
    """The ranked comparison as a fragment that brings no style or script of its own."""
    frame, series = with_series(tidy_frame(results))
    compared = comparisons(frame, series)
    readings = [reading(comparison) for comparison in compared]
    template = _templates().get_template("notebook.html.j2")
    return template.render(compared=list(zip(compared, readings, strict=True)), looks=looks(series))


def _request_lines(request: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for key, value in request.items():
        yield key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {
        "number": numbers.number,
        "signed": numbers.signed,
        "interval": numbers.interval,
        "duration": numbers.duration,
        "drawn": _drawn,
        "png": _png,
        "heading": heading,
        "shared_caption": shared_caption,
        "legend": lambda shown: [(Markup(mark), name) for mark, name in class_legend(shown.classes)],
        "key": lambda look: Markup(on_page(look.key)),
        "seeds": lambda seeds: ", ".join(map(str, seeds)),
        "sortable": lambda value: json.dumps(value) if value is not None else "",
    }
    templates.globals |= {"verdict": numbers.verdict, "apart": numbers.apart, "ALPHA": numbers.ALPHA}
    return templates


def _drawn(drawing: Drawing) -> Markup:
    return Markup(on_page(drawing.svg))


def _png(shown: Shown) -> str:
    return "data:image/png;base64," + base64.b64encode(shown.content).decode()


def heat_maps(content: Content) -> list[dict[str, Any]]:
    """For each series its leading score by source (rows) and target (columns), on one colour scale for all."""
    cells: dict[int, dict[tuple[str, str], tuple[float, str]]] = {}
    for comparison in content.comparisons:
        for row in comparison.rows:
            entry, column = comparison.leading_entry(row), comparison.leading_column()
            if column and entry.estimate:
                value = (entry.estimate.mean, numbers.number(entry.estimate.mean, column.unit))
                cells.setdefault(row.series.index, {})[comparison.source, comparison.target] = value
    values = [value for by_place in cells.values() for value, _ in by_place.values()]
    scale = (min(values, default=0.0), max(values, default=1.0))
    sources = list(dict.fromkeys(comparison.source for comparison in content.comparisons))
    targets = list(dict.fromkeys(comparison.target for comparison in content.comparisons))
    return [
        {
            "series": one,
            "targets": targets,
            "rows": [(s, [_heat(cells[one.index].get((s, t)), *scale) for t in targets]) for s in sources],
        }
        for one in content.series
        if one.index in cells
    ]


def _heat(cell: tuple[float, str] | None, low: float, high: float) -> dict[str, str] | None:
    if cell is None:
        return None
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    share = (cell[0] - low) / ((high - low) or 1.0)
    rgba = colormaps["cividis"](share)
    luminance = 0.2126 * rgba[0] ** 2.2 + 0.7152 * rgba[1] ** 2.2 + 0.0722 * rgba[2] ** 2.2
    return {"text": cell[1], "fill": to_hex(rgba), "ink": "#000" if luminance > 0.179 else "#fff"}
