"""The long tables of a report: every score over seeds, and what was skipped or failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.metrics.statistics import Estimate
from harness.report.differences import estimate
from harness.report.digits import Digits, of_estimates
from harness.report.entries import limits, outcomes_of
from harness.report.examples import Examples
from harness.report.frame import TRAINING
from harness.report.plain_rows import Record, grouped, plain_rows
from harness.report.series import Series, latest
from harness.report.summary import NOWHERE

_SCORE = ("source", "target", "evaluation", "score", "series")
_TOLD = ("seed", "value", "chance", "n", "unit", "better", "proportion", "low", "high", "note", "run", "examples")


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
    digits: Digits | str = ""  # as all rows of its evaluation's score are written

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


@dataclass(frozen=True, kw_only=True)
class Lack:
    """What does not apply, for one reason: each of these methods lacks each of these evaluations there."""

    series: tuple[Series, ...]
    whats: tuple[str, ...]
    where: str
    reason: str


def _where(source: str, targets: Iterable[str]) -> str:
    """`digits`, or `digits → digits, noisy-digits`."""
    there = ", ".join(filter(None, targets))
    return source if there in ("", source) else f"{source} → {there}"


def score_rows(frame: pd.DataFrame, series: Sequence[Series], runs: Mapping[str, Path] = NOWHERE) -> list[ScoreRow]:
    """Every score over seeds, in the order of the frame (from `with_series`). runs: their folders by name."""
    found = Examples(runs)
    columns = [*_SCORE, *_TOLD]
    measured = plain_rows(latest(frame.loc[frame["value"].notna(), [*columns, "finished"]]), columns)
    return _in_columns(
        _score_row(dict(zip(_SCORE, key, strict=True)), rows, series, found)
        for key, rows in grouped(measured, _SCORE).items()
    )


def _in_columns(rows: Iterable[ScoreRow]) -> list[ScoreRow]:
    """The rows, those of one score written with the same digits."""
    rows = list(rows)
    alike: dict[tuple[str, ...], list[Estimate]] = {}
    for row in rows:
        alike.setdefault(_column(row), []).append(row.estimate)
    written = {key: of_estimates(estimates, key[0]) for key, estimates in alike.items()}
    return [replace(row, digits=written[_column(row)]) for row in rows]


def _column(row: ScoreRow) -> tuple[str, ...]:
    """What is written alike. The loss of each method is a quantity of its own."""
    own = (row.series.method, row.source) if (row.evaluation, row.score) == (TRAINING, "loss") else ()
    return (row.unit, row.evaluation, row.score, *own)


def _score_row(key: dict[str, Any], rows: Sequence[Record], series: Sequence[Series], found: Examples) -> ScoreRow:
    first = rows[0]
    low, high = limits(first.low, first.high)
    chances = [row.chance for row in rows if row.chance is not None]
    notes = dict.fromkeys(row.note for row in rows if row.note)
    return ScoreRow(
        series=series[key.pop("series")],
        **key,
        unit=first.unit,
        better=first.better,
        estimate=estimate(
            {row.seed: row.value for row in rows},
            outcomes_of(rows, found),
            examples=None,
            proportion=bool(first.proportion),
            low=low,
            high=high,
        ),
        seeds=len(rows),
        chance=float(np.mean(chances)) if chances else None,
        examples=next((row.n for row in rows if row.n is not None), None),
        note="; ".join(notes),
    )


def troubles(frame: pd.DataFrame, series: Sequence[Series]) -> list[Trouble]:
    """Failures first. A cell whose training gave nothing is one line, not one for each of its evaluations."""
    bad = frame[frame["status"] != "ok"]
    untrained = bad.loc[bad["evaluation"] == TRAINING, ["run", "cell"]].drop_duplicates()
    merged = bad.merge(untrained.assign(untrained=True), on=["run", "cell"], how="left")
    bad = merged[(merged["evaluation"] == TRAINING) | merged["untrained"].isna()]
    keys = ["status", "series", "source", "evaluation", "reason"]
    groups = grouped(plain_rows(bad, [*keys, "target", "seed"]), keys)
    found = [_trouble(dict(zip(keys, key, strict=True)), rows, series) for key, rows in groups.items()]
    return sorted(_merged(found), key=lambda trouble: trouble.status != "failed")


def lacks(troubles: Iterable[Trouble]) -> list[Lack]:
    """What was skipped, a line for each reason (`vae cannot sample` and `pca cannot sample` are one: `cannot sample`).

    Seeds are not told, since it is the same for all.
    """
    methods: dict[tuple[str, str, str], dict[int, Series]] = {}
    for one in troubles:
        if one.status != "failed":
            reason = one.reason.removeprefix(f"{one.series.method.partition('[')[0]} ")
            methods.setdefault((reason, one.where, one.what), {})[one.series.index] = one.series
    whats: dict[tuple[str, str, tuple[int, ...]], list[str]] = {}
    shown: dict[int, Series] = {}
    for (reason, where, what), series in methods.items():
        shown |= series
        whats.setdefault((reason, where, tuple(sorted(series))), []).append(what)
    return [
        Lack(series=tuple(shown[each] for each in indices), whats=tuple(of_these), where=where, reason=reason)
        for (reason, where, indices), of_these in whats.items()
    ]


def _merged(found: Sequence[Trouble]) -> list[Trouble]:
    """What is the same on several sources as one line."""
    alike: dict[Trouble, list[str]] = {}
    for trouble in found:
        alike.setdefault(replace(trouble, where=""), []).append(trouble.where)
    return [replace(trouble, where="; ".join(where)) for trouble, where in alike.items()]


def _trouble(key: dict[str, Any], rows: Sequence[Record], series: Sequence[Series]) -> Trouble:
    return Trouble(
        series=series[key["series"]],
        status=key["status"],
        what=key["evaluation"],
        where=_where(key["source"], dict.fromkeys(row.target for row in rows)),
        seeds=tuple(sorted({row.seed for row in rows})),
        reason=key["reason"],
    )
