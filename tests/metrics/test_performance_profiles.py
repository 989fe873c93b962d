"""Performance profiles against rliable and by counting."""

from __future__ import annotations

import numpy as np
import pytest

from harness.metrics import performance_profiles as profiles
from harness.metrics.across_datasets import Scores
from harness.metrics.performance_profiles import POINTS, performance_profile, performance_profiles

TAUS = np.linspace(0, 1, 21)


def scores(better="higher", **values) -> Scores:
    array = np.stack(list(values.values()))
    datasets = tuple(f"d{i}" for i in range(array.shape[1]))
    return Scores(methods=tuple(values), datasets=datasets, seeds=tuple(range(array.shape[2])), values=array,
                  better=better)  # fmt: skip


def some(datasets=5, seeds=6, seed=0):
    return np.round(np.random.default_rng(seed).uniform(0, 1, (datasets, seeds)), 2)


def test_profile_and_band_are_rliables(rliable):
    library, _ = rliable
    own = some()
    np.random.seed(0)
    shares, bands = library.create_performance_profile({"vae": own.T}, TAUS, reps=2000)
    found = performance_profile(own, TAUS, resamples=20_000)
    assert found.share == pytest.approx(shares["vae"], abs=1e-12)
    assert np.stack([found.low, found.high]) == pytest.approx(bands["vae"], abs=1.01 / own.size)  # a step of the share


def test_a_score_at_tau_is_not_above_it():
    found = performance_profile(np.array([[0.2, 0.4], [0.6, 0.6]]), np.array([0.1, 0.2, 0.5, 0.6]))
    assert found.share.tolist() == [1.0, 0.75, 0.5, 0.0]


def test_a_dataset_with_fewer_seeds_weighs_the_same():
    found = performance_profile(np.array([[0.9, 0.9, 0.1, 0.1], [0.9, np.nan, np.nan, np.nan]]), np.array([0.5]))
    assert found.share.tolist() == pytest.approx([0.75])
    assert "1 of 2 datasets with one seed" in found.note


def test_the_band_holds_the_profile_and_one_seed_has_none():
    found = performance_profile(some(), TAUS)
    assert ((found.low <= found.share) & (found.share <= found.high)).all()
    alone = performance_profile(some(seeds=1), TAUS)
    assert (alone.low, alone.high) == (None, None)
    assert "one seed on each dataset" in alone.note


def test_blocks_of_tau_draw_the_same_resamples(monkeypatch):
    whole = performance_profile(some(), TAUS, seed=3)
    monkeypatch.setattr(profiles, "CELLS", 2_000)  # 4 values of tau at a time
    pieces = performance_profile(some(), TAUS, seed=3)
    np.testing.assert_allclose(whole.low, pieces.low, rtol=0, atol=1e-12)  # a product of other shapes rounds otherwise
    np.testing.assert_allclose(whole.high, pieces.high, rtol=0, atol=1e-12)


def test_where_lower_is_better_it_is_the_share_below():
    found = performance_profiles(scores(better="lower", vae=np.array([[0.2, 0.4], [0.6, 0.6]]), gan=some(2, 2)))
    vae = performance_profiles(scores(better="lower", vae=np.array([[0.2, 0.4], [0.6, 0.6]])), np.array([0.6, 0.3]))
    assert vae["vae"].taus.tolist() == [0.3, 0.6]
    assert vae["vae"].share.tolist() == [0.25, 0.5]  # strictly below
    assert (vae["vae"].low <= vae["vae"].share).all()
    assert (np.diff(found["gan"].share) >= 0).all()


def test_methods_share_their_taus_over_all_scores():
    found = performance_profiles(scores(vae=some(seed=1), gan=some(seed=2) * 2))
    assert set(found) == {"vae", "gan"}
    assert len(found["vae"].taus) == POINTS
    assert np.array_equal(found["vae"].taus, found["gan"].taus)
    assert found["gan"].share[-1] == 0
    assert found["gan"].taus[-1] == (some(seed=2) * 2).max()
