"""Ranks of methods over datasets: Friedman's test, and the tests of rank differences that follow it.

Demsar 2006, JMLR 7:1, section 3.2. M methods, D datasets; `means` (M,D) holds one score per method and dataset, greater
being better. Rank 1 is the best; ties share the mean of their ranks.

    SE = sqrt(M(M+1) / 6D)        the standard error of the difference of two average ranks where all methods are alike
    Nemenyi           all pairs:  CD = q(alpha; M, infinity)/sqrt(2) SE, q of the studentised range
    Bonferroni-Dunn   a control:  CD = z(1 - alpha/(2(M-1))) SE
    Holm              a control:  p of z = (R_control - R_i)/SE, stepped down

Rank differences of two methods depend on which others are in the comparison (Benavoli et al. 2016, JMLR 17(5)); for
pairs, `signed_rank` does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial, sqrt

import numpy as np
from scipy import stats as distributions

from harness.metrics.across_datasets import DIGITS, Floats
from harness.metrics.statistics import holm


@dataclass(frozen=True, kw_only=True)
class Friedman:
    """Do the methods differ at all? Friedman's chi-square, and the less conservative F of Iman and Davenport."""

    chi_square: float  # corrected for ties, M-1 degrees of freedom
    p_chi_square: float
    f: float  # (D-1) chi2 / (D(M-1) - chi2), with M-1 and (M-1)(D-1) degrees of freedom
    p: float  # of F: the one to report
    methods: int
    datasets: int


@dataclass(frozen=True, kw_only=True)
class AgainstControl:
    """One method against the control, by average ranks."""

    difference: float  # its average rank minus the control's: above 0 where the control is better
    z: float
    p: float
    p_bonferroni: float  # Bonferroni-Dunn
    p_holm: float


def ranks(means: Floats) -> Floats:
    """Each method's rank on each dataset; equal to 12 digits is a tie. (M,D)

    >>> ranks(np.array([[0.9, 0.5], [0.8, 0.5], [0.7, 0.6]])).tolist()
    [[1.0, 2.5], [2.0, 2.5], [3.0, 1.0]]
    """
    means = np.asarray(means, dtype=np.float64)
    if means.ndim != 2 or min(means.shape) < 1 or not np.isfinite(means).all():
        raise ValueError("ranks need finite scores of shape (methods, datasets)")
    largest = np.abs(means).max(axis=0)
    unit = 10.0 ** (np.floor(np.log10(np.where(largest > 0, largest, 1.0))) - DIGITS + 1)  # (D,)
    found: Floats = distributions.rankdata(-np.rint(means / unit), axis=0)
    return found


def average_ranks(means: Floats) -> Floats:
    """The mean over datasets of each method's rank. (M,)"""
    average: Floats = ranks(means).mean(axis=1)
    return average


def friedman(means: Floats) -> Friedman:
    """Friedman's test with Iman and Davenport's F. Raises ValueError for fewer than 2 methods or 2 datasets.

    With the correction for ties, F is the two-way analysis of variance of the ranks. Where every dataset orders the
    methods in one way, F is infinite and p is that order's chance, (M!)^(1-D). Iman and Davenport 1980.
    """
    placed = ranks(means)
    m, d = placed.shape
    if m < 2 or d < 2:
        raise ValueError(f"Friedman's test needs 2 methods and 2 datasets, and there are {m} and {d}")
    between = d * float(((placed.mean(axis=1) - (m + 1) / 2) ** 2).sum())
    within = float(((placed - (m + 1) / 2) ** 2).sum()) / (d * (m - 1))  # M(M+1)/12 without ties
    if within == 0:
        return Friedman(chi_square=0.0, p_chi_square=1.0, f=0.0, p=1.0, methods=m, datasets=d)
    chi_square = between / within
    left = d * (m - 1) - chi_square
    p_chi_square = float(distributions.chi2.sf(chi_square, m - 1))
    if left <= 1e-9 * chi_square:
        p = float(factorial(m)) ** (1 - d)
        return Friedman(chi_square=chi_square, p_chi_square=p_chi_square, f=np.inf, p=p, methods=m, datasets=d)
    f = (d - 1) * chi_square / left
    p = float(distributions.f.sf(f, m - 1, (m - 1) * (d - 1)))
    return Friedman(chi_square=chi_square, p_chi_square=p_chi_square, f=f, p=p, methods=m, datasets=d)


def standard_error(methods: int, datasets: int) -> float:
    """Of the difference of two average ranks."""
    return sqrt(methods * (methods + 1) / (6 * datasets))


def nemenyi_difference(methods: int, datasets: int, alpha: float = 0.05) -> float:
    """The critical difference of average ranks between any two of the methods.

    >>> round(nemenyi_difference(4, 14), 2), round(nemenyi_difference(4, 14, alpha=0.10), 2)
    (1.25, 1.12)
    """
    q = float(distributions.studentized_range.ppf(1 - alpha, methods, np.inf))
    return q / sqrt(2) * standard_error(methods, datasets)


def nemenyi(means: Floats) -> Floats:
    """p of each pair's difference in average rank, for all pairs at once. (M,M), 1 on the diagonal"""
    average = average_ranks(means)
    m, d = np.shape(means)
    one, other = np.triu_indices(m, 1)
    q = np.abs(average[one] - average[other]) / standard_error(m, d) * sqrt(2)
    return symmetric(np.asarray(distributions.studentized_range.sf(q, m, np.inf)), m)


def bonferroni_dunn_difference(methods: int, datasets: int, alpha: float = 0.05) -> float:
    """The critical difference of average ranks between a control and any other method.

    >>> round(bonferroni_dunn_difference(4, 14), 2), round(bonferroni_dunn_difference(4, 14, alpha=0.10), 2)
    (1.17, 1.04)
    """
    return float(distributions.norm.isf(alpha / (2 * (methods - 1)))) * standard_error(methods, datasets)


def against_control(means: Floats, control: int) -> dict[int, AgainstControl]:
    """Every other method against that one, by average ranks; the key is the method's row in `means`."""
    average = average_ranks(means)
    m, d = np.shape(means)
    others = [i for i in range(m) if i != control]
    away = average[others] - average[control]
    z = away / standard_error(m, d)
    ps = 2 * distributions.norm.sf(np.abs(z))
    stepped = holm(ps.tolist())
    return {
        i: AgainstControl(
            difference=float(away[j]),
            z=float(z[j]),
            p=float(ps[j]),
            p_bonferroni=min(1.0, (m - 1) * float(ps[j])),
            p_holm=float(stepped[j] or 0.0),
        )
        for j, i in enumerate(others)
    }


def symmetric(upper: Floats, size: int) -> Floats:
    """The matrix with these values above its diagonal, row by row, mirrored, and 1 on it."""
    matrix = np.eye(size)
    one, other = np.triu_indices(size, 1)
    matrix[one, other] = matrix[other, one] = upper
    return matrix
