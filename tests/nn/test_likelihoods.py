"""Likelihoods against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, Normal

from harness.nn.likelihoods import bernoulli_nll, log_likelihood, nll, reconstruction_error, summed_squared_error

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(4, 3, 5, 5, generator=GENERATOR)
BINARY = torch.randint(0, 2, (4, 3, 5, 5), generator=GENERATOR).float()
DISTRIBUTIONS = {"bernoulli": Bernoulli(logits=LOGITS), "gaussian": Normal(LOGITS.sigmoid(), 1.0)}


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_it_is_the_density_of_torch_distributions(likelihood) -> None:
    expected = DISTRIBUTIONS[likelihood].log_prob(BINARY).sum((1, 2, 3))  # (B,)
    torch.testing.assert_close(log_likelihood(likelihood, LOGITS, BINARY), expected)
    torch.testing.assert_close(nll(likelihood, LOGITS, BINARY), -expected.mean())


def test_errors_of_an_autoencoder() -> None:
    expected = sum(float((LOGITS[i].sigmoid() - BINARY[i]).pow(2).sum()) for i in range(4)) / 4
    assert float(reconstruction_error("mse", LOGITS, BINARY)) == pytest.approx(expected, rel=1e-5)
    assert reconstruction_error("bce", LOGITS, BINARY) == bernoulli_nll(LOGITS, BINARY)


def test_a_perfect_decoder_leaves_no_error() -> None:
    logits = (2 * BINARY - 1) * 200
    assert summed_squared_error(logits, BINARY) == 0
    assert bernoulli_nll(logits, BINARY) < 1e-6
