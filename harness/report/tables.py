"""The long tables of a report: every score over seeds, and what was skipped or failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from harness.metrics.statistics import Estimate
from harness.report.differences import estimate
from harness.report.entries import limits, outcomes_of
from harness.report.examples import Examples
from harness.report.frame import TRAINING
from harness.report.series import Series, latest
from harness.report.summary import NOWHERE


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
    return sorted(_merged(found), key=lambda trouble: trouble.status != "failed")


def _merged(found: Sequence[Trouble]) -> list[Trouble]:
    """What is the same on several sources as one line."""
    alike: dict[Trouble, list[str]] = {}
    for trouble in found:
        alike.setdefault(replace(trouble, where=""), []).append(trouble.where)
    return [replace(trouble, where="; ".join(where)) for trouble, where in alike.items()]


def _trouble(key: dict[str, Any], group: pd.DataFrame, series: Sequence[Series]) -> Trouble:
    return Trouble(
        series=series[key["series"]],
        status=key["status"],
        what=key["evaluation"],
        where=_where(key["source"], dict.fromkeys(group["target"])),
        seeds=tuple(sorted(set(group["seed"]))),
        reason=key["reason"],
    )
