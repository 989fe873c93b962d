"""Crossed random effects: against a formula by loops, scipy's tests at both ends, and simulated coverage between."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats as reference

from harness.metrics.crossed import (
    Crossed,
    critical,
    crossed,
    crossed_difference,
    crossed_interval,
    detectable,
    enough_seeds,
    p_value,
    power,
)
from harness.metrics.statistics import detectable_difference, mean_interval, power_of_paired_t


def drawn(seeds: int, examples: int, parts: tuple[float, float, float], draws: int = 1, seed: int = 0) -> np.ndarray:
    """Outcomes (R,S,N) with mean 0 and these deviations of seeds, examples and the rest."""
    rng = np.random.default_rng(seed)
    of_seeds, of_examples, rest = parts
    return (
        of_seeds * rng.standard_normal((draws, seeds, 1))
        + of_examples * rng.standard_normal((draws, 1, examples))
        + rest * rng.standard_normal((draws, seeds, examples))
    )


def test_the_parts_of_the_variance_are_those_of_the_table_of_squares() -> None:
    values = drawn(4, 7, (1.0, 2.0, 0.5))[0]
    mean = values.mean()
    rows = sum(7 * (values[s].mean() - mean) ** 2 for s in range(4)) / 3
    columns = sum(4 * (values[:, e].mean() - mean) ** 2 for e in range(7)) / 6
    rest = sum(
        (values[s, e] - values[s].mean() - values[:, e].mean() + mean) ** 2 for s in range(4) for e in range(7)
    ) / (3 * 6)
    found = crossed(values)
    assert found.mean == pytest.approx(mean)
    assert found.of_seeds == pytest.approx(rows / 28)
    assert found.of_examples == pytest.approx((columns - rest) / 28)
    assert found.error == pytest.approx(np.sqrt((rows + columns - rest) / 28))


def test_the_variance_of_the_mean_is_estimated_without_bias() -> None:
    parts = (0.3, 1.0, 2.0)
    draws = [crossed(values) for values in drawn(5, 40, parts, draws=4000)]
    true = parts[0] ** 2 / 5 + parts[1] ** 2 / 40 + parts[2] ** 2 / 200
    assert np.mean([one.error**2 for one in draws]) == pytest.approx(true, rel=0.03)


def test_without_effects_of_examples_it_is_students_interval_over_seeds() -> None:
    by_seed = np.array([0.91, 0.94, 0.96, 0.92])
    values = np.repeat(by_seed[:, None], 50, 1)
    expected = mean_interval(by_seed.tolist())
    found = crossed_interval(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-5)
    other = crossed_difference(dict(enumerate(values)), dict.fromkeys(range(4), np.full(50, 0.9)))
    assert other is not None
    assert other.p == pytest.approx(reference.ttest_1samp(by_seed - 0.9, 0).pvalue, abs=1e-4)


def test_without_effects_of_seeds_it_is_the_normal_interval_over_examples() -> None:
    each = np.random.default_rng(0).standard_normal(400)
    found = crossed_interval(np.repeat(each[None], 3, 0))
    half = 1.959964 * each.std(ddof=1) / 20
    assert (found.low, found.high) == pytest.approx((each.mean() - half, each.mean() + half), rel=1e-3, abs=1e-4)


def test_one_seed_of_a_share_is_wilsons_interval() -> None:
    right = np.arange(360) % 12 < 11
    expected = reference.binomtest(int(right.sum()), 360).proportion_ci(method="wilson")
    found = crossed_interval(right, proportion=True)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=2e-4)
    assert "not of new seeds" in found.note


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_right_or_all_wrong_is_no_certainty(share: float) -> None:
    found = crossed_interval(np.full((3, 100), share), proportion=True)
    expected = reference.binomtest(int(100 * share), 100).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-3)


# Seeds, examples, and the deviations of seeds, examples and the rest: from examples that decide to seeds that do.
DESIGNS = [
    (2, 400, (0.01, 0.3, 0.3)),
    (2, 2000, (0.01, 0.2, 0.3)),
    (3, 400, (0.004, 0.3, 0.4)),
    (3, 2000, (0.008, 0.2, 0.3)),
    (3, 2000, (0.03, 0.1, 0.3)),
    (5, 1000, (0.01, 0.25, 0.3)),
    (10, 400, (0.02, 0.3, 0.3)),
]


@pytest.mark.parametrize(("seeds", "examples", "parts"), DESIGNS)
def test_intervals_cover_what_they_promise(seeds: int, examples: int, parts: tuple[float, float, float]) -> None:
    """In 3,000 draws 95 % are met to 0.4 points: the bound is 1.3."""
    draws = 3000
    rng = np.random.default_rng(1)
    # The means of squares of normal outcomes, drawn as what they are: chi-squared.
    of_seeds, of_examples, rest = (part**2 for part in parts)
    expected = (examples * of_seeds + rest, seeds * of_examples + rest, rest)
    freedoms = (seeds - 1, examples - 1, (seeds - 1) * (examples - 1))
    squares = [mean * rng.chisquare(f, draws) / f for mean, f in zip(expected, freedoms, strict=True)]
    size = seeds * examples
    a, b = squares[0] / size, np.maximum(0, squares[1] - squares[2]) / size
    error = np.sqrt((expected[0] + expected[1] - rest) / size)
    means = error * rng.standard_normal(draws)
    covered = np.abs(means) <= critical(a / (a + b), seeds) * np.sqrt(a + b)
    assert covered.mean() == pytest.approx(0.95, abs=0.013)


@pytest.mark.parametrize("seeds", [2, 3, 5, 11, 17])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_p_is_below_a_level_where_the_interval_of_that_level_ends(seeds: int, share: float) -> None:
    for level in (0.9, 0.95, 0.99, 0.999):
        edge = float(critical(share, seeds, level))
        assert p_value(edge, share, seeds) == pytest.approx(1 - level, rel=0.02)
    sizes = [p_value(size, share, seeds) for size in (0, 0.1, 0.5, 1, 2, 4, 8, 30)]
    assert sizes[0] == pytest.approx(1.0)
    assert all(0 <= later < earlier for earlier, later in itertools.pairwise(sizes) if earlier > 1e-12)


@pytest.mark.parametrize("seeds", [2, 4, 9, 14, 31])
def test_the_ends_are_student_and_normal(seeds: int) -> None:
    assert float(critical(0.0, seeds)) == pytest.approx(1.96, abs=1e-3)
    assert float(critical(1.0, seeds)) == pytest.approx(reference.t.ppf(0.975, seeds - 1), rel=5e-3)


def test_a_difference_pairs_seeds_and_examples_and_has_the_sign_of_a() -> None:
    base = drawn(3, 300, (0.0, 1.0, 0.1))[0]
    a, b = dict(enumerate(base + 0.05)), dict(enumerate(base)) | {7: base[0]}
    found, turned = crossed_difference(a, b), crossed_difference(b, a)
    assert found is not None
    assert turned is not None
    assert found.effect == pytest.approx(0.05)
    assert (found.n, found.examples, found.unpaired) == (3, 300, 1)
    noisy = crossed_difference(dict(enumerate(base + 0.05 + drawn(3, 300, (0, 0.1, 0.2), seed=3)[0])), b)
    assert noisy is not None
    assert noisy.p is not None
    assert noisy.p < 0.05  # the examples' own difficulty, ten times the difference, is gone
    assert turned.effect == pytest.approx(-found.effect)


def test_methods_that_agree_everywhere_do_not_differ() -> None:
    right = np.ones((3, 100))
    found = crossed_difference(dict(enumerate(right)), dict(enumerate(right)), proportion=True)
    assert found is not None
    assert found.p == pytest.approx(1.0)
    assert found.low == pytest.approx(-0.0196, abs=1e-3)
    plain = crossed_difference(dict(enumerate(right)), dict(enumerate(right)))
    assert plain is not None
    assert (plain.p, plain.low) == (None, None)
    assert "no test" in plain.note


def test_one_seed_tells_nothing_of_others_and_no_common_seed_nothing_at_all() -> None:
    values = drawn(1, 200, (0, 1, 0))[0][0]
    found = crossed_difference({0: values}, {0: values * 0})
    assert found is not None
    assert found.p is None
    assert found.low is not None
    assert "one seed" in found.note
    assert crossed_difference({0: values}, {1: values}) is None


@pytest.mark.parametrize("bad", [[], [[np.nan, 1.0]], [[[1.0]]]])
def test_no_outcomes_are_refused(bad: list) -> None:
    with pytest.raises(ValueError, match="needs outcomes"):
        crossed(bad)


def test_power_at_the_ends_is_that_of_a_paired_t_and_of_a_normal_test() -> None:
    for seeds in (3, 6):
        error = 1 / np.sqrt(seeds)
        found = power(1.2, error**2, 0.0, seeds)
        assert found == pytest.approx(power_of_paired_t(1.2, 1.0, seeds), abs=2e-3)
    normal = reference.norm.sf(1.96 - 2.0) + reference.norm.cdf(-1.96 - 2.0)
    assert power(2.0, 1e-12, 1.0, 4) == pytest.approx(normal, abs=1e-3)


def test_the_detectable_difference_and_the_seeds_that_are_enough_are_those_of_that_power() -> None:
    design = Crossed(mean=0.02, of_seeds=1e-4, of_examples=4e-5, seeds=3, examples=1000)
    size = detectable(design)
    assert power(size, design.of_seeds, design.of_examples, 3) == pytest.approx(0.8, abs=1e-6)
    enough = enough_seeds(design)
    assert enough is not None
    each = design.of_seeds * 3
    assert power(0.02, each / enough, design.of_examples, enough) >= 0.8
    assert power(0.02, each / (enough - 1), design.of_examples, enough - 1) < 0.8
    only_seeds = Crossed(mean=0.0, of_seeds=1e-4, of_examples=0.0, seeds=3, examples=1000)
    assert detectable(only_seeds) == pytest.approx(detectable_difference(1e-2 * np.sqrt(3), 3), rel=5e-3)


def test_more_seeds_are_no_help_where_the_examples_are_too_few() -> None:
    assert enough_seeds(Crossed(mean=0.01, of_seeds=1e-6, of_examples=1e-4, seeds=3, examples=100)) is None
    assert enough_seeds(Crossed(mean=0.0, of_seeds=1e-6, of_examples=1e-6, seeds=3, examples=100)) is None
    with pytest.raises(ValueError, match="2 seeds"):
        detectable(Crossed(mean=0.0, of_seeds=0.0, of_examples=1e-6, seeds=1, examples=100))
