"""Wilcoxon's signed-rank test of two methods over datasets, and of all pairs with Holm's correction.

Wilcoxon 1945; Demsar 2006, JMLR 7:1, section 3.1.3; Holm for pairs as Benavoli et al. 2016, JMLR 17(5), recommend: a
pair's p does not depend on which other methods are in the comparison. M methods, D datasets, one score of each.

Equal scores keep their rank and count half on each side (Pratt; Demsar splits them evenly, which is the same test).
Up to 50 datasets p is exact given the ranks, ties or not: each difference is positive or negative with probability 1/2.
With D datasets no p is below 2^(1-D): where that is not enough for so many pairs, `fewest_datasets` says what would be.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import floor, log2, sqrt

import numpy as np
from scipy import stats as distributions

from harness.metrics.across_datasets import Floats, differences
from harness.metrics.friedman import symmetric
from harness.metrics.statistics import holm

EXACT = 50  # datasets; above, the normal approximation with the same ranks' variance


@dataclass(frozen=True, kw_only=True)
class SignedRank:
    """Sums of the ranks of |a - b| where a is above b and below it; zeros count half in each."""

    plus: float
    minus: float
    p: float  # two-sided
    datasets: int


def signed_rank(a: Floats, b: Floats) -> SignedRank:
    """Do a (D,) and b (D,), scores on the same datasets, differ? Raises ValueError where their lengths differ.

    >>> found = signed_rank(np.array([0.9, 0.8, 0.7, 0.9]), np.array([0.8, 0.6, 0.4, 0.5]))
    >>> found.plus, found.minus, found.p
    (10.0, 0.0, 0.125)
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or not a.size or not np.isfinite([a, b]).all():
        raise ValueError(f"signed_rank needs finite scores on the same datasets, got shapes {a.shape} and {b.shape}")
    delta = differences(a, b)
    ranks = distributions.rankdata(np.abs(delta))
    moved = ranks[delta != 0]
    half = float(ranks[delta == 0].sum()) / 2
    plus, minus = float(ranks[delta > 0].sum()), float(ranks[delta < 0].sum())
    p = _p_value(moved, min(plus, minus))
    return SignedRank(plus=plus + half, minus=minus + half, p=p, datasets=len(delta))


def pairwise(means: Floats) -> Floats:
    """Holm-corrected p of every pair of (M,D). (M,M), symmetric, 1 on the diagonal"""
    m = len(means)
    ps = [signed_rank(means[i], means[j]).p for i in range(m) for j in range(i + 1, m)]
    return symmetric(np.array(holm(ps), dtype=np.float64), m)


def against_control(means: Floats, control: int) -> dict[int, float]:
    """Holm-corrected p of every other method of (M,D) against that one; the key is the method's row."""
    others = [i for i in range(len(means)) if i != control]
    corrected = holm([signed_rank(means[i], means[control]).p for i in others])
    return {i: float(p) for i, p in zip(others, corrected, strict=True) if p is not None}


def smallest_p(datasets: int, comparisons: int = 1) -> float:
    """The smallest corrected p that so many datasets can give, where nothing ties.

    >>> smallest_p(5), smallest_p(5, comparisons=6)
    (0.0625, 0.375)
    """
    return min(1.0, comparisons * 2.0 ** (1 - datasets))


def fewest_datasets(comparisons: int = 1, alpha: float = 0.05) -> int:
    """How many datasets the test needs before it can find any of so many comparisons at level `alpha`.

    >>> fewest_datasets(), fewest_datasets(comparisons=6), fewest_datasets(comparisons=300)
    (6, 8, 14)
    """
    return floor(1 + log2(comparisons / alpha)) + 1


def _p_value(moved: Floats, smaller: float) -> float:
    """Two-sided p of the smaller rank sum, given the ranks of what is not zero."""
    if not moved.size:
        return 1.0
    if len(moved) > EXACT:
        z = (smaller - moved.sum() / 2) / sqrt(float((moved**2).sum()) / 4)
        return min(1.0, 2 * float(distributions.norm.cdf(z)))
    doubled = tuple(sorted(np.rint(2 * moved).astype(int).tolist()))  # ranks of ties end in .5
    return min(1.0, 2 * float(_below(doubled)[round(2 * smaller)]))


@lru_cache(maxsize=256)
def _below(ranks: tuple[int, ...]) -> Floats:
    """P(sum of a random half of these <= s) for s from 0 to their sum: each is in or out with probability 1/2."""
    chance = np.zeros(sum(ranks) + 1)
    chance[0] = 1.0
    for rank in ranks:
        chance[rank:] = (chance[rank:] + chance[: len(chance) - rank]) / 2
        chance[:rank] /= 2
    return np.cumsum(chance)
