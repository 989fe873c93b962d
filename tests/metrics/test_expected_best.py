"""The expected best of n trials against all draws, one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from harness.metrics.expected_best import expected_best


@pytest.mark.parametrize("scores", [[0.3, 0.9, 0.5], [0.7, 0.7, 0.2, 0.9], [1.0, 1.0], [0.4], [-1.5, 2.0, 0.0, 2.0]])
@pytest.mark.parametrize(("better", "best"), [("higher", max), ("lower", min)])
def test_it_is_the_mean_of_the_best_over_all_draws(scores, better, best):
    every = [np.mean([best(drawn) for drawn in product(scores, repeat=n)]) for n in range(1, len(scores) + 1)]
    assert expected_best(scores, better) == pytest.approx(every)


def test_one_trial_is_worth_the_mean_and_more_are_worth_more():
    scores = np.random.default_rng(0).normal(size=30).tolist()
    curve = expected_best(scores)
    assert curve[0] == pytest.approx(np.mean(scores))
    assert (np.diff(curve) > 0).all()
    assert curve[-1] < max(scores)


def test_the_order_of_trials_says_nothing():
    assert expected_best([3.0, 1.0, 2.0]) == expected_best([1.0, 2.0, 3.0])


@pytest.mark.parametrize("scores", [[], [float("nan")], [1.0, float("inf")]])
def test_what_is_no_score_is_refused(scores):
    with pytest.raises(ValueError, match="at least one trial"):
        expected_best(scores)
