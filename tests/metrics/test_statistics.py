"""Statistics against textbook formulas, scipy's own tests and simulation."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy import stats as reference

from harness.metrics.statistics import (
    Estimate,
    detectable_difference,
    holm,
    mean_interval,
    overlaps,
    paired_difference,
    power_of_paired_t,
    wilson,
)


@pytest.mark.parametrize(("n", "level"), [(2, 0.95), (3, 0.95), (10, 0.9)])
def test_mean_interval_is_scipys_t_interval(n, level):
    values = np.random.default_rng(n).normal(0.9, 0.02, n)
    found = mean_interval(values.tolist(), level)
    low, high = reference.t.interval(level, n - 1, loc=values.mean(), scale=reference.sem(values))
    assert (found.mean, found.low, found.high) == pytest.approx((values.mean(), low, high))
    assert found.n == n
    assert found.half_width == pytest.approx((high - low) / 2)


def test_mean_interval_by_hand_for_three_seeds():
    found = mean_interval([1.0, 2.0, 3.0])  # sd 1, t(0.975; 2) = 4.302653 from the table
    assert found.low == pytest.approx(2 - 4.302653 / sqrt(3), abs=1e-6)


def test_one_seed_has_no_interval():
    found = mean_interval([0.5])
    assert (found.low, found.high, found.half_width) == (None, None, None)
    assert "one seed" in found.note


@pytest.mark.parametrize("value", [0.1 + 0.2, 0.0, 1e9])
def test_replicates_without_variance_are_called_out(value):
    found = mean_interval([value, value * (1 + 1e-16), value])
    assert found.low is None
    assert "the same number" in found.note


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_values_must_be_there_and_finite(values):
    with pytest.raises(ValueError, match="finite"):
        mean_interval(values)


def test_paired_difference_is_scipys_paired_t_test():
    generator = np.random.default_rng(1)
    a = dict(enumerate(generator.normal(0.9, 0.02, 5)))
    b = dict(enumerate(generator.normal(0.88, 0.02, 5)))
    found = paired_difference(a, b)
    expected = reference.ttest_rel(list(a.values()), list(b.values()))
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.effect == pytest.approx(np.mean(list(a.values())) - np.mean(list(b.values())))
    assert (found.n, found.unpaired) == (5, 0)


def test_paired_difference_changes_sign_when_the_methods_are_swapped():
    a, b = {0: 0.9, 1: 0.92, 2: 0.95}, {0: 0.8, 1: 0.83, 2: 0.81}
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert there.effect == pytest.approx(-back.effect)
    assert there.low == pytest.approx(-back.high)
    assert there.p == pytest.approx(back.p)


def test_only_common_seeds_are_paired_and_the_others_are_counted():
    found = paired_difference({0: 1.0, 1: 2.0, 7: 99.0}, {0: 0.5, 1: 1.0, 8: -99.0})
    assert found.effect == pytest.approx(0.75)
    assert (found.n, found.unpaired) == (2, 2)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_one_common_seed_and_equal_differences_are_not_tested():
    one = paired_difference({0: 1.0}, {0: 0.5})
    assert (one.effect, one.p, one.low, one.detectable) == (0.5, None, None, None)
    same = paired_difference({0: 0.9, 1: 0.8}, {0: 0.8, 1: 0.7})
    assert same.p is None
    assert "same difference" in same.note


@pytest.mark.parametrize(("shift", "n"), [(0.5, 10), (2.0, 3), (1.0, 5)])
def test_power_agrees_with_simulation(shift, n):
    draws = np.random.default_rng(7).normal(shift, 1.0, (20_000, n))
    p = reference.ttest_1samp(draws, 0.0, axis=1).pvalue
    assert power_of_paired_t(shift, 1.0, n) == pytest.approx(float((p < 0.05).mean()), abs=0.012)


def test_power_at_no_difference_is_the_size_of_the_test():
    assert power_of_paired_t(0.0, 1.0, 4) == pytest.approx(0.05, abs=1e-6)


def test_detectable_difference_has_the_power_asked_for():
    for n in (2, 3, 5, 20):
        assert power_of_paired_t(detectable_difference(0.02, n), 0.02, n) == pytest.approx(0.8, abs=1e-6)
    # Cohen's table 2.4.1 (paired): d = 0.5 needs about 34 pairs at 80 %.
    assert detectable_difference(1.0, 34) == pytest.approx(0.5, abs=0.01)
    with pytest.raises(ValueError, match="n >= 2"):
        detectable_difference(0.0, 3)


def test_holm_by_hand_and_monotone():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # the classical example
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([None, 0.02, None]) == [None, 0.02, None]
    assert holm([]) == []


def test_holm_rejects_what_the_step_down_procedure_rejects():
    generator = np.random.default_rng(3)
    for _ in range(50):
        ps = (generator.random(6) ** 3).tolist()
        rejected = set()
        for rank, index in enumerate(np.argsort(ps)):
            if ps[index] > 0.05 / (6 - rank):
                break
            rejected.add(int(index))
        assert {index for index, p in enumerate(holm(ps)) if p <= 0.05} == rejected


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (10, 10), (297, 300), (50, 100)])
def test_wilson_is_scipys_wilson(hits, n):
    found = wilson(hits / n, n)
    expected = reference.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert "test examples" in found.note


def test_wilson_refuses_what_is_no_share():
    with pytest.raises(ValueError, match="share"):
        wilson(1.2, 10)


def test_overlap_counts_a_shared_end_and_knows_no_answer_without_intervals():
    def of(low, high):
        return Estimate(mean=0.5, low=low, high=high, n=3)

    assert overlaps(of(0.1, 0.3), of(0.3, 0.4)) is True
    assert overlaps(of(0.1, 0.2), of(0.3, 0.4)) is False
    assert overlaps(of(0.1, 0.2), of(None, None)) is None
