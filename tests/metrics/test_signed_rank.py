"""Wilcoxon's test: all signs by hand, scipy, scikit-posthocs and Demsar's worked example."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from published_scores import C45_AUC
from scipy import stats as reference

from harness.metrics.signed_rank import EXACT, against_control, fewest_datasets, pairwise, signed_rank, smallest_p


def pair(n, seed=0, digits=8):
    generator = np.random.default_rng(seed)
    a = np.round(generator.uniform(0.5, 1, n), digits)
    return a, np.round(a - generator.normal(0.02, 0.1, n), digits)


def by_all_signs(a, b) -> float:
    """Two-sided p: the share of all sign patterns whose rank sums are as unequal as the observed."""
    delta = np.round(a - b, 9)
    ranks = reference.rankdata(np.abs(delta)) * (delta != 0)
    signs = np.array(list(itertools.product([-1, 1], repeat=len(delta))))
    return float((np.abs(signs @ ranks) >= abs(np.sign(delta) @ ranks) - 1e-9).mean())


def test_demsars_worked_example():
    """C4.5 against C4.5+m, his table 2: R+ = 93, R- = 12, below the critical 21 of 14 datasets at 5 %."""
    found = signed_rank(C45_AUC[1], C45_AUC[0])
    assert (found.plus, found.minus, found.datasets) == (93, 12, 14)
    assert found.p < 0.05
    assert found.p == pytest.approx(by_all_signs(C45_AUC[1], C45_AUC[0]))


@pytest.mark.parametrize("n", [1, 2, 5, 12, 30, EXACT])
def test_without_ties_it_is_scipys_exact_test(n):
    a, b = pair(n)
    found = signed_rank(a, b)
    theirs = reference.wilcoxon(a, b, method="exact")
    assert min(found.plus, found.minus) == theirs.statistic
    assert found.p == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("digits", [1, 2])
def test_with_ties_and_zeros_it_is_exact_over_all_signs(seed, digits):
    a, b = pair(10, seed, digits)
    assert signed_rank(a, b).p == pytest.approx(by_all_signs(a, b))


def test_with_ties_it_is_scipys_permutation_test():
    pytest.importorskip("scipy", minversion="1.13", reason="older ones have no such methods")
    a, b = pair(9, 1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = reference.wilcoxon(np.round(a - b, 9), method=reference.PermutationMethod(), zero_method="pratt")
    assert signed_rank(a, b).p == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("digits", [8, 2])
def test_many_datasets_are_scipys_normal_approximation(digits):
    pytest.importorskip("scipy", minversion="1.13", reason="older ones have no such methods")
    a, b = pair(80, digits=digits)
    theirs = reference.wilcoxon(np.round(a - b, 9), method="asymptotic", zero_method="pratt")
    assert signed_rank(a, b).p == pytest.approx(theirs.pvalue)


def test_exact_and_approximation_meet():
    a, b = pair(EXACT)
    one, other = signed_rank(a, b).p, signed_rank(np.append(a, a[0] + 1e-3), np.append(b, a[0])).p
    assert one == pytest.approx(other, abs=0.01)


def test_it_is_symmetric_and_equal_scores_tell_nothing_apart():
    a, b = pair(8)
    one, other = signed_rank(a, b), signed_rank(b, a)
    assert (one.plus, one.minus, one.p) == (other.minus, other.plus, other.p)
    same = signed_rank(a, a)
    assert (same.plus, same.minus, same.p) == (18, 18, 1.0)


def test_datasets_must_be_the_same():
    for a, b in (([1.0, 2.0], [1.0]), ([], []), ([np.nan], [1.0]), ([[1.0]], [[2.0]])):
        with pytest.raises(ValueError, match="the same datasets"):
            signed_rank(np.array(a), np.array(b))


def test_pairs_are_scikit_posthocs_with_holm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = pytest.importorskip("scikit_posthocs")
    generator = np.random.default_rng(0)
    means = generator.normal(np.arange(5)[:, None], 1, (5, 12))
    theirs = library.posthoc_wilcoxon(means, p_adjust="holm")
    assert pairwise(means) == pytest.approx(theirs.to_numpy())


def test_pairs_are_statsmodels_holm_of_scipys_tests():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        multitest = pytest.importorskip("statsmodels.stats.multitest")
    means = np.random.default_rng(1).normal(np.arange(4)[:, None], 1, (4, 11))
    one, other = np.triu_indices(4, 1)
    ps = [reference.wilcoxon(means[i], means[j], method="exact").pvalue for i, j in zip(one, other, strict=True)]
    assert pairwise(means)[one, other] == pytest.approx(multitest.multipletests(ps, method="holm")[1])
    against = against_control(means, control=2)
    raw = [reference.wilcoxon(means[i], means[2], method="exact").pvalue for i in (0, 1, 3)]
    assert list(against) == [0, 1, 3]
    assert list(against.values()) == pytest.approx(multitest.multipletests(raw, method="holm")[1])


@pytest.mark.parametrize("comparisons", [1, 3, 6, 300])
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.0625])
def test_the_fewest_datasets_are_the_first_that_can(comparisons, alpha):
    fewest = fewest_datasets(comparisons, alpha)
    assert smallest_p(fewest, comparisons) < alpha <= smallest_p(fewest - 1, comparisons)


def test_the_smallest_p_is_that_of_a_clean_sweep():
    assert signed_rank(np.arange(5) + 1.0, np.zeros(5)).p == smallest_p(5)
    means = np.arange(3)[:, None] * np.arange(1, 6.0)
    assert pairwise(means)[np.triu_indices(3, 1)].min() == smallest_p(5, 3)
