"""The rule of the time tier, against scipy's signed-rank test, hand-computed cases and simulated noise."""

from math import exp, log, log1p

import numpy as np
import pytest
from scipy import stats

from harness.gate.sequential import TimeRule, above, bounds, judged, sequence, walsh


def test_p_is_that_of_scipys_exact_signed_rank_test():
    for n in (5, 9, 20):
        values = np.random.default_rng(n).normal(0.3, 1.0, n)
        expected = stats.wilcoxon(values, alternative="greater", method="exact").pvalue
        assert above(walsh(values), n, 0.0) == pytest.approx(expected, rel=1e-12)


def test_bounds_are_where_the_test_stops_to_reject():
    values = np.random.default_rng(1).normal(size=12)
    averages = walsh(values)
    low, high = bounds(averages, 12, 0.02)
    step = 1e-9
    assert stats.wilcoxon(values - low + step, alternative="greater", method="exact").pvalue <= 0.02
    assert stats.wilcoxon(values - low - step, alternative="greater", method="exact").pvalue > 0.02 - 0.005
    assert stats.wilcoxon(values - high - step, alternative="less", method="exact").pvalue <= 0.02
    assert stats.wilcoxon(values - high + step, alternative="less", method="exact").pvalue > 0.01


def test_too_few_pairs_have_no_bound():
    assert bounds(walsh(np.array([0.1, 0.2, 0.3])), 3, 0.01) == (-np.inf, np.inf)


def test_by_hand_ten_slow_pairs_fail_and_ten_equal_ones_pass():
    slow = [log1p(0.1) + 0.001 * i for i in range(10)]
    found = judged(slow, TimeRule(margin=0.05))
    assert found is not None
    assert found.word == "fail"
    # all ten positive: p = 2^-10, times alarm / (the level of the first look)
    assert found.p == pytest.approx(2**-10 * 0.01 / TimeRule().levels(10)[0])
    assert found.change == pytest.approx(exp(log1p(0.1) + 0.0045) - 1)
    even = judged([0.001 * (-1) ** i for i in range(10)], TimeRule(margin=0.05))
    assert even is not None
    assert even.word == "pass"
    assert even.equivalent
    assert even.high < 0.05


def test_identical_pairs_pass_and_a_shown_but_small_slow_down_is_no_failure():
    assert judged([0.0] * 10, TimeRule()).word == "pass"
    assert judged([0.01] * 10, TimeRule(margin=0.05)).word == "pass"  # shown, but within the margin


def test_between_half_a_margin_and_the_margin_exactly_known_it_passes():
    assert judged([log1p(0.04)] * 10, TimeRule(margin=0.05)).word == "pass"
    assert judged([log1p(0.06)] * 10, TimeRule(margin=0.05)).word == "fail"


def test_it_waits_for_its_looks_and_says_at_the_end_what_would_decide():
    noisy = list(np.random.default_rng(3).normal(0.03, 0.2, 40))
    rule = TimeRule(margin=0.05)
    assert judged(noisy[:11], rule) is None
    assert judged(noisy[:14], rule) is None
    found = judged(noisy[:11], rule, last=True)
    assert found.word == "inconclusive"
    assert found.pairs_needed > 40
    assert found.noise == pytest.approx(0.2, rel=0.7)
    assert found.low < found.change < found.high
    assert found.detectable > 0.05
    assert judged([], rule, last=True).word == "inconclusive"


def test_all_that_is_left_is_spent_at_a_last_look_and_no_more_than_alarm_in_all():
    rule = TimeRule(looks=(10, 20, 40))
    assert sum(rule.levels(look)[0] for look in rule.looks) == pytest.approx(rule.alarm)
    assert rule.levels(10)[0] + rule.levels(15)[0] == pytest.approx(rule.alarm)
    assert TimeRule(family=4).levels(10)[0] == pytest.approx(TimeRule().levels(10)[0] / 4)


@pytest.mark.parametrize("bad", [{"margin": 0.0}, {"alarm": 0.7}, {"looks": (10, 10)}, {"looks": ()}, {"family": 0}])
def test_a_rule_without_sense_is_refused(bad):
    with pytest.raises(ValueError, match=r"margin|chance|looks|family"):
        TimeRule(**bad)


def _noise(generator: np.random.Generator, reps: int, sd: float) -> np.ndarray:
    """Heavy-tailed and symmetric: one pair in ten has a spike, of either arm."""
    spikes = generator.exponential(0.1, (reps, 40)) * (generator.random((reps, 40)) < 0.1)
    return generator.normal(0, sd, (reps, 40)) + spikes * generator.choice([-1, 1], (reps, 40))


def test_simulated_rates():
    generator, rule, reps = np.random.default_rng(0), TimeRule(margin=0.05), 400
    unchanged = [sequence(list(x), rule).word for x in _noise(generator, reps, 0.02)]
    slower = [sequence(list(x + log(1.1)), rule).word for x in _noise(generator, reps, 0.02)]
    at_margin = [sequence(list(x + log(1.05)), rule).word for x in _noise(generator, reps, 0.02)]
    assert unchanged.count("fail") <= 0.02 * reps
    assert unchanged.count("pass") >= 0.9 * reps
    assert slower.count("fail") >= 0.97 * reps
    assert slower.count("pass") == 0
    assert at_margin.count("pass") <= 0.08 * reps  # promised: 5 %
