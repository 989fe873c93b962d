"""Critical-difference diagrams: Demsar's figure, groups against brute force and against the published libraries."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from published_scores import C45_AUC, C45_METHODS

from harness.metrics.across_datasets import Scores
from harness.metrics.critical_difference import critical_difference, not_told_apart
from harness.metrics.friedman import average_ranks, nemenyi
from harness.metrics.signed_rank import pairwise


def scores(means, names=None, better="higher") -> Scores:
    means = np.asarray(means, dtype=float)
    m, d = means.shape
    return Scores(methods=tuple(names or (f"m{i}" for i in range(m))), datasets=tuple(f"d{i}" for i in range(d)),
                  seeds=(0,), values=means[:, :, None], better=better)  # fmt: skip


def some(methods=6, datasets=20, seed=0, step=0.4):
    generator = np.random.default_rng(seed)
    return generator.normal(step * generator.permutation(methods)[:, None], 1, (methods, datasets))


def maximal_cliques(alike) -> set[tuple[int, ...]]:
    """All of them, by trying every subset; those of one member are left out."""
    size = len(alike)
    subsets = [s for n in range(2, size + 1) for s in itertools.combinations(range(size), n)]
    cliques = [s for s in subsets if all(alike[i][j] for i, j in itertools.combinations(s, 2))]
    return {s for s in cliques if not any(set(s) < set(other) for other in cliques)}


def test_demsars_figure():
    """At 10 %: one group of C4.5+m+cf, C4.5+m and C4.5+cf, and one of C4.5+cf and C4.5; at 5 % one group of all."""
    found = critical_difference(scores(C45_AUC, C45_METHODS), test="nemenyi", alpha=0.10)
    assert found.methods == ("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5")
    assert found.ranks == pytest.approx([1.964, 2.000, 2.893, 3.143], abs=5e-4)
    assert found.critical_difference == pytest.approx(1.12, abs=5e-3)
    assert found.groups == ((0, 1, 2), (2, 3))
    assert critical_difference(scores(C45_AUC), test="nemenyi").groups == ((0, 1, 2, 3),)
    assert (found.datasets, found.note) == (14, "")


def test_wilcoxon_and_holm_on_demsars_scores():
    """Two methods share a group exactly where Holm does not tell them apart."""
    found = critical_difference(scores(C45_AUC, C45_METHODS))
    assert found.critical_difference is None
    order = [C45_METHODS.index(name) for name in found.methods]
    assert np.array_equal(found.p, pairwise(C45_AUC[order]))
    told = {(found.methods[i], found.methods[j]) for i, j in np.argwhere(found.p < 0.05)}
    for i, j in itertools.combinations(range(4), 2):
        together = any({i, j} <= set(group) for group in found.groups)
        assert together == ((found.methods[i], found.methods[j]) not in told)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("density", [0.2, 0.5, 0.8])
def test_groups_are_maximal_and_leave_no_pair_out(seed, density):
    alike = np.triu(np.random.default_rng(seed).random((8, 8)) < density, 1)
    alike = alike | alike.T
    every = maximal_cliques(alike)
    found = not_told_apart(alike)
    assert set(found) <= every
    assert len(found) == len(set(found))
    shared = {pair for group in found for pair in itertools.combinations(group, 2)}
    assert shared == {(i, j) for i, j in np.argwhere(alike).tolist() if i < j}


@pytest.mark.parametrize("seed", range(20))
def test_groups_of_neighbours_are_all_maximal_cliques(seed):
    places = np.sort(np.random.default_rng(seed).uniform(0, 10, 9))
    alike = np.abs(np.subtract.outer(places, places)) < 2.5
    assert set(not_told_apart(alike)) == maximal_cliques(alike)


def test_groups_need_not_be_neighbours_and_may_be_none():
    assert not_told_apart([[1, 0, 1], [0, 1, 0], [1, 0, 1]]) == [(0, 2)]
    assert not_told_apart(np.eye(4, dtype=bool)) == []
    assert not_told_apart(np.ones((3, 3), dtype=bool)) == [(0, 1, 2)]


def test_sixty_methods_take_no_time_where_maximal_cliques_are_too_many():
    apart = np.arange(60)[:, None] // 3 == np.arange(60) // 3  # told apart within each of twenty threes: 3^20 cliques
    found = not_told_apart(~apart | np.eye(60, dtype=bool))
    assert all(len(group) == 20 for group in found)
    assert len(found) < 60 * 59 / 2


@pytest.mark.parametrize("seed", range(2))
def test_nemenyis_groups_are_autoranks(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = pytest.importorskip("autorank")
        util = pytest.importorskip("autorank._util")
        pandas = pytest.importorskip("pandas")
        means = some(seed=seed)
        frame = pandas.DataFrame(means.T, columns=[f"m{i}" for i in range(len(means))])
        theirs = library.autorank(frame, alpha=0.05, force_mode="nonparametric")
        sorted_ranks, names, groups = util.get_sorted_rank_groups(theirs, True)
    found = critical_difference(scores(means), test="nemenyi")
    assert found.ranks == pytest.approx(sorted_ranks.to_numpy(), abs=1e-12)
    assert list(found.methods) == list(names)
    assert found.critical_difference == pytest.approx(theirs.cd, rel=2e-3)
    assert found.friedman.p_chi_square == pytest.approx(theirs.pvalue)
    assert {tuple(range(first, last + 1)) for first, last in groups} == set(found.groups)


@pytest.mark.parametrize("seed", range(4))
def test_wilcoxons_groups_are_among_scikit_posthocs(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plotting = pytest.importorskip("scikit_posthocs._plotting")
        pandas = pytest.importorskip("pandas")
    found = critical_difference(scores(some(seed=seed, step=0.8)))
    alike = pandas.DataFrame((found.p >= 0.05).astype(int))
    theirs = {tuple(sorted(clique)) for clique in plotting._find_maximal_cliques(alike) if len(clique) > 1}
    assert set(found.groups) <= theirs


def test_lower_scores_rank_first_where_lower_is_better():
    means = some()
    assert critical_difference(scores(means, better="lower")).methods == critical_difference(scores(-means)).methods


def test_seeds_are_averaged_first():
    values = np.random.default_rng(0).normal(size=(3, 8, 4))
    many = Scores(methods=("a", "b", "c"), datasets=tuple("12345678"), seeds=(0, 1, 2, 3), values=values)
    found = critical_difference(many)
    assert sorted(found.ranks) == pytest.approx(sorted(average_ranks(values.mean(axis=2))))


def test_too_few_datasets_say_so_and_how_many_could():
    means = np.arange(4)[:, None] * np.arange(1, 6.0)  # as clear as can be
    found = critical_difference(scores(means))
    assert found.groups == ((0, 1, 2, 3),)
    assert found.note == (
        "5 datasets cannot tell any of 4 methods apart at 5%: the smallest possible p is 0.38; 8 datasets could"
    )
    assert critical_difference(scores(np.arange(4)[:, None] * np.arange(1, 9.0))).note == ""


@pytest.mark.parametrize("methods", [2, 4, 10])
def test_nemenyis_note_names_the_first_number_of_datasets_that_could(methods):
    def clean_sweep(datasets):
        return np.arange(methods)[:, None] * np.arange(1.0, datasets + 1)

    note = critical_difference(scores(clean_sweep(2)), test="nemenyi").note
    enough = int(note.split("; ")[1].split()[0])
    assert nemenyi(clean_sweep(enough)).min() < 0.05 <= nemenyi(clean_sweep(enough - 1)).min()
    assert critical_difference(scores(clean_sweep(enough)), test="nemenyi").note == ""
