"""What training cost each series, and where methods of one budget did not cost the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from harness.records import Budget
from harness.report.digits import Digits, digits
from harness.report.frame import TRAINING, counted
from harness.report.series import Series, latest, worth_a_row

UNEQUAL = 1.5  # times the FLOPs of the cheapest method: worth a sentence
INSTANT = 0.01  # seconds: what took less was not trained


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What training one series cost on one source, per cell: means over seeds. None: not known, or nothing of it."""

    series: Series
    seconds: float
    per_second: float | None  # examples
    views: float | None  # per example, as harness.costs counts them
    passes: float | None
    flops: float | None


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Of everything that was trained on one source, in the order of the series."""

    source: str
    counted: str  # "images", "clips", "texts"
    rows: tuple[Cost, ...]

    @property
    def columns(self) -> list[str]:
        return ["views", "passes", "TFLOP", "seconds", f"{self.counted}/s"]

    def values(self, row: Cost) -> list[tuple[float | None, Digits]]:
        """Of each column of its table the value, and how the column is written."""
        return list(zip(_numbers(row), self._digits, strict=True))

    @cached_property
    def _digits(self) -> list[Digits]:
        columns = zip(*map(_numbers, self.rows), strict=True)
        return [digits(((value, None) for value in column if value is not None), "") for column in columns]

    def of(self, series: Series) -> Cost | None:
        return next((row for row in self.rows if row.series == series), None)

    @property
    def meaning(self) -> str:
        """What the columns of its table are."""
        one = self.counted.removesuffix("s")
        return (
            "Of one cell, mean over seeds. Views: inputs that the trained backbone encoded with gradients, for one "
            f"{one} of the source. Passes: inputs that any backbone of the method encoded for it, slow copies and "
            "those without gradients included. A crop or a tile of any size is one input. TFLOP: floating-point "
            "operations of all of training, forward and backward, at 2 per multiply-add, from those of its first "
            "step. Seconds are of this machine, without loading data. –: none, or not counted."
        )

    @property
    def unequal(self) -> list[str]:
        """For each budget in examples, a sentence where one method cost much more than another."""
        groups: dict[tuple[str, ...], list[Cost]] = {}
        for row in self.rows:
            one = row.series
            if row.flops and not one.is_reference and one.budget.endswith((" examples", " epochs")):
                groups.setdefault((one.budget, one.backbone, one.run), []).append(row)
        return [text for group in groups.values() if (text := self._sentence(group))]

    def _sentence(self, group: Sequence[Cost]) -> str:
        first, last = (choose(group, key=lambda row: row.flops or 0.0) for choose in (min, max))
        assert first.flops
        assert last.flops
        ratio = last.flops / first.flops
        if ratio <= UNEQUAL:
            return ""
        equal = Budget(amount=float(f"{last.flops:.1e}"), unit="flops")
        return (
            f"At equal {self.counted}, {last.series.label} costs {ratio:.1f} times the FLOPs of {first.series.label}: "
            f"--budget '{equal}' gives equal compute."
        )


def _numbers(row: Cost) -> tuple[float | None, ...]:
    """One for each column."""
    tera = None if row.flops is None else row.flops / 1e12
    return row.views, row.passes, tera, row.seconds, row.per_second


def training_costs(frame: pd.DataFrame, series: Sequence[Series]) -> list[Costs]:
    """One for each source on which something was trained. The frame comes from `with_series`."""
    training = latest(frame[(frame["evaluation"] == TRAINING) & frame["value"].notna()])
    found = []
    for source in training["source"].unique():
        here = training[training["source"] == source]
        rows = tuple(_rows(here, worth_a_row(series)))
        if rows:
            found.append(Costs(source=str(source), counted=counted(here), rows=rows))
    return found


def _rows(training: pd.DataFrame, series: Sequence[Series]) -> Iterator[Cost]:
    means: Any = training.groupby(["series", "score"])["value"].mean().to_dict()
    for one in series:
        seconds, steps = means.get((one.index, "seconds"), 0.0), means.get((one.index, "steps"), 0.0)
        if steps or seconds >= INSTANT:  # in closed form there are no steps, but some cost
            yield Cost(
                series=one,
                seconds=seconds,
                per_second=means.get((one.index, "examples_per_second")),
                **{name: means.get((one.index, name)) for name in ("views", "passes", "flops")},
            )
