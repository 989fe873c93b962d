"""From the tidy frame to what the report says: one ranked comparison for each source and target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from harness.looks import Looks, strictest
from harness.records import CellResult
from harness.report.digits import Digits, of_estimates
from harness.report.entries import Column, Entry, Rows, columns_of, entry_of
from harness.report.examples import Examples
from harness.report.frame import COLUMNS, TRAINING, counted, tidy_frame
from harness.report.numbers import number
from harness.report.ranking import compared, on_equal_terms
from harness.report.series import Series, latest, with_series, worth_a_row
from harness.store import RunFolder

PANEL = 7  # columns of one table
NOWHERE: Mapping[str, Path] = MappingProxyType({})  # no run's folder is known


@dataclass(frozen=True, kw_only=True)
class Row:
    series: Series
    entries: tuple[Entry, ...]  # one for each column


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A part of a comparison that fits on a page: some of its columns, and the rows that say something there."""

    columns: tuple[int, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All series of one source on one target, best first by the leading column."""

    source: str
    target: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    leading: int | None  # the column that ranks
    counted: str = "images"  # what the examples are that were learned from: "clips", "texts"
    looks: Looks | None = None  # at its differences, where seeds were added until they were decided

    @property
    def title(self) -> str:
        return f"{self.source} → {self.target}" if self.source != self.target else self.source

    @property
    def seen(self) -> str:
        """What those saw that are ranked with each other: "images alone"; "images and captions" where none saw less."""
        ranked = on_equal_terms([row.series for row in self.rows if row.series.competes])
        return f"{self.counted} and {ranked[0].uses}" if ranked and ranked[0].uses else f"{self.counted} alone"

    @property
    def interval_over(self) -> str:
        """What intervals speak of: new seeds, and new test examples too where it was kept what each got."""
        over = [
            (len(entry.by_seed) > 1, bool(entry.estimate.examples))
            for row in self.rows
            for entry in row.entries
            if entry.by_seed and entry.estimate and entry.estimate.low is not None
        ]
        if not any(seeds for seeds, _ in over):
            return f"test {self.counted}"
        if not any(examples for _, examples in over):
            return "seeds"
        some = "" if all(examples for _, examples in over) else " where it was kept what each got"
        return f"seeds, and over test {self.counted}{some}"

    @cached_property
    def digits(self) -> tuple[Digits, ...]:
        """How the scores of each column are written, in tables, figures and sentences."""
        every = [[row.entries[i] for row in self.rows] for i in range(len(self.columns))]
        before = [[value for entry in entries for value in entry.before_after or ()] for entries in every]
        shown = zip(every, self.columns, before, strict=True)
        return tuple(of_estimates((e.estimate for e in entries), c.unit, others) for entries, c, others in shown)

    @cached_property
    def gain_digits(self) -> tuple[Digits, ...]:
        """How differences of the scores of each column are written: between methods, and to what was not trained."""
        every = [[row.entries[i] for row in self.rows] for i in range(len(self.columns))]
        gains = [[gain for entry in entries for gain in (entry.gain, entry.learned) if gain] for entries in every]
        shown = zip(gains, self.columns, self.digits, strict=True)
        return tuple(of_estimates(of, column.unit) if of else digits for of, column, digits in shown)

    @property
    def settings(self) -> list[str]:
        """The evaluations whose parameters are not in the names of the columns, with them."""
        return list(dict.fromkeys(c.evaluation for c in self.columns if c.called != c.evaluation))

    @property
    def marks(self) -> bool:
        """Is anything marked as best or worse?"""
        return any(entry.mark for row in self.rows for entry in row.entries)

    @property
    def seeds(self) -> int:
        """The most that anything has."""
        return max((len(entry.by_seed or {}) for row in self.rows for entry in row.entries), default=0)

    def panels(self, beside: int = PANEL) -> list[Panel]:
        """The columns that concern most rows first, then those of fewer, so that tables are full and fit on a page.

        beside: columns of one table, at most.
        """
        counts = [sum(row.entries[i].estimate is not None for row in self.rows) for i in range(len(self.columns))]
        order = sorted(range(len(counts)), key=lambda i: (not self.columns[i].ranked, i != self.leading, -counts[i]))
        parts = [tuple(order[start : start + beside]) for start in range(0, len(order), beside)]
        rows = [tuple(row for row in self.rows if any(row.entries[i].tried for i in part)) for part in parts]
        return [Panel(columns=part, rows=rows[n] if n else self.rows) for n, part in enumerate(parts)]

    def gained(self) -> list[int]:
        """The columns in which some row has a gain over the baseline."""
        return [i for i in range(len(self.columns)) if any(row.entries[i].gain for row in self.rows)]

    def learned(self) -> list[int]:
        """The columns in which some row can be told from its untrained self."""
        return [i for i in range(len(self.columns)) if any(row.entries[i].learned for row in self.rows)]

    def bound(self, index: int) -> float | None:
        """The end of what a score can be, where all methods are: such a score tells nothing apart. None elsewhere.

        As far as its decimals show; where there are two methods or more.
        """
        column = self.columns[index]
        entries = [row.entries[index] for row in self.rows if row.series.competes and row.entries[index].estimate]
        digits = self.digits[index]
        values = {number(entry.estimate.mean, digits) for entry in entries if entry.estimate}
        ends = [end for end in (column.low, column.high) if isfinite(end) and values == {number(end, digits)}]
        return ends[0] if ends and len(entries) > 1 else None

    @property
    def leading_part(self) -> str:
        """Which of several parts of the labels orders the rows, in one sentence; empty where there is one."""
        first = self.leading_column()
        if first is None or not first.labels:
            return ""
        parts = [column.labels for column in self.columns if (column.judge, column.score) == (first.judge, first.score)]
        if len(parts) < 2:
            return ""
        return (
            f"{first.judge.capitalize()} was fitted to {len(parts)} parts of the labels ({', '.join(parts)}): the "
            f"first, {first.labels}, orders the rows and is what the first sentence speaks of."
        )

    def leading_column(self) -> Column | None:
        return None if self.leading is None else self.columns[self.leading]

    def leading_entry(self, row: Row) -> Entry:
        return Entry() if self.leading is None else row.entries[self.leading]


def comparisons(frame: pd.DataFrame, series: Sequence[Series], runs: Mapping[str, Path] = NOWHERE) -> list[Comparison]:
    """One for each source and target, in the order of the frame. The frame comes from `with_series`.

    runs: the folders of the frame's runs by their names, where what each test example got is read.
    """
    examples, looks = Examples(runs), strictest(RunFolder(folder).looks() for folder in runs.values())
    measured = frame[frame["target"] != ""]
    pairs = measured[["source", "target"]].drop_duplicates().itertuples(index=False, name=None)
    frame = latest(frame[[column for column in frame.columns if column in COLUMNS or column == "series"]])
    of = {source: frame[frame["source"] == source] for source in frame["source"].unique()}
    return [_comparison(of[source], source, target, series, examples, looks) for source, target in pairs]


def _comparison(
    frame: pd.DataFrame, source: str, target: str, series: Sequence[Series], examples: Examples, looks: Looks | None
) -> Comparison:
    columns = columns_of(frame[frame["target"] == target])
    if looks:
        columns = tuple(replace(column, alpha=looks.alpha) for column in columns)
    rows = Rows(frame)
    present = [one for one in series if one.index in rows.series]
    by_column = [compared(_entries(rows, target, column, present, examples), column, present) for column in columns]
    by_series = [tuple(entries[i] for entries in by_column) for i in range(len(present))]
    shown = {one.index for one in worth_a_row(present)}
    pairs = zip(present, by_series, strict=True)
    finished = tuple(Row(series=one, entries=entries) for one, entries in pairs if one.index in shown)
    leading = _leading(columns)
    about: dict[str, Any] = {"source": source, "target": target, "counted": counted(frame), "looks": looks}
    return led_by(Comparison(**about, columns=columns, rows=finished, leading=leading), leading)


def led_by(comparison: Comparison, index: int | None) -> Comparison:
    """The same with another column as the one that ranks: best first by it."""
    found = replace(comparison, leading=index)
    return replace(found, rows=tuple(sorted(found.rows, key=lambda row: _rank_key(found, row))))


def _entries(rows: Rows, target: str, column: Column, series: Sequence[Series], examples: Examples) -> list[Entry]:
    def entry(one: Series) -> Entry:
        told = rows.of(one.index, target, column.evaluation)
        return entry_of(told, rows.of(one.index, "", TRAINING), column, examples)

    return [entry(one) for one in series]


def _leading(columns: Sequence[Column]) -> int | None:
    """The first that says it leads; where none does, the first that ranks."""
    leading = [i for i, column in enumerate(columns) if column.leads]
    return next(iter([*leading, *(i for i, column in enumerate(columns) if column.ranked)]), None)


def _rank_key(comparison: Comparison, row: Row) -> tuple[bool, float, int]:
    column, estimate = comparison.leading_column(), comparison.leading_entry(row).estimate
    if column is None or estimate is None:
        return (True, 0.0, row.series.index)
    return (False, estimate.mean if column.better == "lower" else -estimate.mean, row.series.index)


def table(results: Iterable[CellResult], folder: Path | None = None) -> pd.DataFrame:
    """The ranked comparison as a compact frame: a row per source, target and method, numbers only.

    For each primary score its mean and, as `... ±`, half its interval; for the leading one also the gain over
    the baseline (positive is better) and the gain's corrected p; where seeds were added until it was decided, also how
    many looks there were and the level of the last, for which p is multiplied.

    folder: of the run, where what each test example got is read; without it, intervals are over seeds alone.
    """
    frame, series = with_series(tidy_frame(results))
    rows = []
    for comparison in comparisons(frame, series, {"": folder} if folder else NOWHERE):
        for row in comparison.rows:
            leading = comparison.leading_entry(row)
            record: dict[str, object] = {"source": comparison.source, "target": comparison.target}
            record |= {"method": row.series.label, "kind": row.series.kind, "seeds": len(leading.by_seed or {})}
            record |= {"gain": leading.gain.effect if leading.gain else None, "gain p": leading.p}
            record |= (
                {"looks": len(comparison.looks.taken), "level": comparison.looks.alpha} if comparison.looks else {}
            )
            for column, entry in zip(comparison.columns, row.entries, strict=True):
                record[column.name] = entry.estimate.mean if entry.estimate else None
                record[f"{column.name} ±"] = entry.estimate.half_width if entry.estimate else None
            rows.append(record)
    return pd.DataFrame(rows).infer_objects()
