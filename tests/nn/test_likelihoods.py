"""Likelihoods against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, Normal

from harness.nn.likelihoods import (
    bernoulli_nll,
    gaussian_nll,
    log_likelihood,
    reconstruction_error,
    summed_squared_error,
)

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(4, 3, 5, 5, generator=GENERATOR)
BINARY = torch.randint(0, 2, (4, 3, 5, 5), generator=GENERATOR).float()
VARIANCE = torch.tensor(0.04)


def test_a_bernoulli_is_that_of_torch_distributions() -> None:
    expected = Bernoulli(logits=LOGITS).log_prob(BINARY).sum((1, 2, 3))  # (B,)
    torch.testing.assert_close(log_likelihood("bernoulli", LOGITS, BINARY, VARIANCE), expected)
    torch.testing.assert_close(bernoulli_nll(LOGITS, BINARY), -expected.mean())


def test_a_gaussian_is_that_of_torch_distributions() -> None:
    images = torch.rand(4, 3, 5, 5, generator=GENERATOR)
    expected = Normal(LOGITS.sigmoid(), VARIANCE.sqrt()).log_prob(images).sum((1, 2, 3))  # (B,)
    torch.testing.assert_close(log_likelihood("gaussian", LOGITS, images, VARIANCE), expected)
    torch.testing.assert_close(gaussian_nll(LOGITS, images, VARIANCE), -expected.mean())


def test_errors_of_an_autoencoder() -> None:
    expected = sum(float((LOGITS[i].sigmoid() - BINARY[i]).pow(2).sum()) for i in range(4)) / 4
    assert float(reconstruction_error("mse", LOGITS, BINARY)) == pytest.approx(expected, rel=1e-5)
    assert reconstruction_error("bce", LOGITS, BINARY) == bernoulli_nll(LOGITS, BINARY)


def test_a_perfect_decoder_leaves_no_error() -> None:
    logits = (2 * BINARY - 1) * 200
    assert summed_squared_error(logits, BINARY) == 0
    assert bernoulli_nll(logits, BINARY) < 1e-6
