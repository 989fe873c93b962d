"""Means, differences and their uncertainty over few seeds, as numbers that a report may print.

A seed is a replicate, and seeds are paired across methods (the same split, initialisation and order), so methods are
compared by their difference within each seed. n seeds, sd: sample standard deviation with n-1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import isfinite, sqrt

import numpy as np
from scipy import optimize, special
from scipy import stats as distributions

SAME_NUMBER = "all seeds gave the same number: no interval"
ONE_SEED = "one seed: no interval"
LEVEL = 0.95
ALPHA = 0.05
POWER = 0.80
MOST_SEEDS = 100  # to run more is no advice


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean with its interval; `low` and `high` are None where the data cannot give one, and `note` says why."""

    mean: float
    low: float | None
    high: float | None
    n: int  # replicates behind the mean; behind a Wilson interval, examples
    examples: int = 0  # test examples that the interval speaks of too, see harness.metrics.crossed; 0: of seeds alone
    note: str = ""

    @property
    def half_width(self) -> float | None:
        """Half the length of the interval, in the score's unit."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The mean of a - b over the seeds that both have, its interval, the paired t test's p, and its power."""

    effect: float
    low: float | None
    high: float | None
    p: float | None
    n: int  # seeds in common
    unpaired: int  # seeds that only one of the two has, and that are left out
    examples: int = 0  # test examples that it speaks of too, see harness.metrics.crossed; 0: of seeds alone
    of_seeds: float = 0.0  # the parts of its variance, see harness.metrics.crossed: by seeds, for n of them
    of_examples: float = 0.0  # and by examples
    alpha: float = ALPHA  # the level that it is tested at; where there were several looks, of the last
    note: str = ""

    @property
    def detectable(self) -> float | None:
        """The smallest true difference that is found with 80 % power at its level; None where there is no test.

        It takes milliseconds, and few ask.
        """
        if self.p is None:
            return None
        return detectable_difference(sqrt(self.of_seeds * self.n), self.n, self.alpha)


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Mean and Student interval: mean +- t((1+level)/2; n-1) sd / sqrt(n).

    >>> found = mean_interval([0.90, 0.92, 0.94])
    >>> round(found.mean, 3), round(found.low, 4), round(found.high, 4)
    (0.92, 0.8703, 0.9697)
    """
    numbers = _finite(values)
    n, mean = len(numbers), float(numbers.mean())
    if n == 1:
        return Estimate(mean=mean, low=None, high=None, n=1, note=ONE_SEED)
    sd = _deviation(numbers)
    if sd == 0:
        return Estimate(mean=mean, low=None, high=None, n=n, note=SAME_NUMBER)
    half = float(distributions.t.ppf((1 + level) / 2, n - 1)) * sd / sqrt(n)
    return Estimate(mean=mean, low=mean - half, high=mean + half, n=n)


def within(estimate: Estimate, low: float, high: float) -> Estimate:
    """The interval cut to what a score can be: a t interval knows no bounds, and no value outside is possible.

    >>> cut = within(mean_interval([0.90, 0.99]), 0.0, 1.0)
    >>> round(cut.mean, 3), round(cut.low, 3), cut.high
    (0.945, 0.373, 1.0)
    """
    if estimate.low is None or estimate.high is None or not low <= estimate.mean <= high:
        return estimate
    return replace(estimate, low=max(low, estimate.low), high=min(high, estimate.high))


def wilson(share: float, n: int, level: float = LEVEL) -> Estimate:
    """Wilson's score interval of a share of n independent examples: what one seed can say of an accuracy.

    It covers which examples were drawn for the test, and not how training would vary. Wilson 1927, JASA 22:209. Raises
    ValueError without examples, or for what is no share.

    >>> found = wilson(0.9, 100)
    >>> round(found.low, 4), round(found.high, 4)
    (0.8256, 0.9448)
    """
    if n < 1 or not 0 <= share <= 1:
        raise ValueError(f"wilson needs a share in [0,1] of n >= 1 examples, got {share} of {n}")
    z = float(distributions.norm.ppf((1 + level) / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Estimate(mean=share, low=low, high=high, n=n, note=f"one seed: Wilson interval over {n:,} test examples")


def paired_difference(a: Mapping[int, float], b: Mapping[int, float], level: float = LEVEL) -> Difference | None:
    """Compare two methods by the seeds that both have (maps of seed -> score); None where they share no seed.

    >>> found = paired_difference({0: 0.90, 1: 0.92, 2: 0.94}, {0: 0.89, 1: 0.90, 2: 0.93, 3: 0.5})
    >>> round(found.effect, 4), found.n, found.unpaired, round(found.p, 3)
    (0.0133, 3, 1, 0.057)
    """
    common = sorted(a.keys() & b.keys())
    if not common:
        return None
    deltas = _finite([a[seed] - b[seed] for seed in common])
    over_seeds = mean_interval(deltas.tolist(), level)
    sd = _deviation(deltas) if len(deltas) > 1 else 0.0
    p = None
    if sd > 0:
        statistic = over_seeds.mean / (sd / sqrt(len(deltas)))
        p = float(2 * distributions.t.sf(abs(statistic), len(deltas) - 1))
    return Difference(
        effect=over_seeds.mean,
        low=over_seeds.low,
        high=over_seeds.high,
        p=p,
        n=len(common),
        unpaired=len(a.keys() ^ b.keys()),
        of_seeds=sd**2 / len(deltas),
        alpha=ALPHA if level == LEVEL else 1 - level,
        note="all seeds gave the same difference: no test" if over_seeds.note == SAME_NUMBER else over_seeds.note,
    )


def power_of_paired_t(difference: float, sd: float, n: int, alpha: float = 1 - LEVEL) -> float:
    """The chance that a two-sided paired t test over n seeds finds a true `difference`.

    P(|T| > t(1-alpha/2; n-1)) for T non-central t, T = (Z + sqrt(n) difference/sd) / S with S^2 ~ chi2(n-1)/(n-1),
    as the mean over S (by quadrature: scipy's own non-central t is NaN at places that few seeds need).

    >>> round(power_of_paired_t(1.0, 1.0, 10), 3)
    0.803
    """
    critical = float(distributions.t.ppf(1 - alpha / 2, n - 1))
    spread, weights = _chi_quadrature(n - 1)
    threshold = critical * spread
    shift = difference * sqrt(n) / sd
    found = special.ndtr(shift - threshold) + special.ndtr(-shift - threshold)
    return float((weights * found).sum())


@cache
def _chi_quadrature(freedom: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for means over S, S^2 ~ chi2(freedom)/freedom: Gauss-Legendre over its quantiles."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    return np.sqrt(distributions.chi2.ppf((nodes + 1) / 2, freedom) / freedom), weights / 2


def detectable_difference(sd: float, n: int, alpha: float = 1 - LEVEL, power: float = POWER) -> float:
    """The smallest true difference that n paired seeds find with this power, where differences vary by `sd`.

    In the unit of `sd`. Raises ValueError for fewer than 2 seeds or no spread.

    >>> round(detectable_difference(0.01, 3), 3), round(detectable_difference(0.01, 10), 3)
    (0.033, 0.01)
    """
    if n < 2 or sd <= 0:
        raise ValueError("a detectable difference needs n >= 2 seeds and sd > 0")
    return _detectable_in_deviations(n, alpha, power) * sd


@cache
def _detectable_in_deviations(n: int, alpha: float, power: float) -> float:
    return float(optimize.brentq(lambda size: power_of_paired_t(size, 1.0, n, alpha) - power, 0.0, 60.0))


def seeds_needed(enough: Callable[[int], bool]) -> int | None:
    """The fewest seeds, 2 or more, that are `enough`, which more are too; None where MOST_SEEDS are not.

    >>> seeds_needed(lambda seeds: power_of_paired_t(1.0, 1.0, seeds) >= 0.8), seeds_needed(lambda seeds: False)
    (10, None)
    """
    if not enough(MOST_SEEDS):
        return None
    few, many = 1, MOST_SEEDS
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if enough(middle) else (middle, many)
    return many


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction, in the order given: max over i<=k of (m-i+1) p(i), at most 1. None stays None.

    Holm 1979, Scand. J. Statist. 6:65.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    tested = sorted((p, index) for index, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, (p, index) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        corrected[index] = largest
    return corrected


def overlaps(a: Estimate, b: Estimate) -> bool | None:
    """Do the two intervals share a point? None where one of them has no interval.

    >>> one, two = wilson(0.9, 100), wilson(0.8, 100)
    >>> overlaps(one, two), overlaps(one, mean_interval([0.5]))
    (True, None)
    """
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return None
    return a.low <= b.high and b.low <= a.high


def _finite(values: Sequence[float]) -> np.ndarray:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size == 0 or not all(isfinite(number) for number in numbers):
        raise ValueError("needs at least one value, and only finite ones")
    return numbers


def _deviation(numbers: np.ndarray) -> float:
    """Sample standard deviation; 0 where only rounding tells the numbers apart (and a t test would invent a p)."""
    sd = float(numbers.std(ddof=1))
    return 0.0 if sd <= 1e-12 * max(1e-12, float(np.abs(numbers).max())) else sd
