"""Sources against targets: what each method got on every target from every source, and which sources help which.

A method that was trained on a source and judged on another target is compared, on that target, with the untrained
backbone of the same source, and with the references that saw labels: trained on the target itself, and on the source.
All are paired by seed, and by test example where outcomes were kept. The p of one kind of gain are corrected by Holm
over all methods and all pairs of a source with another target.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Literal

from harness.metrics.statistics import Difference, holm
from harness.report.digits import Digits, of_estimates
from harness.report.entries import Column, Entry
from harness.report.numbers import Written, interval, signed
from harness.report.ranking import improvement
from harness.report.reading import listed
from harness.report.series import BASELINE, Series, in_its_setting
from harness.report.summary import Comparison
from harness.report.verdicts import Verdict, verdict

AT_HOME = "of its own comparison"
LEAST = 2  # pairs of a source and another target, from which on there is something to set side by side
Word = Literal["helps", "harms", "no difference found", "cannot tell"]
WORDS: tuple[Word, ...] = ("helps", "harms", "no difference found", "cannot tell")
MEANING = (
    f"Below a score: its gain over {BASELINE} of the same source and target, and over what saw labels, trained on the "
    "target itself and on the source; positive is better. Differences are paired by seed, and by test example where "
    "outcomes were kept. p is corrected by Holm, each kind of gain by itself, over all methods and all pairs of a "
    "source and another target; a source on itself has the p of its own comparison. References are not tested."
)


@dataclass(frozen=True, kw_only=True)
class Gain:
    """By how much one method on one target is better than something else there."""

    over: str  # "random-init", "supervised on shapes"
    difference: Difference
    family: str  # what it is corrected together with
    p: float | None = None  # corrected; None: not tested, or there is no test of it
    tested: bool = False  # what is shown for scale is not

    def says(self, unit: Written) -> Verdict | None:
        """What the test said; None where there was none."""
        return verdict(self.difference, self.p, unit) if self.tested else None

    def word(self, unit: Written) -> Word | None:
        """The verdict, with its direction; None for what was not tested."""
        says = self.says(unit)
        if says is None:
            return None
        if says.word == "differs":
            return "helps" if self.difference.effect > 0 else "harms"
        return says.word


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One method, trained on a source, on a target."""

    entry: Entry
    gains: tuple[Gain, ...] = ()  # over the baseline first

    @property
    def over_baseline(self) -> Gain | None:
        return next((gain for gain in self.gains if gain.over == BASELINE), None)


@dataclass(frozen=True, kw_only=True)
class TransferRow:
    series: Series
    source: str
    cells: tuple[Cell | None, ...]  # one for each target; None: not asked


@dataclass(frozen=True, kw_only=True)
class Overall:
    """What one method gained over the baseline, on average over pairs of a source and another target."""

    series: Series
    difference: Difference  # over seeds
    p: float | None  # corrected over the methods
    words: Mapping[Word, int]  # on how many pairs it was said


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """One leading score over sources and targets."""

    column: Column
    leads: bool  # it orders the rows of its comparisons; the others answer a question besides
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    rows: tuple[TransferRow, ...]  # methods, each with its sources

    @cached_property
    def digits(self) -> Digits:
        """How its scores are written, for all sources and targets."""
        return of_estimates((cell.entry.estimate for cell in self._cells()), self.column.unit)

    @cached_property
    def gain_digits(self) -> Digits:
        """How its gains are written."""
        gains = [gain.difference for cell in self._cells() for gain in cell.gains]
        return of_estimates(gains, self.column.unit) if gains else self.digits

    def _cells(self) -> Iterator[Cell]:
        return (cell for row in self.rows for cell in row.cells if cell)

    def helped(self, source: str, target: str) -> list[tuple[Word, list[tuple[Series, Gain]]]]:
        """What was said of the gains over the baseline of that pair: the methods by verdict."""
        found: dict[Word, list[tuple[Series, Gain]]] = {word: [] for word in WORDS}
        for row in self.rows:
            cell = row.cells[self.targets.index(target)] if row.source == source else None
            gain = cell and cell.over_baseline
            word = gain and row.series.competes and gain.word(self.column.unit)
            if gain and word:
                found[word].append((row.series, gain))
        return [(word, sorted(gains, key=_largest_first)) for word, gains in found.items() if gains]

    @property
    def by_method(self) -> str:
        """What training on another dataset gave each method over the baseline on average, in one sentence."""
        about = f"{self.column.asks} ({self.column.name})" if self.column.asks else f"By {self.column.name}"
        overall = self._overall()
        return f"{about}: {'; '.join(map(self._said, overall))}." if overall else self.sentence

    def _said(self, one: Overall) -> str:
        """`simclr +0.065 [0.012, 0.118] (p = 0.021), helps on 2 of 6`."""
        gain, unit = one.difference, self.gain_digits
        says = verdict(gain, one.p, unit) if gain.p is not None else None
        parts = [one.series.label, signed(gain.effect, unit), interval(gain, unit), f"({says})" if says else ""]
        return f"{' '.join(filter(None, parts))}, {_counted(one.words)}"

    def _overall(self) -> list[Overall]:
        """Each method over all pairs of a source and another target, the largest mean gain first."""
        words: dict[Series, dict[Word, int]] = {}
        for source, target in self._pairs():
            for word, gains in self.helped(source, target):
                for series, _ in gains:
                    words.setdefault(series, dict.fromkeys(WORDS, 0))[word] += 1
        baselines = list(dict.fromkeys(row.series for row in self.rows if row.series.is_baseline))
        found = [(one, self._mean_gain(one, in_its_setting(one, baselines)), of) for one, of in words.items()]
        known = [(one, gain, of) for one, gain, of in found if gain is not None]
        ps = holm([gain.p for _, gain, _ in known])
        overall = [
            Overall(series=one, difference=gain, p=p, words=of) for (one, gain, of), p in zip(known, ps, strict=True)
        ]
        return sorted(overall, key=lambda one: -one.difference.effect)

    def _mean_gain(self, one: Series, baseline: Series | None) -> Difference | None:
        """Over the pairs that both have, paired by seed: the pairs are held fixed, and their test examples."""
        entries = [(self._entry(one, *pair), self._entry(baseline, *pair)) for pair in self._pairs()]
        both = [(a.by_seed, b.by_seed) for a, b in entries if a and b and a.by_seed and b.by_seed]
        seeds = set.intersection(*({*a} & {*b} for a, b in both)) if both else set()
        means = [{seed: fmean(pair[i][seed] for pair in both) for seed in sorted(seeds)} for i in (0, 1)]
        return improvement(Entry(by_seed=means[0]), Entry(by_seed=means[1]), self.column) if seeds else None

    def _entry(self, one: Series | None, source: str, target: str) -> Entry | None:
        rows = (row for row in self.rows if row.series == one and row.source == source)
        cells = (row.cells[self.targets.index(target)] for row in rows)
        return next((cell.entry for cell in cells if cell), None)

    @property
    def _about(self) -> str:
        return f"Training on another dataset, against {BASELINE} of the same source and target by {self.column.name}"

    @property
    def sentence(self) -> str:
        """Which sources help which targets, of those that are another dataset."""
        places: dict[Word, list[str]] = {word: [] for word in WORDS}
        for source, target in self._pairs():
            for word, gains in self.helped(source, target):
                names = listed([series.label for series, _ in gains])
                places[word].append(f"{source} → {target} ({names})")
        said = {word: listed(where) for word, where in places.items() if where}
        if not said:
            return f"By {self.column.name}, no gain of training on another dataset could be tested against {BASELINE}."
        parts = [f"it {word} on {where}" for word, where in said.items() if word in ("helps", "harms")]
        parts += [f"no difference found on {said['no difference found']}"] if "no difference found" in said else []
        parts += [f"one cannot tell on {said['cannot tell']}"] if "cannot tell" in said else []
        return f"{self._about}: {'; '.join(parts)}."

    def _pairs(self) -> Iterator[tuple[str, str]]:
        return ((s, t) for s in self.sources for t in self.targets if s != t)


def _counted(of: Mapping[Word, int]) -> str:
    """Which of one method's pairs were told apart, each by itself.

    >>> _counted({"helps": 5, "harms": 0, "no difference found": 0, "cannot tell": 1})
    'helps on 5 of 6 pairs'
    >>> _counted({"helps": 0, "harms": 2, "no difference found": 0, "cannot tell": 0})
    'helps on none of 2 pairs, harms on 2'
    """
    total, helps = sum(of.values()), of["helps"]
    said = f"helps on {helps or 'none'} of {total} pairs"
    return f"{said}, harms on {of['harms']}" if of["harms"] else said


def _largest_first(one: tuple[Series, Gain]) -> float:
    return -abs(one[1].difference.effect)


Place = tuple[str, str]  # source, target
Key = tuple[int, Place]  # of a series at a place


def transfers(compared: Sequence[Comparison]) -> list[Transfer]:
    """One for each score that leads some comparisons or answers a question, where two or more are of another target.

    The scores that lead come first.
    """
    by_score: dict[tuple[bool, str, str], list[tuple[Comparison, int]]] = {}
    for comparison in compared:
        for index, column in enumerate(comparison.columns):
            leads = index == comparison.leading
            if column.ranked and (leads or column.asks):
                by_score.setdefault((not leads, column.evaluation, column.score), []).append((comparison, index))
    ordered = sorted(by_score.items(), key=lambda one: one[0][0])
    return [
        _transfer(group, leads=not second)
        for (second, _, _), group in ordered
        if sum(c.source != c.target for c, _ in group) >= LEAST
    ]


def _transfer(group: Sequence[tuple[Comparison, int]], *, leads: bool) -> Transfer:
    first, place = group[0]
    column = first.columns[place]
    entries = {(c.source, c.target): {row.series: row.entries[index] for row in c.rows} for c, index in group}
    cells = _corrected(
        {
            (one.index, place): Cell(entry=entry, gains=tuple(_gains(one, place, entries, column)))
            for place, of in entries.items()
            for one, entry in of.items()
        },
        {one.index for of in entries.values() for one in of if one.competes},
    )
    sources, targets = (tuple(dict.fromkeys(names)) for names in zip(*entries, strict=True))
    series = sorted({one for of in entries.values() for one in of}, key=lambda one: one.index)
    rows = [
        TransferRow(series=one, source=source, cells=tuple(cells.get((one.index, (source, t))) for t in targets))
        for one in series
        for source in sources
    ]
    told = tuple(row for row in rows if any(cell and cell.entry.tried for cell in row.cells))
    return Transfer(column=column, leads=leads, sources=sources, targets=targets, rows=told)


def _gains(one: Series, place: Place, entries: Mapping[Place, dict[Series, Entry]], column: Column) -> Iterator[Gain]:
    """Over the baseline, then over each reference that saw labels: trained on the target, and on the source."""
    source, target = place
    own = entries[place][one]
    if own.gain is not None:
        at_home = source == target
        yield Gain(over=BASELINE, difference=own.gain, family=AT_HOME if at_home else BASELINE, p=own.p)
    for home, what in ((target, "target"), (source, "source"))[: 1 + (source != target)]:
        there = entries.get((home, target), {})
        for method, other in _labelled(one, list(there)):
            if other == one and home == source:
                continue
            found = improvement(own, there[other], column)
            if found is not None:
                family = f"{method}, {what if source != target else 'itself'}"
                yield Gain(over=f"{other.label} on {home}", difference=found, family=family)


def _labelled(one: Series, there: Sequence[Series]) -> Iterator[tuple[str, Series]]:
    """The references that saw labels in the setting of a series, by their method; itself, where it is one of them."""
    labelled = [other for other in there if other.is_reference and other.uses]
    for method in dict.fromkeys(other.method for other in labelled):
        alike = [other for other in labelled if other.method == method]
        other = one if one in alike else in_its_setting(one, alike)
        if other is not None:
            yield method, other


def _corrected(cells: Mapping[Key, Cell], tested: Collection[int]) -> dict[Key, Cell]:
    """With the p of all gains of one family by Holm; what a method has at home keeps the p of its own comparison."""
    families: dict[str, list[tuple[Key, Gain]]] = {}
    for key, cell in cells.items():
        for gain in cell.gains:
            if key[0] in tested and gain.family != AT_HOME:
                families.setdefault(gain.family, []).append((key, gain))
    ps: dict[tuple[Key, str], float | None] = {}
    for family, gains in families.items():
        corrected = holm([gain.difference.p for _, gain in gains])
        ps |= {(key, family): p for (key, _), p in zip(gains, corrected, strict=True)}
    return {
        key: replace(
            cell, gains=tuple(replace(g, p=ps.get((key, g.family), g.p), tested=key[0] in tested) for g in cell.gains)
        )
        for key, cell in cells.items()
    }
