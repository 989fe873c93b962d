"""The page: one HTML file with its style, script, figures and pictures inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.cleaned import cleaned
from harness.records import CellResult, short_names
from harness.report import across, numbers, transfer, tuning
from harness.report.content import MONITORED, SMALL_WORDS, Content, provenance_of
from harness.report.figures import Drawing, class_legend
from harness.report.frame import flattened, tidy_frame
from harness.report.glossary import glossary, head_id
from harness.report.palette import looks, on_page
from harness.report.pictures import heading_of, shared_caption
from harness.report.reading import reading
from harness.report.series import BASELINE, ELSEWHERE, with_series
from harness.report.stills import still
from harness.report.summary import NOWHERE, comparisons

LARGE = 1000  # scores, beyond which a browser lays out what is on view alone
_HERE = Path(__file__).parent
_DERIVED = ("parts", "most_seeds")  # of a request: no words of who asked


def page(content: Content) -> str:
    """The whole report as HTML."""
    shared, own = provenance_of(content)
    script = (_HERE / "script.js").read_text(encoding="utf-8")
    return (
        _templates()
        .get_template("template.html.j2")
        .render(
            content=content,
            shared=shared,
            own=own,
            environments=[(r, dict(flattened(r.environment)), dict(request_lines(r.request))) for r in content.runs],
            called=short_names(row.evaluation for row in content.scores),
            glossary=glossary(content),
            targets=list(dict.fromkeys(row.target for row in content.scores if row.target)),
            style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),
            script=Markup(script),
            policy=policy(script),
        )
    )


def policy(script: str = "") -> str:
    """A content-security policy for a page that brings all that it shows: nothing is loaded, and no script runs but
    this one.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    runs = f"'sha256-{digest}'" if script else "'none'"
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {runs}; "
        "base-uri 'none'; form-action 'none'"
    )


def shown_text(value: Any) -> Any:
    """Text that nobody escaped yet, without what steers a terminal or turns the direction of writing."""
    return cleaned(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def notebook_html(results: Iterable[CellResult], folder: Path | None = None) -> str:
    """The ranked comparison as a fragment that brings no style or script of its own. folder: of the run."""
    frame, series = with_series(tidy_frame(results))
    compared = comparisons(frame, series, {"": folder} if folder else NOWHERE)
    readings = [reading(comparison) for comparison in compared]
    template = _templates().get_template("notebook.html.j2")
    return template.render(compared=list(zip(compared, readings, strict=True)), looks=looks(series))


def request_lines(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What was asked, key by key: first what all parts share, then what each part says of its own.

    >>> list(request_lines({"plugins": ["vae"], "targets": [], "seeds": [0, 1], "most_seeds": 0, "compile": False}))
    [('plugins', 'vae'), ('seeds', '0, 1')]
    """
    parts = [dict(_asked(part)) for part in request.get("parts") or [request]]
    shared = {key: text for key, text in parts[0].items() if all(part.get(key) == text for part in parts)}
    yield from shared.items()
    for number, part in enumerate(parts, 1):
        yield from ((f"part {number}: {key}", text) for key, text in part.items() if key not in shared)


def _asked(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a request says: nothing that it leaves empty; seeds that were added as they were asked for."""
    for key, value in request.items():
        if key == "seeds" and request.get("most_seeds"):
            yield key, f"auto:{request['most_seeds']}"
        elif value and key not in _DERIVED:
            yield key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown_text,
    )
    templates.filters |= {
        "number": numbers.number,
        "signed": numbers.signed,
        "separated": numbers.separated,
        "count": lambda value: f"{value:,}",
        "interval": numbers.interval,
        "duration": numbers.duration,
        "probability": numbers.probability,
        "drawn": _drawn,
        "png": lambda shown: _png(shown.content),
        "still": lambda shown: _png(still(shown.content)),
        "heading": heading_of,
        "shared_caption": shared_caption,
        "legend": lambda shown: [(Markup(mark), name) for mark, name in class_legend(shown.classes)],
        "key": lambda look: Markup(on_page(look.key)),
        "seeds": lambda seeds: ", ".join(map(str, seeds)),
        "sortable": lambda value: f"{value:.6g}" if value is not None else "",
    }
    templates.globals |= {
        "head_id": head_id,
        "ALPHA": numbers.ALPHA,
        "BASELINE": BASELINE,
        "ELSEWHERE": ELSEWHERE,
        "LARGE": LARGE,
        "MONITORED": MONITORED,
        "SMALL_WORDS": SMALL_WORDS,
        "TRANSFER": transfer.MEANING,
        "ACROSS": across.MEANING,
        "TUNING": tuning.MEANING,
        "trials": tuning.written,
    }
    return templates


def _drawn(drawing: Drawing) -> Markup:
    return Markup(on_page(drawing.svg))


def _png(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()
