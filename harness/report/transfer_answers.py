"""The first lines of a report on transfer: what was found over all pairs of a source and another target.

What is compared between methods is said by the gains over the untrained backbone (harness.report.transfer). What a
method tells of itself, a gain of its own or a number of stages, is a mean over pairs, beside its mean where the target
is the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.metrics.statistics import Estimate
from harness.report.entries import Column
from harness.report.numbers import signed
from harness.report.reading import listed
from harness.report.series import BASELINE, Series
from harness.report.summary import Comparison
from harness.report.transfer import Transfer

MOST = 8  # methods in a sentence


def transfer_answers(compared: Sequence[Comparison], tables: Sequence[Transfer]) -> list[str]:
    """What all lines are about, then a line for each score that leads or answers a question; else nothing."""
    if not tables:
        return []
    lines = [*(one.by_method for one in tables), *_told(compared)]
    pairs = {(one.source, one.target) for one in compared if one.source != one.target}
    about = (
        f"Over {len(pairs)} pairs of a source and another target, the mean gain over {BASELINE} of the same pair, with "
        "its 95 % interval over seeds and p corrected over the methods; then what methods tell of themselves."
    )
    return [about, *lines]


def _told(compared: Sequence[Comparison]) -> Iterator[str]:
    """What methods tell of themselves."""
    columns = {(c.evaluation, c.score): c for one in compared for c in one.columns if c.asks and not c.ranked}
    for key, column in columns.items():
        found: dict[Series, tuple[list[Estimate], list[Estimate]]] = {}  # on another dataset, on the source
        for one in compared:
            index = next((i for i, c in enumerate(one.columns) if (c.evaluation, c.score) == key), None)
            for row in one.rows if index is not None else ():
                estimate = row.entries[index].estimate  # type: ignore[index]
                if estimate is not None and not row.series.is_baseline:
                    found.setdefault(row.series, ([], []))[one.source == one.target].append(estimate)
        told = [(_mean(away), series, away, home) for series, (away, home) in found.items() if away]
        told.sort(key=lambda one: -one[0])
        learned = [_one(column, *one) for one in told if one[1].competes and not one[1].uses]
        labelled = [_one(column, *one) for one in told if one[1].uses]
        if learned:
            scale = f"; with labels, for scale: {listed(labelled)}" if labelled else ""
            yield f"{column.asks} ({column.name}, mean): {listed(learned, MOST)}{scale}."


def _one(column: Column, mean: float, series: Series, away: Sequence[Estimate], home: Sequence[Estimate]) -> str:
    """One method: "simclr +0.031 (above 0 on 5 of 6 pairs)", "simclr 3.2 (4.7 on the source itself)"."""
    if not column.is_gain:
        beside = f" ({_mean(home):.1f} on the source itself)" if home else ""
        return f"{series.label} {mean:.1f}{beside}"
    above = sum(one.low is not None and one.low > 0 for one in away)
    below = sum(one.high is not None and one.high < 0 for one in away)
    said = [f"above 0 on {above} of {len(away)}", *([f"below 0 on {below}"] if below else [])]
    return f"{series.label} {signed(mean, column.unit)} ({', '.join(said)})"


def _mean(estimates: Sequence[Estimate]) -> float:
    return sum(one.mean for one in estimates) / len(estimates) if estimates else 0.0
