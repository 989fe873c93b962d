"""Reports: `build` writes a folder, `table` and `notebook_html` serve notebooks, `terminal_table` the command line.

The imports are inside: none of pandas, scipy and matplotlib is needed to know that reports exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import RenderableType

    from harness.records import CellResult


def build(runs: Sequence[Any], out: Path) -> list[Path]:
    """Write results.parquet, results.csv, report.md and index.html into `out`; returns these files.

    runs: of harness.store.RunFolder, or (results, folder) pairs.
    """
    from harness.report.writing import FILES, write_report

    write_report(runs, out)
    return [out / name for name in FILES]


def build_and_show(runs: Sequence[Any], out: Path, *, everything: bool = False) -> RenderableType:
    """`build`, and its ranked comparison for `rich`; everything: every score, see `terminal_table`."""
    from harness.report.terminal import TerminalTable
    from harness.report.writing import write_report

    return TerminalTable(write_report(runs, out).comparisons, everything=everything)  # type: ignore[return-value]


def table(results: Iterable[CellResult], folder: Path | None = None) -> DataFrame:
    """The ranked comparison as a compact frame; see harness.report.summary.table."""
    from harness.report import summary

    return summary.table(results, folder)


def open_differences(results: Iterable[CellResult], folder: Path) -> list[str]:
    """The differences that more seeds may decide; see harness.report.decided. folder: of the run."""
    from harness.report import decided, frame, series, summary

    numbered, found = series.with_series(frame.tidy_frame(results))
    compared = summary.comparisons(numbered, found, {"": folder})
    return [text for comparison in compared for text in decided.open_differences(comparison)]


def notebook_html(results: Iterable[CellResult], folder: Path | None = None) -> str:
    """The ranked comparison as a fragment of HTML."""
    from harness.report import html

    return html.notebook_html(results, folder)


def terminal_table(
    results: Iterable[CellResult], folder: Path | None = None, *, everything: bool = False
) -> RenderableType:
    """The ranked comparison for `rich`, as wide as the console and at most 160 columns.

    everything: every score, in blocks below each other, rather than those that fit beside each other.
    """
    from harness.report import terminal  # type: ignore[attr-defined]

    return terminal.terminal_table(results, folder, everything=everything)
