"""The long tables of a report: every score over seeds, what was skipped or failed, and sources against targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.metrics.statistics import Estimate
from harness.report.differences import estimate
from harness.report.entries import limits, outcomes_of
from harness.report.examples import Examples
from harness.report.frame import TRAINING
from harness.report.numbers import number
from harness.report.series import Series, latest
from harness.report.summary import NOWHERE, Comparison


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """One score of one series on one target, over its seeds."""

    series: Series
    source: str
    target: str  # empty for what training gave
    evaluation: str
    score: str
    unit: str
    better: str
    estimate: Estimate
    seeds: int
    chance: float | None
    examples: int | None  # that each value was measured on
    note: str

    @property
    def data(self) -> str:
        return _where(self.source, [self.target])


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What gave no number, and why; equal reasons of several seeds and targets are one line."""

    series: Series
    status: str
    what: str
    where: str
    seeds: tuple[int, ...]
    reason: str


def _where(source: str, targets: Iterable[str]) -> str:
    """`digits`, or `digits → digits, noisy-digits`."""
    there = ", ".join(filter(None, targets))
    return source if there in ("", source) else f"{source} → {there}"


def score_rows(frame: pd.DataFrame, series: Sequence[Series], runs: Mapping[str, Path] = NOWHERE) -> list[ScoreRow]:
    """Every score over seeds, in the order of the frame (from `with_series`). runs: their folders by name."""
    found = Examples(runs)
    measured = latest(frame[frame["value"].notna()])
    keys = ["source", "target", "evaluation", "score", "series"]
    return [
        _score_row(dict(zip(keys, key, strict=True)), group, series, found) for key, group in _groups(measured, keys)
    ]


def _groups(frame: pd.DataFrame, keys: list[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Groups in order of appearance."""
    for key, group in frame.groupby(keys, sort=False):
        yield tuple(key), group  # type: ignore[arg-type]


def _score_row(key: dict[str, Any], group: pd.DataFrame, series: Sequence[Series], found: Examples) -> ScoreRow:
    chance, examples = group["chance"].dropna(), group["n"].dropna()
    low, high = limits(group)
    records: Any = group.to_dict("records")
    notes = dict.fromkeys(note for note in group["note"] if note)
    return ScoreRow(
        series=series[key.pop("series")],
        **key,
        unit=group["unit"].iloc[0],
        better=group["better"].iloc[0],
        estimate=estimate(
            dict(zip(group["seed"], group["value"], strict=True)),
            outcomes_of(records, found),
            examples=None,
            proportion=bool(group["proportion"].iloc[0]),
            low=low,
            high=high,
        ),
        seeds=len(group),
        chance=None if chance.empty else float(chance.mean()),
        examples=None if examples.empty else int(examples.iloc[0]),
        note="; ".join(notes),
    )


def troubles(frame: pd.DataFrame, series: Sequence[Series]) -> list[Trouble]:
    """Failures first. A cell whose training gave nothing is one line, not one for each of its evaluations."""
    bad = frame[frame["status"] != "ok"]
    untrained = bad.loc[bad["evaluation"] == TRAINING, ["run", "cell"]].drop_duplicates()
    merged = bad.merge(untrained.assign(untrained=True), on=["run", "cell"], how="left")
    bad = merged[(merged["evaluation"] == TRAINING) | merged["untrained"].isna()]
    keys = ["status", "series", "source", "evaluation", "reason"]
    found = [_trouble(dict(zip(keys, key, strict=True)), group, series) for key, group in _groups(bad, keys)]
    return sorted(found, key=lambda trouble: trouble.status != "failed")


def _trouble(key: dict[str, Any], group: pd.DataFrame, series: Sequence[Series]) -> Trouble:
    return Trouble(
        series=series[key["series"]],
        status=key["status"],
        what=key["evaluation"],
        where=_where(key["source"], dict.fromkeys(group["target"])),
        seeds=tuple(sorted(set(group["seed"]))),
        reason=key["reason"],
    )


def heat_maps(compared: Sequence[Comparison], series: Sequence[Series]) -> list[dict[str, Any]]:
    """For each series its leading score by source (rows) and target (columns), on one colour scale for all."""
    cells: dict[int, dict[tuple[str, str], tuple[float, str]]] = {}
    for comparison in compared:
        for row in comparison.rows:
            entry, column = comparison.leading_entry(row), comparison.leading_column()
            if column and entry.estimate:
                value = (entry.estimate.mean, number(entry.estimate.mean, column.unit))
                cells.setdefault(row.series.index, {})[comparison.source, comparison.target] = value
    values = [value for by_place in cells.values() for value, _ in by_place.values()]
    scale = (min(values, default=0.0), max(values, default=1.0))
    sources = list(dict.fromkeys(comparison.source for comparison in compared))
    targets = list(dict.fromkeys(comparison.target for comparison in compared))
    return [
        {
            "series": one,
            "targets": targets,
            "rows": [(s, [_heat(cells[one.index].get((s, t)), *scale) for t in targets]) for s in sources],
        }
        for one in series
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
