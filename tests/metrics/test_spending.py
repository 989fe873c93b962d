"""What each look may spend: published values, and the error over all looks in simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.metrics.spending import levels, obrien_fleming, pocock, quadratic

LOOKS = [3, 5, 7, 9, 11]  # seeds


@pytest.mark.parametrize("spent", [obrien_fleming, pocock, quadratic])
def test_all_of_it_is_spent_and_no_more(spent):
    shares = [spent(share, 0.05) for share in np.linspace(0, 1, 50)]
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(0.05)
    assert (np.diff(shares) > 0).all()
    assert sum(levels(LOOKS, spent=spent)) == pytest.approx(0.05)
    assert levels([4], spent=spent) == [pytest.approx(0.05)]


def test_first_looks_are_those_of_the_published_tables():
    """Bounds of the first of 4 and of 5 equal looks, two-sided 5 %: Reboussin et al. 2000, ldbounds."""
    first = levels([1, 2, 3, 4], spent=obrien_fleming)[0]
    assert stats.norm.isf(first / 2) == pytest.approx(4.3326, abs=1e-4)
    first = levels([1, 2, 3, 4, 5], spent=pocock)[0]
    assert stats.norm.isf(first / 2) == pytest.approx(2.4380, abs=1e-4)


def found(deltas: np.ndarray, at: list[float]) -> np.ndarray:
    """Is a difference found at any look, by Holm over the M methods of `deltas` (R,M,S)? bool (R,)."""
    methods = deltas.shape[1]
    hits = [
        stats.ttest_1samp(deltas[..., :seeds], 0, axis=-1).pvalue.min(1) * methods < alpha
        for seeds, alpha in zip(LOOKS, at, strict=True)
    ]
    return np.any(hits, axis=0)


@pytest.mark.parametrize("methods", [1, 4])
@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_the_error_over_all_looks_stays_below_5_percent(methods, shared):
    """Whatever methods share with each other, as those have that are compared with one baseline."""
    rng = np.random.default_rng(methods)
    runs = 10_000
    deltas = np.sqrt(1 - shared) * rng.normal(size=(runs, methods, LOOKS[-1]))
    deltas += np.sqrt(shared) * rng.normal(size=(runs, 1, LOOKS[-1]))
    wrong = found(deltas, levels(LOOKS)).mean()
    assert wrong < 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)
    assert wrong > 0.015  # it is careful, and not mute
    assert found(deltas, [0.05] * len(LOOKS)).mean() > 0.10  # what looking without it does


def test_a_large_difference_is_found_before_the_limit():
    deltas = np.random.default_rng(0).normal(3.0, 1.0, size=(2_000, 1, LOOKS[-1]))
    early = [alpha if seeds <= 7 else 0.0 for seeds, alpha in zip(LOOKS, levels(LOOKS), strict=True)]
    assert found(deltas, early).mean() > 0.9


@pytest.mark.parametrize("looks", [[], [0, 3], [3, 3], [5, 3]])
def test_looks_must_rise(looks):
    with pytest.raises(ValueError, match="rising"):
        levels(looks)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_a_level_is_a_chance(alpha):
    with pytest.raises(ValueError, match="chance"):
        levels([3, 5], alpha)
