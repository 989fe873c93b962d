"""The scan of a series of changes, against a search over every stretch that is written out, and limit cases."""

from __future__ import annotations

import numpy as np
import pytest

from harness.metrics.change_points import _extreme, noise, stretches, until_now


def brute(x, s):
    """The largest |Z| of all stretches, one by one."""
    pairs = [(a, b) for a in range(len(x)) for b in range(a, len(x))]
    return max(pairs, key=lambda ab: abs(sum(x[ab[0] : ab[1] + 1])) / np.sqrt(sum(s[ab[0] : ab[1] + 1] ** 2)))


@pytest.mark.parametrize("seed", range(5))
def test_the_extreme_stretch_is_that_of_a_search_one_by_one(seed):
    generator = np.random.default_rng(seed)
    x, s = generator.normal(0, 1, 12), generator.uniform(0.5, 2, 12)
    assert _extreme(x, s)[:2] == brute(x, s)


def test_a_jump_and_a_creep_are_found_where_they_are():
    x = np.zeros(30)
    x[5], x[15:25] = -0.05, 0.01
    found = stretches(x + np.random.default_rng(0).normal(0, 0.002, 30), [0.002] * 30)
    jump, creep = found[0], max(found, key=lambda one: one.length)
    assert (jump.first, jump.last) == (5, 5)
    assert abs(creep.first - 15) <= 1
    assert abs(creep.last - 24) <= 1
    assert creep.low < 0.1 < creep.high


def test_noise_alone_is_rarely_a_change():
    """5 % of 400: 20, and 35 with a chance below 0.001."""
    generator = np.random.default_rng(3)
    assert sum(bool(stretches(generator.normal(0, 0.01, 30), [0.01] * 30)) for _ in range(400)) < 35
    alone = [until_now(generator.normal(0, 0.01, 30), [0.01] * 30) for _ in range(400)]
    assert sum(any(one.low > 0 or one.high < 0 for one in each) for each in alone) < 35


def test_better_and_worse_are_mirrored():
    x = np.random.default_rng(1).normal(0.01, 0.01, 20)
    up, down = stretches(x, [0.01] * 20), stretches(-x, [0.01] * 20)
    assert [(a.first, a.last, a.total, a.p) for a in up] == [(b.first, b.last, -b.total, b.p) for b in down]
    assert up


def test_what_has_no_noise_is_found_to_the_last_bit():
    (found,) = stretches([0.0, 0.0, 1e-9, 0.0], [0.0] * 4)
    assert (found.first, found.last, found.p, found.low, found.high) == (2, 2, 0.0, 1e-9, 1e-9)
    assert stretches([0.0, 0.0], [0.0, 0.0]) == []
    assert [one.length for one in stretches([0.1, 0.2, -0.3], [0.0] * 3)] == [1, 1, 1]


def test_until_now_sums_to_the_end():
    x = [0.1, 0.2, 0.3]
    assert [one.total for one in until_now(x, [1.0] * 3)] == pytest.approx([0.6, 0.5, 0.3])
    assert until_now([], []) == stretches([], []) == []


def test_noise_grows_with_the_spread_and_never_shrinks():
    x = np.random.default_rng(0).normal(0, 0.03, 200)
    assert noise(x, [0.01] * 200)[0] == pytest.approx(0.03, rel=0.2)
    assert noise(x, [0.1] * 200)[0] == 0.1
    assert noise(x, [float("nan")] * 200)[0] == pytest.approx(0.03, rel=0.2)
    assert np.isnan(noise([0.1, 0.2], [float("nan")] * 2)).all()
    creep = np.full(20, 0.02) + np.random.default_rng(1).normal(0, 0.002, 20)
    assert noise(creep, [0.002] * 20)[0] < 0.004  # a steady creep is no noise


@pytest.mark.parametrize(
    ("x", "s", "message"),
    [([0.1], [0.1, 0.2], "each change"), ([float("nan")], [0.1], "finite"), ([0.1], [-0.1], "no error is negative")],
)
def test_bad_series(x, s, message):
    with pytest.raises(ValueError, match=message):
        stretches(x, s)


def test_bad_alarm():
    with pytest.raises(ValueError, match="alarm is a chance"):
        stretches([0.1], [0.1], alarm=0)
