"""The Gaussian of a learned variance against torch.distributions, and its variance against all others."""

from __future__ import annotations

import torch
from torch.distributions import Normal

from harness.nn.calibrated_gaussian import SMALLEST, CalibratedGaussian, gaussian_log_likelihood

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(4, 3, 5, 5, generator=GENERATOR)
IMAGES = torch.rand(4, 3, 5, 5, generator=GENERATOR)
ERROR = (LOGITS.sigmoid() - IMAGES).square().mean()


def test_it_is_the_density_of_torch_distributions() -> None:
    gaussian = CalibratedGaussian().eval()
    gaussian.variance.fill_(0.04)
    expected = Normal(LOGITS.sigmoid(), 0.2).log_prob(IMAGES).sum((1, 2, 3))  # (B,)
    torch.testing.assert_close(gaussian.log_likelihood(LOGITS, IMAGES), expected)
    torch.testing.assert_close(gaussian.nll(LOGITS, IMAGES), -expected.mean())


def test_in_training_the_variance_is_the_most_likely_one() -> None:
    lowest = CalibratedGaussian().nll(LOGITS, IMAGES)
    others = [-gaussian_log_likelihood(LOGITS, IMAGES, ERROR * factor).mean() for factor in (0.5, 0.9, 1.1, 2.0)]
    assert all(lowest < other for other in others)


def test_it_moves_to_the_error_of_what_it_is_trained_on_and_stays_there() -> None:
    gaussian = CalibratedGaussian()
    for _ in range(200):
        gaussian.nll(LOGITS, IMAGES)
    torch.testing.assert_close(gaussian.variance, ERROR)
    gaussian.eval().nll(LOGITS, 1 - IMAGES)
    torch.testing.assert_close(gaussian.variance, ERROR)


def test_the_gradient_goes_to_the_decoder_as_that_of_the_log_of_the_error() -> None:
    """Rybkin et al. 2021: with the variance in its place, the loss is CHW / 2 log(error), up to a constant."""
    ours, theirs = (LOGITS.clone().requires_grad_() for _ in range(2))
    CalibratedGaussian().nll(ours, IMAGES).backward()
    (IMAGES[0].numel() / 2 * (theirs.sigmoid() - IMAGES).square().mean().log()).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_perfect_decoder_has_a_finite_density() -> None:
    certain = (2 * IMAGES.round() - 1) * 200
    found = CalibratedGaussian().nll(certain, IMAGES.round())
    expected = -Normal(0.0, SMALLEST**0.5).log_prob(torch.zeros(())) * IMAGES[0].numel()
    torch.testing.assert_close(found, expected)
