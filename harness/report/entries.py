"""What one series got by one score: its estimate over seeds, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

import pandas as pd

from harness.examples import Outcomes
from harness.metrics.statistics import Difference, Estimate
from harness.records import judged_by, short_names
from harness.report.differences import estimate
from harness.report.examples import Examples
from harness.report.numbers import ALPHA, Written
from harness.report.plain_rows import Record, grouped, plain_rows
from harness.report.verdicts import Verdict, verdict

_LEADS, _TOLD = "leads", "told"  # harness.records.ScoreSpec says what the roles mean
_FIRST = (_LEADS, "follows")  # then as the evaluations come

_KEPT = (
    "series", "target", "evaluation", "score", "seed", "value", "chance", "n", "status", "reason", "note", "beside",
    "word", "run", "examples",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Column:
    """A primary score of an evaluation."""

    evaluation: str
    score: str
    unit: str
    better: str
    role: str  # what the evaluation says of it, see harness.records.ScoreSpec
    low: float  # what it can be, -inf and inf where there is no end to it
    high: float
    proportion: bool  # a share of independent examples
    labels: str  # the part of the labels that it was fitted to, "1%"; empty: to none
    asks: str  # the question that it answers, see harness.records.ScoreSpec; empty: none
    one_task: bool  # guessing gets the same for all methods of a seed
    called: str = ""  # the evaluation in a few words: its name alone, where it was asked for in one way only
    alpha: float = ALPHA  # the level that differences are tested at: less where there was more than one look

    @property
    def leads(self) -> bool:
        return self.role == _LEADS

    @property
    def teaches(self) -> bool:
        """Does it tell what training gave, where methods were judged before it too?"""
        return self.better != "none" and self.role != _TOLD

    @property
    def ranked(self) -> bool:
        """Does a better value mean a better method?"""
        return self.teaches and (self.one_task or self.leads)

    @property
    def judge(self) -> str:
        """The evaluation, whatever part of the labels it was fitted to."""
        return next(name for name in (self.evaluation.rpartition(" (")[0], self.evaluation)
                    if judged_by(name, self.labels) == self.evaluation)  # fmt: skip

    @property
    def name(self) -> str:
        called = self.called or self.evaluation
        return called if called == self.score else f"{called} {self.score}"

    @property
    def is_gain(self) -> bool:
        """Is it a difference of a method's own, of which 0 says that there is none?"""
        return self.low < 0 < self.high and isfinite(self.low)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What one series got in one column."""

    estimate: Estimate | None = None  # None: nothing was measured, see status and reason
    by_seed: dict[int, float] | None = None
    kept: dict[int, Outcomes] = field(default_factory=dict)  # what each test example got, of the seeds that kept it
    planned: int = 0  # seeds that were tried
    chance: float | None = None
    beside: tuple[tuple[str, float], ...] = ()  # what to read it with: ("floor", 2.1), what real data gets
    gain: Difference | None = None  # over the baseline, positive is better
    p: float | None = None  # of the gain, corrected; None: not tested, or there is no test of it
    tested: bool = False  # is the gain? What is shown for scale is not
    before_after: tuple[float, float] | None = None  # the same method before and after training: means over `learned`
    learned: Difference | None = None  # over its untrained self, by the seeds of both; positive is better
    mark: str = ""  # "best" or "worse"; empty: not told apart from the first, or not compared
    status: str = ""
    reason: str = ""
    note: str = ""

    @property
    def tried(self) -> bool:
        """Is there a number, or a failure to get one?"""
        return self.estimate is not None or self.status == "failed"

    def says(self, unit: Written) -> Verdict | None:
        """What the test of the gain said; None where there was none."""
        return verdict(self.gain, self.p, unit) if self.gain and self.tested else None


class Rows:
    """The rows of a frame by what they are about."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._found = grouped(plain_rows(frame, _KEPT), ("series", "target", "evaluation"))
        self.series = {series for series, _, _ in self._found}

    def of(self, series: int, target: str, evaluation: str) -> list[Record]:
        return self._found.get((series, target, evaluation), [])


def columns_of(frame: pd.DataFrame) -> tuple[Column, ...]:
    """Primary scores in order of appearance, what leads first, what follows then, and what is not ranked last."""
    groups: Any = frame[frame["primary"]].groupby(["evaluation", "score"], sort=False)
    called = short_names(frame["evaluation"].unique())
    return tuple(sorted((_column(key[0], key[1], called[key[0]], group) for key, group in groups), key=_place))


def _column(evaluation: str, score: str, called: str, group: pd.DataFrame) -> Column:
    first = group.iloc[0]
    low, high = limits(first["low"], first["high"])
    return Column(
        evaluation=evaluation,
        score=score,
        unit=first["unit"],
        better=first["better"],
        role=first["role"],
        low=low,
        high=high,
        proportion=bool(first["proportion"]),
        labels=first["labels"],
        asks=first["asks"],
        called=called,
        one_task=bool((group.groupby("seed")["chance"].nunique() <= 1).all()),
    )


def limits(low: float | None, high: float | None) -> tuple[float, float]:
    """The smallest and the largest value that a score can have, -inf and inf where there is no end."""
    return (-inf if pd.isna(low) else float(low), inf if pd.isna(high) else float(high))


def _place(column: Column) -> tuple[int, bool]:
    return (_FIRST.index(column.role) if column.role in _FIRST else len(_FIRST), not column.ranked)


def entry_of(rows: Sequence[Record], training: Sequence[Record], column: Column, examples: Examples) -> Entry:
    """The entry of one series: `rows` are of the column's evaluation, `training` says why there may be none."""
    scored = [row for row in rows if row.score == column.score and row.value is not None]
    missing = [row for row in rows or training if row.status != "ok"]
    planned = len({row.seed for row in (*rows, *training)})
    reason = "; ".join(_distinct(row.reason for row in missing))
    statuses = {row.status for row in missing}
    # A seed that failed in training says nothing of what the others skip with a reason.
    status = "skipped" if "skipped" in statuses else "failed" if statuses else ""
    if not scored:
        return Entry(planned=planned, status=status or "not run", reason=reason)
    chances = [row.chance for row in scored if row.chance is not None]
    by_seed = {row.seed: row.value for row in scored}
    kept = outcomes_of(scored, examples)
    limits: dict[str, Any] = {"proportion": column.proportion, "low": column.low, "high": column.high}
    return Entry(
        estimate=estimate(by_seed, kept, examples=scored[0].n, **limits),
        by_seed=by_seed,
        kept=kept,
        planned=planned,
        chance=sum(chances) / len(chances) if chances else None,
        beside=_beside(rows, column.score),
        status=status or "ok",
        reason=reason,
        note="; ".join(_distinct(row.note for row in scored)),
    )


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


def outcomes_of(rows: Iterable[Record], examples: Examples) -> dict[int, Outcomes]:
    """What the test examples got by the score of these rows, for the seeds that kept it."""
    found = {row.seed: examples.of(row.run, row.examples, row.score) for row in rows}
    return {seed: outcomes for seed, outcomes in found.items() if outcomes is not None}


def _beside(rows: Sequence[Record], score: str) -> tuple[tuple[str, float], ...]:
    """Scores of the same evaluation that this one is read with, by what they are called: means over seeds."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.beside == score and row.value is not None:
            found.setdefault(row.word, []).append(row.value)
    return tuple((word, sum(values) / len(values)) for word, values in found.items())
