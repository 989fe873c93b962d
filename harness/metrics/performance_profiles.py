"""Performance profiles: the share of a method's runs whose score is above tau, for every tau.

Agarwal et al. 2021, arXiv:2108.13264, section 4.2 (run-score distributions): F(tau) = mean over datasets and seeds of
1[score > tau], with a pointwise band by the stratified bootstrap. Where one profile lies above another everywhere, that
method is better at every quantile. The band holds for each tau on its own, not for the whole line.

D datasets, S seeds, T values of tau, R resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.metrics.across_datasets import Floats, Scores
from harness.metrics.statistics import LEVEL
from harness.metrics.stratified_bootstrap import CELLS, Runs, percentile_interval

RESAMPLES = 2_000
POINTS = 101  # values of tau where none are given


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One line: shares in [0,1]; `low` and `high` are None where no dataset has two seeds, and `note` says so."""

    taus: Floats  # (T,) ascending
    share: Floats  # (T,)
    low: Floats | None
    high: Floats | None
    note: str = ""


def performance_profile(
    scores: Floats, taus: Floats, *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Profile:
    """The share of runs of one method (D,S) above each tau (T,); each dataset weighs the same.

    >>> performance_profile(np.array([[0.2, 0.8], [0.5, 0.9]]), np.array([0.1, 0.5, 0.9])).share.tolist()
    [1.0, 0.5, 0.0]
    """
    runs, taus = Runs.of(scores), np.asarray(taus, dtype=np.float64)
    above = (runs.values[:, None] > taus) * (runs.mass / runs.mass.sum())[:, None]  # (N,T)
    share = above.sum(axis=0)
    if runs.why_no_interval:
        return Profile(taus=taus, share=share, low=None, high=None, note=runs.why_no_interval)
    step = max(1, 4 * CELLS // resamples)
    bands = [_band(runs, above[:, i : i + step], resamples, seed, level) for i in range(0, len(taus), step)]
    low, high = (np.concatenate(ends) for ends in zip(*bands, strict=True))
    return Profile(taus=taus, share=share, low=low, high=high, note=runs.note)


def performance_profiles(
    scores: Scores,
    taus: Floats | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Profile]:
    """Every method's profile over the same taus (evenly over all scores where None).

    Where lower scores are better, the share of runs below tau.
    """
    sign = 1.0 if scores.better == "higher" else -1.0
    if taus is None:
        taus = np.linspace(np.nanmin(scores.values), np.nanmax(scores.values), POINTS)
    taus = np.sort(np.asarray(taus, dtype=np.float64))
    along = slice(None) if sign > 0 else slice(None, None, -1)
    found = {}
    for name, own in zip(scores.methods, scores.oriented, strict=True):
        one = performance_profile(own, sign * taus[along], resamples=resamples, seed=seed, level=level)
        low, high = (None if end is None else end[along] for end in (one.low, one.high))
        found[name] = Profile(taus=taus, share=one.share[along], low=low, high=high, note=one.note)
    return found


def _band(runs: Runs, above: Floats, resamples: int, seed: int, level: float) -> tuple[Floats, Floats]:
    """Percentiles of the shares; every call draws the same resamples, so taus may be taken in blocks."""
    generator = np.random.default_rng(seed)
    return percentile_interval(np.concatenate([d @ above for d in runs.drawn(resamples, generator)]), level)
