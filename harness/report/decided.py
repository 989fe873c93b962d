"""Which of the differences that a run asks for are not decided yet: those for which more seeds may be worth it."""

from __future__ import annotations

from collections.abc import Iterator

from harness.metrics.statistics import Difference, holm
from harness.report.entries import Column
from harness.report.ranking import improvement
from harness.report.reading import ordered
from harness.report.series import BASELINE
from harness.report.summary import Comparison
from harness.report.verdicts import verdict


def open_differences(comparison: Comparison) -> Iterator[str]:
    """By the leading score: what trained here against the baseline, and the best of them against the second.

    Those are the tests of the report, with its corrections. Decided is what differs, and of what no number of seeds
    would find a difference; what could not be tested is nothing that seeds would settle.
    """
    column, index = comparison.leading_column(), comparison.leading
    if column is None or index is None:
        return
    about = f" on {comparison.title}"
    for row in comparison.rows:
        entry = row.entries[index]
        if row.series.competes and _is_open(entry.gain, entry.p, column):
            yield f"{row.series.label} against {BASELINE}{about}"
    rows = ordered(comparison, index)
    gaps = [improvement(rows[0].entries[index], row.entries[index], column) for row in rows[1:]]
    ps = holm([gap.p if gap else None for gap in gaps])
    if gaps and _is_open(gaps[0], ps[0], column):
        yield f"{rows[0].series.label} against {rows[1].series.label}{about}"


def _is_open(found: Difference | None, p: float | None, column: Column) -> bool:
    if found is None or found.p is None:
        return False
    says = verdict(found, p, column.unit)
    return says is not None and says.word == "cannot tell"
