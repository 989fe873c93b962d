"""The Bayesian signed-rank test: baycomp's numbers given its draws, closed forms for one dataset, limits."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats as reference

from harness.metrics import stratified_bootstrap
from harness.metrics.bayesian_signed_rank import PRIOR, Posterior, bayesian_signed_rank, posterior_shares, shares_won


def pair(n=12, seed=0, by=0.01):
    generator = np.random.default_rng(seed)
    a = generator.uniform(0.5, 1, n)
    return a, a + generator.normal(by, 0.03, n)


def baycomp():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("baycomp")


@pytest.mark.parametrize("rope", [0, 0.01, 0.2])
@pytest.mark.parametrize("prior", [0.5, 2.0])
def test_given_its_draws_it_is_baycomp(rope, prior):
    library = baycomp()
    a, b = pair()
    theirs = library.SignedRankTest(a, b, rope, prior=prior, nsamples=2000, random_state=5)
    weights = np.random.RandomState(5).dirichlet([prior] + [1] * len(a), 2000)
    shares = posterior_shares(weights, a, b, rope)
    assert shares == pytest.approx(theirs.sample, abs=1e-12)
    left, within, right = theirs.probs()
    assert (shares_won(shares) / 2000).tolist() == pytest.approx([left, within, right])


@pytest.mark.parametrize("by", [-0.02, 0.005, 0.03])
def test_with_its_own_draws_it_is_baycomp(by):
    library = baycomp()
    a, b = pair(by=by)
    theirs = library.two_on_multiple(a, b, rope=0.01, nsamples=3_000, random_state=0)
    found = bayesian_signed_rank(a, b, rope=0.01)
    assert [found.left, found.rope, found.right] == pytest.approx(theirs, abs=0.03)
    without = library.two_on_multiple(a, b, nsamples=3_000, random_state=0)
    found = bayesian_signed_rank(a, b, rope=0)
    assert [found.left, found.right] == pytest.approx([without[0], without[-1]], abs=0.03)


def test_one_dataset_has_closed_forms():
    """w0 ~ Beta(s,1) weighs the pseudo-difference 0; the share of the right is 1 - w0^2 or (1-w0)^2."""
    half = np.sqrt(0.5)
    zero, one = np.array([0.0]), np.array([1.0])
    clear = bayesian_signed_rank(zero, one, rope=0.4, draws=200_000)  # even the mean with 0 is outside the rope
    assert clear.right == pytest.approx(reference.beta.cdf(half, PRIOR, 1), abs=0.005)
    assert clear.rope == pytest.approx(1 - clear.right)
    close = bayesian_signed_rank(zero, one, rope=0.6, draws=200_000)  # the mean with 0 is inside
    assert close.right == pytest.approx(reference.beta.sf(half, 1, PRIOR), abs=0.005)
    assert clear.left == close.left == 0


def test_it_turns_round_with_the_methods_and_its_parts_sum_to_one():
    a, b = pair()
    one, other = bayesian_signed_rank(a, b, rope=0.01), bayesian_signed_rank(b, a, rope=0.01)
    assert (one.left, one.rope, one.right) == pytest.approx((other.right, other.rope, other.left))
    assert one.left + one.rope + one.right == pytest.approx(1)


def test_limits_of_the_rope():
    a, b = pair(by=0.03)
    assert bayesian_signed_rank(a, b, rope=1.0) == Posterior(left=0, rope=1, right=0)
    assert bayesian_signed_rank(a, b, rope=0).rope == 0
    assert bayesian_signed_rank(a, a + 0.5, rope=0.01).right > 0.999
    assert bayesian_signed_rank(a, a - 0.5, rope=0.01).left > 0.999
    equal = bayesian_signed_rank(a, a, rope=0)  # baycomp counts a draw that ties for the first method
    assert (equal.left, equal.right) == (0.5, 0.5)


def test_a_difference_of_exactly_the_rope_counts_half_on_each_side():
    weights = np.array([[0.0, 0.5, 0.5]])
    first, second = np.array([0.3, 0.8]), np.array([0.2, 0.7])  # 0.1 apart, but not as floats
    assert posterior_shares(weights, first, second, 0.1)[0] == pytest.approx([0.5, 0.5, 0])


def test_blocks_bound_memory(monkeypatch):
    a, b = pair()
    whole = bayesian_signed_rank(a, b, rope=0.01)
    monkeypatch.setattr(stratified_bootstrap, "CELLS", 10_000)
    assert bayesian_signed_rank(a, b, rope=0.01) == whole  # the stream of draws is one


@pytest.mark.parametrize(("rope", "prior"), [(-0.1, 0.5), (0.1, 0.0)])
def test_rope_and_prior_must_make_sense(rope, prior):
    with pytest.raises(ValueError, match="rope must be at least 0 and prior above 0"):
        bayesian_signed_rank(*pair(), rope=rope, prior=prior)


def test_datasets_must_be_the_same():
    with pytest.raises(ValueError, match="the same datasets"):
        bayesian_signed_rank(np.array([1.0, 2.0]), np.array([1.0]), rope=0.1)
