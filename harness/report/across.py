"""Methods across datasets: average ranks, interquartile means, and how probable it is that the best one is better.

Of scores that rank, on three or more datasets that methods were both trained and judged on. A dataset is one case; its
seeds are repetitions. Compared is what learned from examples alone, and the untrained backbone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from harness.metrics.across_datasets import Scores, arranged
from harness.metrics.bayesian_signed_rank import Posterior, bayesian_signed_rank
from harness.metrics.critical_difference import Diagram, critical_difference
from harness.metrics.performance_profiles import performance_profiles
from harness.metrics.signed_rank import smallest_p
from harness.metrics.statistics import Estimate
from harness.metrics.stratified_bootstrap import interquartile_mean
from harness.report.across_figures import critical_difference_chart, intervals_chart, profiles_chart
from harness.report.digits import Digits, of_estimates
from harness.report.entries import Column, Entry
from harness.report.figures import Drawing
from harness.report.numbers import ALPHA
from harness.report.palette import Look
from harness.report.pictures import slug
from harness.report.reading import listed
from harness.report.series import BASELINE, Series
from harness.report.summary import Comparison

FEWEST = 3  # datasets
ROPE = 0.01  # of a fraction: a smaller difference is practically none
MEANING = (
    f"Compared is what learned from examples alone, and {BASELINE}; other references are not. A dataset is one case, "
    "and its scores are means over seeds, as they are: not scaled to what a dataset allows. The interquartile mean is "
    "of the middle half of all runs. The best is the first by average rank, picked from these same scores; beside the "
    "others stands how probable it is, by the Bayesian signed-rank test, that on a new dataset like these it is better "
    f"by more than {ROPE}, that they are practically equal, or that the other is better, and Wilcoxon's p of the two, "
    "corrected by Holm over all pairs."
)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One method over all datasets."""

    series: Series
    rank: float  # average, 1 is the best
    middle: Estimate  # interquartile mean of its runs
    against: Posterior | None = None  # left: the best is better; None: it is the best, or there is no such unit
    p: float | None = None  # of the difference to the best, corrected over all pairs


@dataclass(frozen=True, kw_only=True)
class Across:
    """One score over datasets: the methods from the best average rank to the worst."""

    column: Column
    scores: Scores
    diagram: Diagram
    standings: tuple[Standing, ...]
    left_out: tuple[str, ...]  # sentences
    drawings: tuple[Drawing, ...] = ()  # of the leading score alone

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers cannot say, and what is not in them; each once."""
        said = [self.diagram.note, self._overconfident, *(one.middle.note for one in self.standings)]
        sentences = [f"{note[0].upper()}{note[1:]}." for note in said if note]
        return tuple(dict.fromkeys([*sentences, *self.left_out]))

    @property
    def _overconfident(self) -> str:
        """What to say where so few datasets bring the Bayesian probability near 1 by chance."""
        count = len(self.scores.datasets)
        chance = smallest_p(count)
        if not self.has_posterior or chance < ALPHA:
            return ""
        return (
            f"of two methods that are alike, one is above the other on all {count} datasets with probability "
            f"{chance:.2g}, and the Bayesian probability is then near 1: with so few it is no evidence by itself"
        )

    @cached_property
    def digits(self) -> Digits:
        """How its means are written."""
        return of_estimates((one.middle for one in self.standings), self.column.unit)

    @property
    def has_posterior(self) -> bool:
        return any(one.against for one in self.standings)


def across_datasets(compared: Sequence[Comparison], looks: Mapping[int, Look]) -> list[Across]:
    """For each score that leads on three datasets or more, and for each other one that ranks and lies in [0,1]."""
    at_home = [comparison for comparison in compared if comparison.source == comparison.target]
    found: dict[tuple[str, str], dict[str, tuple[Comparison, int]]] = {}
    leading = []
    for comparison in at_home:
        for i, column in enumerate(comparison.columns):
            key = (column.evaluation, column.score)
            leads = i == comparison.leading
            if column.ranked and (leads or (column.low, column.high) == (0.0, 1.0)):
                found.setdefault(key, {})[comparison.source] = (comparison, i)
                leading += [key] if leads else []
    ordered = sorted(found, key=lambda key: key not in leading)
    told = [(key, _across(list(found[key].values()))) for key in ordered if len(found[key]) >= FEWEST]
    return [
        replace(across, drawings=tuple(_drawings(across, looks))) if key in leading else across
        for key, across in told
        if across is not None
    ]


def _across(places: Sequence[tuple[Comparison, int]]) -> Across | None:
    """None where no two methods that learned have three datasets in common."""
    column = places[0][0].columns[places[0][1]]
    entries: dict[Series, dict[str, Entry]] = {}
    for comparison, i in places:
        for row in comparison.rows:
            if (row.series.competes and not row.series.uses) or row.series.is_baseline:
                entries.setdefault(row.series, {})[comparison.source] = row.entries[i]
    kept, dropped = _with_enough(entries)
    if sum(one.competes for one in kept) < 2:
        return None
    named = _named(kept)
    runs = [
        (name, dataset, seed, value)
        for name, one in named.items()
        for dataset, entry in entries[one].items()
        for seed, value in (entry.by_seed or {}).items()
    ]
    methods, datasets, seeds, values = zip(*runs, strict=True)
    scores = arranged(methods, datasets, seeds, values, better="lower" if column.better == "lower" else "higher")
    diagram = critical_difference(scores)
    return Across(
        column=column,
        scores=scores,
        diagram=diagram,
        standings=tuple(_standings(scores, diagram, named, column)),
        left_out=(*dropped, *scores.left_out),
    )


def _with_enough(entries: Mapping[Series, Mapping[str, Entry]]) -> tuple[list[Series], list[str]]:
    """The methods that have three datasets in common, and a sentence of those that were left out so that they have.

    The method with the fewest datasets goes first.
    """
    has = {one: {where for where, entry in of.items() if entry.by_seed} for one, of in entries.items()}
    kept, dropped = list(has), []
    while kept and len(set.intersection(*(has[one] for one in kept))) < FEWEST:
        gone = min(kept, key=lambda one: len(has[one]))
        kept.remove(gone)
        dropped.append(gone)
    if not dropped:
        return kept, []
    counts = sorted({len(has[one]) for one in dropped})
    some = f"{' to '.join(map(str, dict.fromkeys([counts[0], counts[-1]])))} dataset{'' if counts == [1] else 's'}"
    names = listed([one.label for one in dropped])
    have = "is left out: it has" if len(dropped) == 1 else "are left out: they have"
    return kept, [f"{names} {have} scores on {some}, and at least {FEWEST} must be common."]


def _named(series: Sequence[Series]) -> dict[str, Series]:
    """By label; two of one label by their number too."""
    labels = [one.label for one in series]
    return {one.label if labels.count(one.label) == 1 else f"{one.label} ({one.index})": one for one in series}


def _standings(scores: Scores, diagram: Diagram, named: Mapping[str, Series], column: Column) -> Iterator[Standing]:
    places = [scores.methods.index(name) for name in diagram.methods]
    bounded = (column.low, column.high) == (0.0, 1.0)
    for order, (name, place, rank) in enumerate(zip(diagram.methods, places, diagram.ranks, strict=True)):
        first = order == 0
        against = bayesian_signed_rank(scores.means[places[0]], scores.means[place], ROPE)
        yield Standing(
            series=named[name],
            rank=rank,
            middle=interquartile_mean(scores.values[place]),
            against=against if bounded and not first else None,
            p=None if first else float(diagram.p[0, order]),
        )


def _drawings(across: Across, looks: Mapping[int, Look]) -> Iterator[Drawing]:
    column, series = across.column, [one.series for one in across.standings]
    name, count = slug(f"across-{column.name}"), len(across.scores.datasets)
    yield critical_difference_chart(across.diagram, series, looks, f"{name}-ranks")
    middles = {f"interquartile mean of {column.name}": [one.middle for one in across.standings]}
    yield intervals_chart(middles, series, looks, f"{name}-means", unit=column.unit, datasets=count)
    profiles = performance_profiles(across.scores)
    ordered = [profiles[method] for method in across.diagram.methods]
    yield profiles_chart(ordered, series, looks, column.name, f"{name}-profiles", better=across.scores.better)
