"""Means and differences over seeds and test examples, both of which were drawn: crossed random effects.

An outcome is what one trained method got on one test example: right or wrong, an error, a rank. With the same S seeds
and N examples in all combinations, an outcome (or the difference of two methods' there) is

    x_se = mu + a_s + b_e + c_se        a of seeds, b of examples, c of both together and of chance

and the variance of the mean over all of them is var(a)/S + var(b)/N + var(c)/(S N). Means of squares estimate it
(Searle 1971, Linear Models, chapter 9; of which Owen 2007, arXiv:0712.1111, gives the pigeonhole view):

    A = MS_seeds/(S N)                          var(a)/S + var(c)/(S N), with S-1 degrees of freedom
    B = max(0, MS_examples - MS_rest)/(S N)     var(b)/N, with so many that it counts as known

An interval is mean +- c sqrt(A + B), where c lies between the normal value (B alone) and Student's (A alone). It holds
95 % for every share of A: how c was found, and what Welch's and Behrens' values give instead, is said in
benchmarks/statistics/critical_values.py. It speaks of new seeds and new test examples from the same source; what is
held fixed is the training set, the test set's kind, and the settings. With one seed it speaks of new examples alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special
from scipy import stats as distributions
from scipy.interpolate import PchipInterpolator

from harness.metrics.statistics import ALPHA, LEVEL, POWER, Difference, Estimate, seeds_needed

ONE_SEED = "one seed: the interval speaks of new test examples, and not of new seeds"
_TABLE = Path(__file__).with_name("crossed_critical.json")
_REST = 1e-12  # of the largest square: below it a variance is rounding


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """The mean of outcomes, and the two parts of its variance."""

    mean: float
    of_seeds: float  # A; 0 with one seed
    of_examples: float  # B
    seeds: int  # S
    examples: int  # N

    @property
    def error(self) -> float:
        """The standard error of the mean, over seeds and examples."""
        return sqrt(self.of_seeds + self.of_examples)

    @property
    def share(self) -> float:
        """The part of the mean's variance that is estimated from the seeds, in [0,1]."""
        total = self.of_seeds + self.of_examples
        return self.of_seeds / total if total else 0.0


def crossed(outcomes: ArrayLike, *, proportion: bool = False) -> Crossed:
    """The mean of outcomes (S,N), or (N,) of one seed, and its variance by seeds and by examples.

    proportion: outcomes are right or wrong, or differences of such; the variance by examples is then at least that of
    one example that differs, so that examples that all agree are not taken for certainty. Raises ValueError without
    outcomes, or where one is not finite.

    >>> found = crossed([[1, 0, 1, 1], [1, 0, 0, 1]])
    >>> round(found.mean, 3), round(found.of_seeds, 4), round(found.of_examples, 4)
    (0.625, 0.0156, 0.0417)
    """
    values = np.atleast_2d(np.asarray(outcomes, dtype=np.float64))
    if values.ndim != 2 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError("needs outcomes (S,N) of at least one seed and example, and only finite ones")
    seeds, examples = values.shape
    mean = float(values.mean())
    by_seed, by_example = values.mean(1), values.mean(0)  # (S,), (N,)
    scale = max(1e-300, float(np.abs(values).max())) ** 2
    of_seeds = examples * _variance(by_seed, scale)
    of_examples = seeds * _variance(by_example, scale)
    rest = 0.0
    if seeds > 1 and examples > 1:
        left = values - by_seed[:, None] - by_example + mean
        rest = float((left**2).sum()) / ((seeds - 1) * (examples - 1))
        rest = rest if rest > _REST * scale else 0.0
    known = max(0.0, of_examples - rest) / (seeds * examples)
    return Crossed(
        mean=mean,
        of_seeds=of_seeds / (seeds * examples),
        of_examples=max(known, 1 / examples**2) if proportion else known,
        seeds=seeds,
        examples=examples,
    )


def _variance(values: NDArray[np.float64], scale: float) -> float:
    """Sample variance; 0 where there is one value, or where only rounding tells them apart."""
    found = float(values.var(ddof=1)) if len(values) > 1 else 0.0
    return found if found > _REST * scale else 0.0


# Critical values. -----------------------------------------------------------------------------------------------------


@cache
def _tabled() -> tuple[NDArray[np.float64], NDArray[np.float64], dict[int, NDArray[np.float64]]]:
    """The levels (P,), the shares (R,), and for each number of degrees of freedom the log of critical values (P,R)."""
    content = json.loads(_TABLE.read_text(encoding="utf-8"))
    rising = 1e-6 * np.arange(len(content["levels"]))[:, None]  # a higher level never reaches less far
    tables = {
        int(freedom): np.maximum.accumulate(np.log(np.array(values)), axis=0) + rising
        for freedom, values in content["critical"].items()
    }
    return np.array(content["levels"]), np.array(content["shares"]), tables


@cache
def _curves(freedom: int) -> tuple[PchipInterpolator, NDArray[np.float64]]:
    """Share of A -> log critical value at each tabled level (P,), for so many degrees of freedom; and the levels."""
    levels, shares, tables = _tabled()
    if freedom in tables:
        return PchipInterpolator(shares, tables[freedom], axis=1), levels
    normal = np.repeat(np.log(distributions.norm.ppf((1 + levels) / 2))[:, None], len(shares), 1)
    known = {1 / each: table for each, table in tables.items()} | {0.0: normal}
    at = np.array(sorted(known))
    between = PchipInterpolator(at, np.stack([known[each] for each in at]))(1 / freedom)
    return PchipInterpolator(shares, between, axis=1), levels


def critical(share: ArrayLike, seeds: int, level: float = LEVEL) -> NDArray[np.float64]:
    """How many standard errors an interval reaches to each side, for a share of A in [0,1] and S seeds.

    >>> critical([0.0, 1.0], 3).round(2).tolist()
    [1.96, 4.3]
    """
    shares = np.asarray(share, dtype=np.float64)
    if seeds == 1:
        return np.full(shares.shape, float(distributions.norm.ppf((1 + level) / 2)))
    curves, levels = _curves(seeds - 1)
    logs = curves(shares)  # (P,...)
    exact = np.flatnonzero(np.isclose(levels, level))
    if len(exact):
        return np.asarray(np.exp(logs[exact[0]]))
    at = -np.log1p(-levels)  # of the error rate: rises with the critical value
    return np.asarray(np.exp(PchipInterpolator(at, logs, axis=0, extrapolate=True)(-log(1 - level))))


def p_value(statistic: float, share: float, seeds: int) -> float:
    """The smallest error rate at which |statistic| (in standard errors) lies outside the interval around 0.

    >>> round(p_value(4.3027, 1.0, 3), 3), round(p_value(1.96, 0.0, 3), 3)
    (0.05, 0.05)
    """
    size = abs(statistic)
    if seeds == 1 or size == 0:
        return float(2 * distributions.norm.sf(size))
    curves, levels = _curves(seeds - 1)
    logs = curves(share)  # (P,)
    rates = np.log1p(-levels)  # of errors, falling
    if log(size) < logs[0]:  # nearer than half of all: between there and no distance at all
        return float(1 - (size / np.exp(logs[0])) * levels[0])
    if log(size) <= logs[-1]:
        return float(np.exp(PchipInterpolator(logs, rates)(log(size))))
    slope = (rates[-1] - rates[-2]) / (logs[-1] - logs[-2])
    return float(np.exp(rates[-1] + slope * (log(size) - logs[-1])))


# Estimates and differences. -------------------------------------------------------------------------------------------


def crossed_interval(outcomes: ArrayLike, *, proportion: bool = False, level: float = LEVEL) -> Estimate:
    """The mean of outcomes (S,N) with its interval. Of a proportion it is Wilson's, for as many examples as its
    variance is worth, so that it ends within [0,1].

    >>> found = crossed_interval(np.arange(200.0)[None] % 10 < 9, proportion=True)
    >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3)
    (0.9, 0.85, 0.934)
    """
    found = crossed(outcomes)
    size = float(critical(found.share, found.seeds, level))
    note = ONE_SEED if found.seeds == 1 else ""
    if found.examples < 2 or (found.error == 0 and not proportion):
        return Estimate(mean=found.mean, low=None, high=None, n=found.seeds, note="all outcomes are alike: no interval")
    if not proportion:
        half = size * found.error
        return Estimate(
            mean=found.mean, low=found.mean - half, high=found.mean + half, n=found.seeds, examples=found.examples,
            note=note,
        )  # fmt: skip
    low, high = _wilson(found, size)
    return Estimate(mean=found.mean, low=low, high=high, n=found.seeds, examples=found.examples, note=note)


def _wilson(found: Crossed, size: float) -> tuple[float, float]:
    """Wilson's interval for as many independent examples as would give the share this variance."""
    spread = found.mean * (1 - found.mean)
    worth = spread / found.error**2 if found.error and spread > 0 else float(found.examples)
    factor = size**2 / worth
    centre = (found.mean + factor / 2) / (1 + factor)
    half = sqrt(factor * (spread + factor / 4)) / (1 + factor)
    return max(0.0, centre - half), min(1.0, centre + half)


class CrossedDifference(Difference):
    """One that speaks of test examples too."""

    @property
    def detectable(self) -> float | None:
        return None if self.p is None else detectable(self, level=1 - self.alpha)


def crossed_difference(
    a: Mapping[int, ArrayLike], b: Mapping[int, ArrayLike], *, proportion: bool = False, level: float = LEVEL
) -> CrossedDifference | None:
    """Compare two methods by their outcomes (N,) on the same examples at each seed that both have; None where none is.

    With one seed there is an interval over examples, and no p: nothing is known of other seeds.
    """
    common = sorted(a.keys() & b.keys())
    if not common:
        return None
    found = crossed(np.stack([np.subtract(a[s], b[s], dtype=np.float64) for s in common]), proportion=proportion)
    unpaired = len(a.keys() ^ b.keys())
    about: dict[str, Any] = {"effect": found.mean, "n": found.seeds, "examples": found.examples, "unpaired": unpaired}
    about["alpha"] = ALPHA if level == LEVEL else 1 - level
    if found.error == 0:
        return CrossedDifference(**about, low=None, high=None, p=None, note="all outcomes are alike: no test")
    half = float(critical(found.share, found.seeds, level)) * found.error
    several = found.seeds > 1
    return CrossedDifference(
        **about,
        low=found.mean - half,
        high=found.mean + half,
        p=p_value(found.mean / found.error, found.share, found.seeds) if several else None,
        of_seeds=found.of_seeds,
        of_examples=found.of_examples,
        note="" if several else ONE_SEED,
    )


# Power. ---------------------------------------------------------------------------------------------------------------


def power(difference: float, of_seeds: float, of_examples: float, seeds: int, level: float = LEVEL) -> float:
    """The chance that a true `difference` is found, where A and B are these: by quadrature over the estimate of A.

    >>> round(power(1.0, 0.1, 0.0, 10), 2)
    0.8
    """
    reach, weights = _reach(of_seeds, of_examples, seeds, level)
    return _found(difference, reach, weights, sqrt(of_seeds + of_examples))


def _reach(
    of_seeds: float, of_examples: float, seeds: int, level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Half the interval at each estimate of A, and the weights of these estimates."""
    spread, weights = _chi_square(seeds - 1)
    estimated = of_seeds * spread
    total = estimated + of_examples
    return critical(estimated / total, seeds, level) * np.sqrt(total), weights


def _found(difference: float, reach: NDArray[np.float64], weights: NDArray[np.float64], error: float) -> float:
    """The chance that it is farther from 0 than the interval reaches; error: standard error of its estimate."""
    found = special.ndtr((difference - reach) / error) + special.ndtr((-difference - reach) / error)
    return float((weights * found).sum())


@cache
def _chi_square(freedom: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights for means over chi2(freedom)/freedom: Gauss-Legendre over its quantiles."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    return distributions.chi2.ppf((nodes + 1) / 2, freedom) / freedom, weights / 2


def detectable(found: Crossed | Difference, *, chance: float = POWER, level: float = LEVEL) -> float:
    """The smallest true difference that this design finds with that chance, in the unit of the outcomes.

    Raises ValueError for one seed, or where outcomes do not vary.
    """
    seeds, error = _seeds(found), sqrt(found.of_seeds + found.of_examples)
    if seeds < 2 or error == 0:
        raise ValueError("a detectable difference needs 2 seeds and outcomes that vary")

    reach, weights = _reach(found.of_seeds, found.of_examples, seeds, level)

    def missing(size: float) -> float:
        return _found(size * error, reach, weights, error) - chance

    return float(optimize.brentq(missing, 0.0, 1000.0)) * error


def _seeds(found: Crossed | Difference) -> int:
    return found.seeds if isinstance(found, Crossed) else found.n


def enough_seeds(found: Crossed | Difference, *, chance: float = POWER, level: float = LEVEL) -> int | None:
    """How many seeds would find a true difference as large as this one with that chance, on as many examples.

    None where no sensible number would: then more test examples are needed, or there is no difference.
    """
    each = found.of_seeds * _seeds(found)  # A with one seed
    size = abs(found.mean if isinstance(found, Crossed) else found.effect)
    return seeds_needed(lambda n: power(size, each / n, found.of_examples, n, level) >= chance)
