"""Likelihoods against torch.distributions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Normal

from harness.nn.likelihoods import (
    bernoulli_cross_entropy,
    bernoulli_nll,
    log_likelihood,
    nll,
    reconstruction_error,
    summed_squared_error,
)

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


def test_the_cross_entropy_is_torchs_in_value_and_gradient_to_the_second_order() -> None:
    logits = torch.cat([LOGITS.flatten(), torch.tensor([0.0, -0.0, 1e-9, 15.0, -15.0, 90.0, -90.0, 1e5, -1e5])])
    targets = torch.rand(len(logits), generator=GENERATOR)
    weights = torch.rand(len(logits), generator=GENERATOR)
    found = []
    for function in (bernoulli_cross_entropy, lambda a, b: F.binary_cross_entropy_with_logits(a, b, reduction="none")):
        inputs = logits.clone().requires_grad_(), targets.clone().requires_grad_()
        value = function(*inputs)
        first = torch.autograd.grad((value * weights).sum(), inputs, create_graph=True)
        second = torch.autograd.grad((first[0] * weights).sum(), inputs[0])
        found.append((value, *first, *second))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-7)


def test_a_pixel_that_is_explained_perfectly_costs_nothing_and_one_that_is_not_costs_its_logit() -> None:
    values = bernoulli_cross_entropy(torch.tensor([1e4, -1e4, 1e4, -1e4]), torch.tensor([1.0, 0.0, 0.0, 1.0]))
    assert values.tolist() == [0, 0, 1e4, 1e4]


def test_bf16_logits_are_not_rounded_further() -> None:
    rounded = LOGITS.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert bernoulli_nll(rounded, BINARY) == bernoulli_nll(rounded.float(), BINARY)
