"""The Bayesian signed-rank test: how probable is it that one method is better, or that they are practically equal?

Benavoli et al. 2017, JMLR 18(77), section 4.2 (and 2014, ICML); the same numbers as baycomp 1.0 given the same draws.
The differences d_1..d_D of two methods on D datasets, with a pseudo-difference d_0 = 0 of weight s, have a Dirichlet
process posterior: weights w ~ Dirichlet(s, 1, ..., 1), and for each draw

    theta_left  = sum_ij w_i w_j [d_i + d_j < -2r]     theta_right = sum_ij w_i w_j [d_i + d_j > 2r]

with theta_rope what is left, r half the width of the region of practical equivalence, and half a count at its border.
P(left) is the share of draws in which theta_left is the largest of the three. "Left": the first method is better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.metrics.across_datasets import Floats, decimals, differences
from harness.metrics.stratified_bootstrap import blocks

DRAWS = 50_000
PRIOR = 0.5  # s: the weight of the pseudo-difference, which lies in the region of practical equivalence


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """Probabilities that sum to 1; what they say of is a new dataset like these."""

    left: float  # the first method is better by more than the rope
    rope: float  # they are practically equal
    right: float  # the second method is better by more than the rope


def bayesian_signed_rank(
    first: Floats, second: Floats, rope: float, *, prior: float = PRIOR, draws: int = DRAWS, seed: int = 0
) -> Posterior:
    """P(left), P(rope), P(right) of two methods' scores on the same datasets (D,), greater being better.

    `rope`: differences up to this, in the unit of the score, are practically none; 0 asks for the better one alone.
    Raises ValueError where the datasets are not the same, or for a negative rope or prior.

    >>> found = bayesian_signed_rank(np.array([0.9, 0.8, 0.9, 0.7]), np.array([0.5, 0.5, 0.6, 0.3]), rope=0.01)
    >>> found.left > 0.95
    True
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1 or not first.size or not np.isfinite([first, second]).all():
        raise ValueError(f"needs finite scores on the same datasets, got shapes {first.shape} and {second.shape}")
    if rope < 0 or prior <= 0:
        raise ValueError(f"rope must be at least 0 and prior above 0, got {rope} and {prior}")
    generator = np.random.default_rng(seed)
    alphas = np.concatenate([[prior], np.ones(len(first))])
    wins = np.zeros(3)
    for size in blocks(draws, len(alphas)):
        wins += shares_won(posterior_shares(generator.dirichlet(alphas, size), first, second, rope))
    left, within, right = (wins / draws).tolist()
    return Posterior(left=left, rope=within, right=right)


def posterior_shares(weights: Floats, first: Floats, second: Floats, rope: float) -> Floats:
    """theta (left, rope, right) of each draw of weights (B,1+D), the pseudo-difference first. (B,3)"""
    delta = np.concatenate([[0.0], differences(second, first)])
    sums = np.round(delta[:, None] + delta, decimals(first, second))  # (1+D,1+D)
    above, below = np.heaviside(sums - 2 * rope, 0.5), np.heaviside(-sums - 2 * rope, 0.5)
    right = np.einsum("bi,bi->b", weights @ above, weights)
    left = np.einsum("bi,bi->b", weights @ below, weights) if rope > 0 else 1 - right
    within = 1 - left - right if rope > 0 else np.zeros_like(right)
    return np.stack([left, within, right], axis=1)


def shares_won(shares: Floats) -> Floats:
    """How many draws (B,3) each region wins; regions that tie share the draw. (3,)"""
    largest = shares >= shares.max(axis=1, keepdims=True) - 1e-12
    won: Floats = (largest / largest.sum(axis=1, keepdims=True)).sum(axis=0)
    return won
