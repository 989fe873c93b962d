"""Aggregates over datasets with stratified bootstrap intervals: interquartile mean, mean, median, optimality gap.

Agarwal et al. 2021, arXiv:2108.13264, section 4.3 and appendix A; the same numbers as their library, rliable 1.2, where
all datasets have one number of seeds. Seeds are drawn again within each dataset, and datasets stay as they are: the
interval speaks of new seeds on these datasets, not of other datasets or of other test examples.

Few seeds make it too short, as drawing S of S seeds again has (S-1)/S of their variance: in simulation (3, 8 and 20
datasets, normal runs, 400 repetitions) 95 % intervals of the interquartile mean and the mean hold the truth in 69 to
80 % of cases with 2 seeds, 82 to 91 % with 3, 81 to 93 % with 5, 91 to 94 % with 10. `note` says so below 10 seeds.

M methods, D datasets, S seeds, N runs of one method, R resamples, B of them in a block.
A resample is how often each run was drawn, (B,N); every aggregate is then a product with it, and nothing is sorted or
looped over per resample. Differs from the paper where datasets have different numbers of seeds: each dataset weighs the
same, where pooling all runs would weigh it by its seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

from harness.metrics.across_datasets import Floats
from harness.metrics.statistics import LEVEL, SAME_NUMBER, Estimate

RESAMPLES = 10_000
FEW = 10  # seeds a dataset, from which on 95 % intervals come near what they say
CELLS = 2**20  # numbers in a block: 8 MiB
ONE_SEED_EACH = "one seed on each dataset: no interval over seeds"


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs of one method, dataset by dataset."""

    values: Floats  # (N,)
    seeds: NDArray[np.int64]  # (D,) how many each dataset has

    @classmethod
    def of(cls, scores: Floats) -> Runs:
        """From (D,S), NaN where a dataset has fewer seeds. Raises ValueError where one has none."""
        scores = np.asarray(scores, dtype=np.float64)
        there = ~np.isnan(scores)
        if scores.ndim != 2 or not scores.size or not there.any(axis=1).all() or np.isinf(scores).any():
            raise ValueError("needs scores of shape (datasets, seeds), finite, with at least one seed on every dataset")
        return cls(values=scores[there], seeds=there.sum(axis=1))

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each dataset begins in `values`. (D,)"""
        starts: NDArray[np.int64] = np.cumsum(self.seeds) - self.seeds
        return starts

    @property
    def mass(self) -> Floats:
        """What one run weighs: 1 where its dataset has the most seeds, more where it has fewer. (N,)"""
        return np.repeat(self.seeds.max() / self.seeds, self.seeds)

    def once(self) -> Floats:
        """The sample itself: each run drawn once. (1,N)"""
        return np.ones((1, len(self.values)))

    def drawn(self, resamples: int, generator: np.random.Generator) -> Iterator[Floats]:
        """How often each run is drawn, within its dataset and with replacement, in blocks of (B,N)."""
        n = len(self.values)
        high, start = np.repeat(self.seeds, self.seeds), np.repeat(self.starts, self.seeds)
        for size in blocks(resamples, n):
            index = start + generator.integers(0, high, size=(size, n)) + n * np.arange(size)[:, None]  # (B,N)
            yield np.bincount(index.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)

    def averages(self, drawn: Floats, values: Floats | None = None) -> Floats:
        """Each dataset's mean of `values` (those of the runs where None) in each resample. (B,D)"""
        sums = np.add.reduceat(drawn * (self.values if values is None else values), self.starts, axis=1)
        averages: Floats = sums / self.seeds
        return averages

    @property
    def why_no_interval(self) -> str:
        """Empty where there is one."""
        if self.seeds.max() == 1:
            return ONE_SEED_EACH
        first = np.repeat(self.values[self.starts], self.seeds)
        same = np.abs(self.values - first).max() <= 1e-12 * max(1e-12, float(np.abs(self.values).max()))
        return SAME_NUMBER if same else ""

    @property
    def note(self) -> str:
        """What an interval lacks: datasets of one seed have no spread to draw from, and few seeds have too little."""
        single, most = int((self.seeds == 1).sum()), int(self.seeds.max())
        lacks = []
        if single:
            lacks.append(f"{single} of {len(self.seeds)} datasets with one seed: its spread is not in the interval")
        if most < FEW:
            lacks.append(f"at most {most} seeds a dataset: an interval from so few is too short")
        return "; ".join(lacks)


Aggregate = Callable[[Runs, Floats], Floats]  # of runs and a block of resamples (B,N): (B,)


def blocks(resamples: int, width: int) -> Iterator[int]:
    """Sizes of blocks of resamples, so that one of that width stays within 8 MiB."""
    size = max(1, CELLS // max(1, width))
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def iqm(runs: Runs, drawn: Floats) -> Floats:
    """The mean of the middle half of all runs: floor(n/4) of n = D max(seeds) are cut at each end. (B,)"""
    order = np.argsort(runs.values)
    total = len(runs.seeds) * int(runs.seeds.max())
    cut = floor(total / 4)
    upto = np.cumsum(drawn[:, order] * runs.mass[order], axis=1)  # (B,N) mass of this value and all smaller ones
    kept = np.diff(np.clip(upto, cut, total - cut), axis=1, prepend=cut)  # (B,N) what lies between the cuts
    middle: Floats = kept @ runs.values[order] / (total - 2 * cut)
    return middle


def mean_of_means(runs: Runs, drawn: Floats) -> Floats:
    """The mean over datasets of each one's mean. (B,)"""
    mean: Floats = runs.averages(drawn).mean(axis=1)
    return mean


def median_of_means(runs: Runs, drawn: Floats) -> Floats:
    """The median over datasets of each one's mean. (B,)"""
    median: Floats = np.median(runs.averages(drawn), axis=1)
    return median


def gap_to(target: float) -> Aggregate:
    """The optimality gap: by how much runs fall short of `target` on average; what is above it counts as no gain."""

    def gap(runs: Runs, drawn: Floats) -> Floats:
        short: Floats = target - runs.averages(drawn, np.minimum(runs.values, target)).mean(axis=1)
        return short

    return gap


def interquartile_mean(scores: Floats, *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL) -> Estimate:
    """The mean of the middle half of the runs of one method (D,S), and its interval. `n` counts the runs.

    >>> found = interquartile_mean(np.array([[0.1, 0.9], [0.5, 0.7]]))
    >>> round(found.mean, 3), found.n
    (0.6, 4)
    """
    return aggregated(scores, iqm, resamples=resamples, seed=seed, level=level)


def optimality_gap(
    scores: Floats, target: float = 1.0, *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Estimate:
    """By how much the runs of one method (D,S) fall short of `target` on average, greater scores being better."""
    return aggregated(scores, gap_to(target), resamples=resamples, seed=seed, level=level)


def aggregated(
    scores: Floats, aggregate: Aggregate, *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Estimate:
    """Any of the aggregates above over (D,S) with its percentile interval; `mean` is the aggregate of the sample.

    Raises ValueError for what has no run on some dataset.
    """
    runs = Runs.of(scores)
    value, n = float(aggregate(runs, runs.once())[0]), len(runs.values)
    if runs.why_no_interval:
        return Estimate(mean=value, low=None, high=None, n=n, note=runs.why_no_interval)
    generator = np.random.default_rng(seed)
    found = np.concatenate([aggregate(runs, drawn) for drawn in runs.drawn(resamples, generator)])
    low, high = percentile_interval(found, level)
    return Estimate(mean=value, low=float(low), high=float(high), n=n, note=runs.note)


def percentile_interval(found: Floats, level: float) -> tuple[Floats, Floats]:
    """The percentiles of (R,...) that leave (1-level)/2 on each side. (...), (...)"""
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def probability_of_improvement(
    x: Floats, y: Floats, *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Estimate:
    """P(X > Y) of one run of each on the same dataset, ties half, averaged over datasets; x (D,Sx), y (D,Sy).

    The Mann-Whitney statistic of each dataset over its number of pairs; the two methods are drawn apart. Greater
    scores are better. Raises ValueError where the numbers of datasets differ.

    >>> probability_of_improvement(np.array([[3.0, 4.0]]), np.array([[1.0, 3.0]])).mean
    0.875
    """
    one, other = Runs.of(x), Runs.of(y)
    if len(one.seeds) != len(other.seeds):
        raise ValueError(f"x has {len(one.seeds)} datasets and y {len(other.seeds)}: they must be the same")
    wins = _wins(one, other)  # (Nx,Ny)
    value, n = float(_improved(one, one.once(), other, other.once(), wins)[0]), len(one.values) + len(other.values)
    if one.why_no_interval and other.why_no_interval:
        return Estimate(mean=value, low=None, high=None, n=n, note=one.why_no_interval)
    found = []
    streams = np.random.default_rng(seed).spawn(2)
    width = max(len(one.values), len(other.values))
    for size in blocks(resamples, width):  # both in blocks of one size
        (a,), (b,) = one.drawn(size, streams[0]), other.drawn(size, streams[1])
        found.append(_improved(one, a, other, b, wins))
    low, high = percentile_interval(np.concatenate(found), level)
    return Estimate(mean=value, low=float(low), high=float(high), n=n, note=one.note or other.note)


def _wins(one: Runs, other: Runs) -> Floats:
    """Share of (dataset, pair of runs) that each pair stands for where x wins, half of it at a tie; else 0. (Nx,Ny)"""
    above = np.sign(one.values[:, None] - other.values) / 2 + 0.5
    datasets = np.arange(len(one.seeds))
    same = np.repeat(datasets, one.seeds)[:, None] == np.repeat(datasets, other.seeds)
    pairs = len(datasets) * np.repeat(one.seeds, one.seeds)[:, None] * np.repeat(other.seeds, other.seeds)
    wins: Floats = np.where(same, above, 0.0) / pairs
    return wins


def _improved(one: Runs, a: Floats, other: Runs, b: Floats, wins: Floats) -> Floats:
    """(B,Nx), (B,Ny) -> (B,)"""
    improved: Floats = np.einsum("bj,bj->b", a @ wins, b)
    return improved
