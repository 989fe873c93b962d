"""`harness export`: a run in the format of another tool, or for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.errors import RequestError, did_you_mean

FORMATS = ("pytest-benchmark", "github-action", "csv", "latex")
EPILOG = """
\b
Examples:
  harness export --format pytest-benchmark runs/main -o main.json
  pytest-benchmark compare main.json mine.json --group-by group
  harness export --format github-action runs/main -o scores.json
  harness export --format latex runs/main -o table.tex

\b
pytest-benchmark  a file that `pytest-benchmark compare` reads; a seed is a round
github-action     github-action-benchmark's customSmallerIsBetter
csv               the tidy frame, one row per score
latex             the report's ranked tables for a paper, one for each dataset: mean ± half its interval, best in bold

The first two take smaller for better: rates go out as seconds per image, fractions as 1 - value. The true values, units
and seeds stand beside them, in extra_info.
"""


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A folder that `harness bench` made, or its results.parquet.")
    ],
    format: Annotated[str, typer.Option(help=f"One of {', '.join(FORMATS)}.")] = "pytest-benchmark",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A file. [default: standard output]")] = None,
) -> None:
    """Write the scores of a run in the format of another tool."""
    if format not in FORMATS:
        raise RequestError(f"no format '{format}': {did_you_mean(format, FORMATS)}")

    from harness.gate.exports import WRITERS
    from harness.gate.sides import load_side

    text = WRITERS[format](load_side(run))
    if out is None:
        print(text, end="")
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"cannot write {out} ({error.strerror}): choose another --out") from None
    typer.echo(f"Wrote {out}")
