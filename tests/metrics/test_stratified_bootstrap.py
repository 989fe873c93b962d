"""Aggregates and their intervals against rliable, scipy, and all resamples of a small design by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats as reference

from harness.metrics import stratified_bootstrap
from harness.metrics.across_datasets import Floats
from harness.metrics.stratified_bootstrap import (
    Runs,
    aggregated,
    blocks,
    gap_to,
    interquartile_mean,
    iqm,
    mean_of_means,
    median_of_means,
    optimality_gap,
    probability_of_improvement,
)

AGGREGATES = {
    "aggregate_iqm": iqm,
    "aggregate_mean": mean_of_means,
    "aggregate_median": median_of_means,
    "aggregate_optimality_gap": gap_to(1.0),
}


def scores_of(datasets: int, seeds: int, seed: int = 0) -> Floats:
    generator = np.random.default_rng(seed)
    return generator.normal(generator.uniform(0.4, 1.1, (datasets, 1)), 0.1, (datasets, seeds))


def some_seeds(scores: Floats, counts) -> Floats:
    """The first so many seeds of each dataset; NaN for the others."""
    return np.where(np.arange(scores.shape[1]) < np.array(counts)[:, None], scores, np.nan)


def every_resample(scores: Floats) -> np.ndarray:
    """All ways to draw each dataset's seeds with replacement, equally likely. (R,D,S)"""
    datasets, seeds = scores.shape
    draws = np.array(list(itertools.product(range(seeds), repeat=datasets * seeds))).reshape(-1, datasets, seeds)
    return np.take_along_axis(scores[None], draws, axis=2)


@pytest.mark.parametrize("name", AGGREGATES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 3), (5, 10), (13, 7)])
def test_aggregates_are_rliables(name, shape, rliable):
    _, metrics = rliable
    scores = scores_of(*shape)
    runs = Runs.of(scores)
    assert AGGREGATES[name](runs, runs.once())[0] == pytest.approx(getattr(metrics, name)(scores.T), abs=1e-14)


@pytest.mark.parametrize("name", AGGREGATES)
def test_each_resample_has_rliables_aggregate_of_the_runs_that_it_drew(name, rliable):
    _, metrics = rliable
    runs = Runs.of(scores_of(4, 5))
    (drawn,) = runs.drawn(50, np.random.default_rng(3))
    theirs = []
    for counts in drawn.astype(int):
        theirs.append(getattr(metrics, name)(np.repeat(runs.values, counts).reshape(4, 5).T))
    assert AGGREGATES[name](runs, drawn) == pytest.approx(theirs, abs=1e-14)


@pytest.mark.parametrize("name", AGGREGATES)
def test_intervals_are_rliables_but_for_the_draws(name, rliable):
    library, metrics = rliable
    scores = scores_of(6, 5)
    np.random.seed(0)  # rliable draws from the global stream
    _, theirs = library.get_interval_estimates(
        {"vae": scores.T},
        lambda x: np.array([getattr(metrics, name)(x)]),
        reps=2000,
    )
    found = aggregated(scores, AGGREGATES[name], resamples=40_000)
    width = found.high - found.low
    assert [found.low, found.high] == pytest.approx(theirs["vae"].ravel(), abs=0.08 * width)


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (1, 4)])
def test_intervals_are_those_of_all_resamples(shape):
    """Percentiles of a discrete distribution: where the level falls on no step, enough draws give them exactly."""
    scores = scores_of(*shape)
    resamples = every_resample(scores)
    for aggregate, by_hand in (
        (iqm, lambda x: reference.trim_mean(x.reshape(len(x), -1), 0.25, axis=1)),
        (mean_of_means, lambda x: x.mean(axis=(1, 2))),
        (median_of_means, lambda x: np.median(x.mean(axis=2), axis=1)),
        (gap_to(0.8), lambda x: 0.8 - np.minimum(x, 0.8).mean(axis=(1, 2))),
    ):
        low, high = np.quantile(by_hand(resamples), [0.033, 0.967])
        found = aggregated(scores, aggregate, resamples=100_000, level=0.934)
        assert [found.low, found.high] == pytest.approx([low, high], abs=0.01)


def test_the_interquartile_mean_is_scipys_trimmed_mean_and_drops_a_quarter_of_each_end():
    scores = scores_of(4, 4)
    assert interquartile_mean(scores, resamples=10).mean == pytest.approx(reference.trim_mean(scores, 0.25, axis=None))
    wild = scores.copy()
    wild[np.unravel_index(np.argsort(scores, axis=None)[-4:], scores.shape)] = 1e9
    assert interquartile_mean(wild, resamples=10).mean == pytest.approx(interquartile_mean(scores, resamples=10).mean)


def test_a_dataset_weighs_the_same_with_fewer_seeds():
    """As if its seeds had been copied until all datasets have as many: 2 seeds three times, 3 seeds twice."""
    scores = some_seeds(scores_of(4, 6), [6, 3, 2, 6])
    copied = np.stack([np.tile(row[~np.isnan(row)], 6 // (~np.isnan(row)).sum()) for row in scores])
    for aggregate in AGGREGATES.values():
        runs, whole = Runs.of(scores), Runs.of(copied)
        assert aggregate(runs, runs.once()) == pytest.approx(aggregate(whole, whole.once()), abs=1e-14)
    assert interquartile_mean(scores, resamples=10).n == 17


def test_seeds_are_drawn_within_their_dataset_and_as_many_as_there_are():
    runs = Runs.of(some_seeds(scores_of(3, 5), [5, 2, 1]))
    (drawn,) = runs.drawn(20_000, np.random.default_rng(0))
    sums = np.add.reduceat(drawn, runs.starts, axis=1)
    assert (sums == [5, 2, 1]).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(8), abs=0.03)
    assert drawn[:, :5].var(axis=0) == pytest.approx(np.full(5, 0.8), abs=0.04)  # multinomial: n p (1-p)
    correlation = np.corrcoef(drawn[:, 0], drawn[:, 5])[0, 1]
    assert abs(correlation) < 0.03


def test_blocks_bound_memory_and_change_only_what_is_drawn_when(monkeypatch):
    assert list(blocks(10, 2**19)) == [2] * 5
    assert list(blocks(3, 2**30)) == [1, 1, 1]
    scores = scores_of(5, 4)
    whole = interquartile_mean(scores, resamples=5_000, seed=7)
    monkeypatch.setattr(stratified_bootstrap, "CELLS", 2_000)
    pieces = interquartile_mean(scores, resamples=5_000, seed=7)
    assert pieces.mean == whole.mean
    assert [pieces.low, pieces.high] == pytest.approx([whole.low, whole.high], abs=0.005)


def test_the_same_seed_gives_the_same_interval():
    scores = scores_of(5, 4)
    assert interquartile_mean(scores, seed=1) == interquartile_mean(scores, seed=1)
    assert interquartile_mean(scores, seed=1) != interquartile_mean(scores, seed=2)


def test_one_seed_gives_no_interval_and_some_single_seeds_are_said():
    alone = interquartile_mean(scores_of(5, 1))
    assert (alone.low, alone.high) == (None, None)
    assert "one seed on each dataset" in alone.note
    part = interquartile_mean(some_seeds(scores_of(3, 10), [10, 1, 10]))
    assert part.low is not None
    assert part.note == "1 of 3 datasets with one seed: its spread is not in the interval"
    few = interquartile_mean(scores_of(3, 3), resamples=10)
    assert few.note == "at most 3 seeds a dataset: an interval from so few is too short"
    assert interquartile_mean(scores_of(3, 10), resamples=10).note == ""
    same = interquartile_mean(np.array([[0.1 + 0.2, 0.3], [0.7, 0.7]]))
    assert same.low is None
    assert "the same number" in same.note


def test_the_optimality_gap_counts_no_gain_above_the_target():
    found = optimality_gap(np.array([[0.5, 2.0], [1.0, 0.9]]), target=1.0, resamples=10)
    assert found.mean == pytest.approx((0.5 + 0 + 0 + 0.1) / 4)


@pytest.mark.parametrize("bad", [[[np.nan, np.nan], [0.1, 0.2]], [[np.inf, 0.1]], [0.1, 0.2], [[]]])
def test_scores_must_be_there_and_finite(bad):
    with pytest.raises(ValueError, match="at least one seed on every dataset"):
        interquartile_mean(np.array(bad))


def test_probability_of_improvement_is_rliables(rliable):
    library, metrics = rliable
    x, y = np.round(scores_of(6, 5, 1), 1), np.round(scores_of(6, 4, 1), 1)  # with ties
    found = probability_of_improvement(x, y, resamples=40_000)
    assert found.mean == pytest.approx(metrics.probability_of_improvement(x.T, y.T), abs=1e-12)
    np.random.seed(0)
    _, theirs = library.get_interval_estimates(
        {"x,y": (x.T, y.T)},
        lambda a, b: np.array([metrics.probability_of_improvement(a, b)]),
        reps=300,
    )
    assert [found.low, found.high] == pytest.approx(theirs["x,y"].ravel(), abs=0.04)
    assert found.n == 54


def test_probability_of_improvement_by_counting_pairs():
    x, y = some_seeds(scores_of(3, 4, 1), [4, 2, 3]), some_seeds(scores_of(3, 3, 2), [3, 1, 2])
    x[0, 0] = y[0, 0]
    shares = []
    for own, other in zip(x, y, strict=True):
        pairs = list(itertools.product(own[~np.isnan(own)], other[~np.isnan(other)]))
        shares.append(sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs))
    found = probability_of_improvement(x, y)
    assert found.mean == pytest.approx(np.mean(shares))
    assert found.low <= found.mean <= found.high
    assert probability_of_improvement(y, x, resamples=10).mean == pytest.approx(1 - found.mean)
    assert probability_of_improvement(x, x, resamples=10).mean == pytest.approx(0.5)


def test_probability_of_improvement_over_all_resamples():
    x, y = scores_of(2, 2, 1), scores_of(2, 3, 1) + 0.02
    a, b = every_resample(x), every_resample(y)
    per_dataset = [(a[:, None, d, :, None] > b[None, :, d, None, :]).mean(axis=(2, 3)) for d in range(2)]
    every = np.mean(per_dataset, axis=0).ravel()
    low, high = np.quantile(every, [0.033, 0.967])
    found = probability_of_improvement(x, y, resamples=100_000, level=0.934)
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.01)


def test_probability_of_improvement_needs_the_same_datasets():
    with pytest.raises(ValueError, match="x has 2 datasets and y 3"):
        probability_of_improvement(scores_of(2, 2), scores_of(3, 2))
