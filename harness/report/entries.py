"""What one series got by one score: its estimate over seeds, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import pandas as pd

from harness.metrics.statistics import Difference, Estimate, mean_interval, wilson, within
from harness.report.frame import TRAINING

LEADING = "linear-probe"
_COUNTED = ("examples", "images", "clips", "texts")
_AMOUNTS = ("s", "ms", "bytes", "MiB", "FLOP/s", "weights", "steps", *_COUNTED, *(f"{each}/s" for each in _COUNTED))
_ERRORS = ("pixel value", "squared pixel value")
_RANGES = {  # what a score of this unit can be, where there is an end to it
    "fraction": (0.0, 1.0),
    "similarity": (-1.0, 1.0),
    "R2": (-inf, 1.0),
    **dict.fromkeys((*_AMOUNTS, *_ERRORS), (0.0, inf)),
}
_FIRST = (LEADING, "knn")  # then as the evaluations come
NEVER_RANKED = (TRAINING, "throughput", "pretext")  # of the machine or of a task of its own: told, not compared

_KEPT = ("series", "target", "evaluation", "score", "seed", "value", "chance", "n", "status", "reason", "note")
Record = Mapping[str, Any]  # a row of the tidy frame; None for nothing


@dataclass(frozen=True, kw_only=True)
class Column:
    """A primary score of an evaluation."""

    evaluation: str
    score: str
    unit: str
    better: str
    one_task: bool  # guessing gets the same for all methods of a seed

    @property
    def teaches(self) -> bool:
        """Does it tell what training gave, where methods were judged before it too?"""
        return self.better != "none" and self.evaluation.partition("[")[0] not in NEVER_RANKED

    @property
    def ranked(self) -> bool:
        """Does a better value mean a better method?"""
        return self.teaches and self.one_task

    @property
    def name(self) -> str:
        return self.evaluation if self.evaluation == self.score else f"{self.evaluation} {self.score}"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What one series got in one column."""

    estimate: Estimate | None = None  # None: nothing was measured, see status and reason
    by_seed: dict[int, float] | None = None
    planned: int = 0  # seeds that were tried
    chance: float | None = None
    beside: tuple[tuple[str, float], ...] = ()  # what to read it with: ("floor", 2.1), what real data gets
    gain: Difference | None = None  # over the baseline, positive is better
    p: float | None = None  # of the gain, corrected; None: not tested
    untrained: Estimate | None = None  # what the same method got before training
    learned: Difference | None = None  # over its untrained self, positive is better
    mark: str = ""  # "best" or "≈ best"
    status: str = ""
    reason: str = ""
    note: str = ""

    @property
    def tried(self) -> bool:
        """Is there a number, or a failure to get one?"""
        return self.estimate is not None or self.status == "failed"


class Rows:
    """The rows of a frame by what they are about, as plain records: pandas is slow at many small selections."""

    def __init__(self, frame: pd.DataFrame) -> None:
        kept = frame[list(_KEPT)]
        self._found: dict[tuple[int, str, str], list[Record]] = {}
        records: Any = kept.astype(object).where(kept.notna(), None).to_dict("records")
        for record in records:
            key = (record["series"], record["target"], record["evaluation"])
            self._found.setdefault(key, []).append(record)
        self.series = {series for series, _, _ in self._found}

    def of(self, series: int, target: str, evaluation: str) -> list[Record]:
        return self._found.get((series, target, evaluation), [])


def columns_of(frame: pd.DataFrame) -> tuple[Column, ...]:
    """Primary scores in order of appearance, the leading evaluation first and what is not ranked last."""
    found = []
    key: Any
    for key, group in frame[frame["primary"]].groupby(["evaluation", "score"], sort=False):
        evaluation, score = key
        one_task = bool((group.groupby("seed")["chance"].nunique() <= 1).all())
        one_task = one_task or evaluation.partition("[")[0] == LEADING
        unit, better = group["unit"].iloc[0], group["better"].iloc[0]
        found.append(Column(evaluation=evaluation, score=score, unit=unit, better=better, one_task=one_task))
    return tuple(sorted(found, key=_place))


def _place(column: Column) -> tuple[int, bool]:
    name = column.evaluation.partition("[")[0]
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), not column.ranked)


def entry_of(rows: Sequence[Record], training: Sequence[Record], column: Column) -> Entry:
    """The entry of one series: `rows` are of the column's evaluation, `training` says why there may be none."""
    scored = [row for row in rows if row["score"] == column.score and row["value"] is not None]
    missing = [row for row in rows or training if row["status"] != "ok"]
    planned = len({row["seed"] for row in (*rows, *training)})
    reason = "; ".join(_distinct(row["reason"] for row in missing))
    statuses = {row["status"] for row in missing}
    # A seed that failed in training says nothing of what the others skip with a reason.
    status = "skipped" if "skipped" in statuses else "failed" if statuses else ""
    if not scored:
        return Entry(planned=planned, status=status or "not run", reason=reason)
    chances = [row["chance"] for row in scored if row["chance"] is not None]
    return Entry(
        estimate=_estimate([row["value"] for row in scored], scored[0]["n"], column),
        by_seed={row["seed"]: row["value"] for row in scored},
        planned=planned,
        chance=sum(chances) / len(chances) if chances else None,
        beside=_beside(rows, column.score),
        status=status or "ok",
        reason=reason,
        note="; ".join(_distinct(row["note"] for row in scored)),
    )


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


def _estimate(values: Sequence[float], examples: int | None, column: Column) -> Estimate:
    if len(values) == 1 and column.score == "accuracy" and column.unit == "fraction" and examples:
        return wilson(values[0], int(examples))
    return over_seeds(values, column.unit)


def over_seeds(values: Sequence[float], unit: str) -> Estimate:
    """Mean and interval over seeds, which ends where such a score can go no further: a fraction at 0 and 1."""
    return within(mean_interval(values), *_RANGES.get(unit, (-inf, inf)))


def _beside(rows: Sequence[Record], score: str) -> tuple[tuple[str, float], ...]:
    """Scores of the same evaluation that this one is read with, by what they are called: means over seeds.

    `frechet_floor` for `frechet_distance`, `real_coverage` for `coverage`, `copy_psnr` for `psnr`, `unseen_satisfied`
    for `satisfied`, `accuracy_gap` for `test_accuracy`; a `ceiling` for whatever ranks.
    """
    words = {
        f"{score}_floor": "floor",
        f"{score.rpartition('_')[0]}_floor": "floor",
        f"real_{score}": "real",
        f"copy_{score}": "copy",
        f"unseen_{score}": "unseen",
        f"{score.removeprefix('test_')}_gap": "gap",
        "ceiling": "ceiling",
    }
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["score"] in words and row["value"] is not None:
            found.setdefault(words[row["score"]], []).append(row["value"])
    return tuple((word, sum(values) / len(values)) for word, values in found.items())
