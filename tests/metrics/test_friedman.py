"""Ranks and tests of rank differences: Demsar's printed numbers, scipy, scikit-posthocs, autorank, permutations."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from published_scores import C45_AUC
from scipy import stats as reference

from harness.metrics.friedman import (
    against_control,
    average_ranks,
    bonferroni_dunn_difference,
    friedman,
    nemenyi,
    nemenyi_difference,
    ranks,
)


def some(methods=5, datasets=9, seed=0, digits=8):
    generator = np.random.default_rng(seed)
    return np.round(generator.normal(np.arange(methods)[:, None] * 0.3, 1, (methods, datasets)), digits)


def posthocs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("scikit_posthocs")


def test_demsars_average_ranks():
    assert average_ranks(C45_AUC) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)


def test_demsars_friedman_and_iman_davenport():
    """He prints 9.28 and 3.69, without the correction for ties; his tables have critical F(3,39) = 2.85."""
    found = friedman(C45_AUC)
    ties = sum((np.unique(column, return_counts=True)[1] ** 3).sum() - 4 for column in C45_AUC.T)
    uncorrected = found.chi_square * (1 - ties / (14 * (4**3 - 4)))
    assert uncorrected == pytest.approx(9.28, abs=0.01)
    assert 13 * uncorrected / (14 * 3 - uncorrected) == pytest.approx(3.69, abs=0.01)
    assert found.f > 3.69
    assert found.p < 0.05


@pytest.mark.parametrize("digits", [8, 0])
def test_friedman_is_scipys(digits):
    means = some(digits=digits)
    theirs = reference.friedmanchisquare(*means)
    found = friedman(means)
    assert (found.chi_square, found.p_chi_square) == pytest.approx((theirs.statistic, theirs.pvalue))


@pytest.mark.parametrize("digits", [8, 0])
def test_iman_davenport_is_the_analysis_of_variance_of_ranks(digits):
    placed = ranks(some(digits=digits))
    m, d = placed.shape
    grand = placed.mean()
    methods = d * ((placed.mean(axis=1) - grand) ** 2).sum() / (m - 1)
    residuals = placed - placed.mean(axis=1, keepdims=True) - placed.mean(axis=0, keepdims=True) + grand
    f = methods / ((residuals**2).sum() / ((m - 1) * (d - 1)))
    found = friedman(some(digits=digits))
    assert found.f == pytest.approx(f)
    assert found.p == pytest.approx(reference.f.sf(f, m - 1, (m - 1) * (d - 1)))


def test_friedman_where_all_datasets_agree_or_all_methods_tie():
    agree = friedman(np.array([[3.0, 30.0, 0.3], [2.0, 20.0, 0.2], [1.0, 10.0, 0.1]]))
    assert agree.f == np.inf
    assert agree.chi_square == pytest.approx(6)
    statistics = []  # of all orders on the second and third dataset
    for one, other in itertools.product(itertools.permutations(range(3)), repeat=2):
        statistics.append(friedman(np.array([range(3), one, other], dtype=float).T).chi_square)
    assert agree.p == pytest.approx(np.mean(np.array(statistics) > 6 - 1e-9))
    tied = friedman(np.ones((3, 4)))
    assert (tied.chi_square, tied.f, tied.p) == (0, 0, 1)
    with pytest.raises(ValueError, match="2 methods and 2 datasets, and there are 3 and 1"):
        friedman(np.ones((3, 1)))


def test_ties_are_of_printed_scores_and_not_of_floats():
    means = np.array([[0.1 + 0.2, 3e5 * (0.1 + 0.2)], [0.3, 3e5 * 0.3], [0.2, 2e4]])
    assert ranks(means).tolist() == [[1.5, 1.5], [1.5, 1.5], [3, 3]]
    assert ranks(np.array([[0.300000001], [0.3]])).tolist() == [[1], [2]]
    assert ranks(np.zeros((2, 1))).tolist() == [[1.5], [1.5]]
    with pytest.raises(ValueError, match="finite scores"):
        ranks(np.array([[np.nan], [1.0]]))


@pytest.mark.parametrize(
    ("methods", "alpha", "q"), [(2, 0.05, 1.960), (3, 0.05, 2.343), (4, 0.05, 2.569), (10, 0.05, 3.164),
                                (2, 0.10, 1.645), (4, 0.10, 2.291), (10, 0.10, 2.920)],
)  # fmt: skip
def test_nemenyis_critical_values_are_demsars_table(methods, alpha, q):
    found = nemenyi_difference(methods, 14, alpha) / np.sqrt(methods * (methods + 1) / (6 * 14))
    assert found == pytest.approx(q, abs=1.1e-3)  # he cuts the third decimal


@pytest.mark.parametrize(("methods", "alpha", "q"), [(2, 0.05, 1.960), (4, 0.05, 2.394), (10, 0.05, 2.773),
                                                     (4, 0.10, 2.128), (10, 0.10, 2.539)])  # fmt: skip
def test_bonferroni_dunns_critical_values_are_demsars_table(methods, alpha, q):
    found = bonferroni_dunn_difference(methods, 14, alpha) / np.sqrt(methods * (methods + 1) / (6 * 14))
    assert found == pytest.approx(q, abs=1.1e-3)


def test_demsars_nemenyi_example():
    """At 5 % no pair differs; at 10 % C4.5 is worse than C4.5+m and C4.5+m+cf, and nothing else."""
    assert nemenyi_difference(4, 14) == pytest.approx(1.25, abs=5e-3)
    assert nemenyi_difference(4, 14, 0.10) == pytest.approx(1.12, abs=5e-3)
    p = nemenyi(C45_AUC)
    assert p[np.triu_indices(4, 1)].min() > 0.05
    assert {tuple(pair) for pair in np.argwhere(p < 0.10).tolist()} == {(0, 1), (0, 3), (1, 0), (3, 0)}
    one, other = np.triu_indices(4, 1)
    apart = np.abs(np.subtract.outer(average_ranks(C45_AUC), average_ranks(C45_AUC)))[one, other]
    assert np.array_equal(apart > nemenyi_difference(4, 14, 0.10), p[one, other] < 0.10)


def test_demsars_example_of_a_control():
    """C4.5 against the others at 10 %: Bonferroni-Dunn tells C4.5+m and C4.5+m+cf apart from it, not C4.5+cf."""
    found = against_control(C45_AUC, control=0)
    assert set(found) == {1, 2, 3}
    assert [one.p_bonferroni < 0.10 for one in found.values()] == [True, False, True]
    assert found[3].difference == pytest.approx(1.964 - 3.143, abs=1e-3)
    assert found[3].z == pytest.approx((1.964 - 3.143) / 0.488, abs=5e-3)
    assert found[3].p == pytest.approx(2 * reference.norm.sf(abs(found[3].z)))
    critical = bonferroni_dunn_difference(4, 14, 0.10)
    assert [abs(one.difference) > critical for one in found.values()] == [True, False, True]
    assert [one.p_holm for one in found.values()] == pytest.approx([found[3].p * 3, found[2].p, found[3].p * 3])


@pytest.mark.parametrize("digits", [8, 0])
def test_nemenyi_is_scikit_posthocs(digits):
    means = some(digits=digits)
    theirs = posthocs().posthoc_nemenyi_friedman(means.T)
    assert nemenyi(means) == pytest.approx(theirs.to_numpy(), abs=1e-10)


@pytest.mark.parametrize(("adjust", "field"), [(None, "p"), ("bonferroni", "p_bonferroni"), ("holm", "p_holm")])
def test_a_control_is_scikit_posthocs(adjust, field):
    means = some()
    library = posthocs()
    if not hasattr(library, "posthoc_demsar"):
        pytest.skip("this scikit-posthocs has no posthoc_demsar")
    theirs = library.posthoc_demsar(means.T, control=2, p_adjust=adjust, to_matrix=False)
    found = against_control(means, control=2)
    ours = [getattr(found[i], field) for i in (0, 1, 3, 4)]
    assert ours == pytest.approx(np.asarray(theirs.to_numpy(), dtype=float).ravel(), abs=1e-12)


@pytest.mark.parametrize(("methods", "datasets", "alpha"), [(3, 8, 0.05), (10, 20, 0.05), (25, 9, 0.1)])
def test_the_critical_difference_is_autoranks(methods, datasets, alpha):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        util = pytest.importorskip("autorank._util")
        theirs = util._critical_distance(alpha, methods, datasets)
    assert nemenyi_difference(methods, datasets, alpha) == pytest.approx(theirs, rel=2e-3)  # their table is coarser
