"""Adversarial losses against torch.distributions and closed forms, their gradients, the penalty of known critics."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli

from harness.nn.adversarial import (
    discriminator_loss,
    gradient_penalty,
    judged_as,
    matching_aware_loss,
    min_max,
    non_saturating,
    real_gradient_penalty,
    wasserstein_critic,
    wasserstein_generator,
)


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_logit_is_judged_by_the_bernoulli_likelihood() -> None:
    logits = draws(7)
    for label in (0.0, 1.0):
        expected = -Bernoulli(logits=logits).log_prob(torch.full_like(logits, label)).mean()
        torch.testing.assert_close(judged_as(logits, label), expected)
    smooth = 0.9 * judged_as(logits, 1.0) + 0.1 * judged_as(logits, 0.0)
    torch.testing.assert_close(judged_as(logits, 0.9), smooth)


def test_left_out_rows_still_count_in_the_mean() -> None:
    logits, weight = draws(4), torch.tensor([1.0, 0.0, 1.0, 0.0])
    torch.testing.assert_close(judged_as(logits, 0.0, weight), judged_as(logits[::2], 0.0) / 2)


def test_the_discriminator_loss_is_that_of_goodfellow() -> None:
    real, fake = draws(5), draws(5, seed=1)
    expected = -(real.sigmoid().log() + (1 - fake.sigmoid()).log()).mean()
    torch.testing.assert_close(discriminator_loss(real, fake), expected)
    assert discriminator_loss(torch.zeros(3), torch.zeros(3)).item() == pytest.approx(2 * 0.693147, abs=1e-5)


def test_smoothed_labels_are_best_met_at_the_smoothed_probability() -> None:
    logits = torch.tensor([0.9]).logit().requires_grad_()
    discriminator_loss(logits, torch.zeros(1), real_label=0.9).backward()
    assert logits.grad is not None
    assert logits.grad.abs().item() < 1e-6


def test_both_games_of_the_generator_have_their_textbook_gradients() -> None:
    """d/dl: -(1 - D) without saturation, -D in the min-max game: where D is sure, one is strong, the other gone."""
    sure = torch.tensor([-12.0, 0.0, 2.0])
    for loss, expected in ((non_saturating, -(1 - sure.sigmoid())), (min_max, -sure.sigmoid())):
        logits = sure.clone().requires_grad_()
        loss(logits).backward()
        assert logits.grad is not None
        torch.testing.assert_close(3 * logits.grad, expected)


def test_no_loss_overflows() -> None:
    for value in (-1e4, 1e4):
        logits = torch.full((2,), value)
        for loss in (non_saturating(logits), min_max(logits), discriminator_loss(logits, logits)):
            assert torch.isfinite(loss)


def test_the_critic_and_the_generator_pull_at_the_fakes_in_opposite_directions() -> None:
    real, fake = draws(6), draws(6, seed=1)
    assert wasserstein_critic(real, fake).item() == pytest.approx((fake.mean() - real.mean()).item(), abs=1e-6)
    torch.testing.assert_close(wasserstein_critic(real, fake) + wasserstein_generator(fake), -real.mean())


@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0, 3.0])
def test_the_penalty_of_a_linear_critic_is_known(slope: float) -> None:
    direction = draws(1, 4, 4)
    direction = slope * direction / direction.norm()

    def critic(images: Tensor) -> Tensor:
        return (images * direction).sum((1, 2, 3))

    penalty = gradient_penalty(critic, torch.rand(5, 1, 4, 4), torch.rand(5, 1, 4, 4))
    assert penalty.item() == pytest.approx((slope - 1) ** 2, abs=1e-4)


def test_the_penalty_is_taken_between_real_and_fake_and_can_be_differentiated_again() -> None:
    """f(x) = w |x|^2 / 2 has the gradient w x. With both ends at x0 the penalty is (w |x0| - 1)^2."""
    ends = draws(3, 1, 2, 2)
    weight = torch.tensor(0.7, requires_grad=True)
    penalty = gradient_penalty(lambda images: weight * images.square().flatten(1).sum(1) / 2, ends, ends.clone())
    norms = ends.flatten(1).norm(dim=1)
    torch.testing.assert_close(penalty, (0.7 * norms - 1).square().mean())
    penalty.backward()
    torch.testing.assert_close(weight.grad, (2 * (0.7 * norms - 1) * norms).mean())


def test_the_penalty_is_taken_at_one_point_of_each_line() -> None:
    seen: list[Tensor] = []

    def critic(images: Tensor) -> Tensor:
        seen.append(images.detach())
        return images.square().flatten(1).sum(1)

    gradient_penalty(critic, torch.zeros(64, 3, 2, 2), torch.ones(64, 3, 2, 2))
    shares = seen[0].flatten(1)
    assert bool((shares == shares[:, :1]).all()), "one share for all pixels of an image"
    assert len(shares[:, 0].unique()) > 32, "and another one for every image"
    assert shares.min() >= 0
    assert shares.max() <= 1


def test_genuine_is_a_real_image_with_its_own_condition_only() -> None:
    right, fake, wrong = draws(4), draws(4, seed=1), draws(4, seed=2)
    differs = torch.tensor([1.0, 1.0, 0.0, 1.0])
    terms = -right.sigmoid().log() - 0.5 * ((1 - fake.sigmoid()).log() + differs * (1 - wrong.sigmoid()).log())
    torch.testing.assert_close(matching_aware_loss(right, fake, wrong, differs), terms.mean())


def test_the_penalty_on_real_images_is_their_squared_gradient() -> None:
    """l(x) = w sum x^2 / 2 has the gradient w x: R1 is the mean of w^2 |x|^2, and its slope in w twice w |x|^2."""
    images = draws(6, 2, 3, 3).requires_grad_()
    weight = torch.tensor(0.7, requires_grad=True)
    penalty = real_gradient_penalty(weight * images.square().flatten(1).sum(1) / 2, images)
    squares = images.detach().square().flatten(1).sum(1)
    torch.testing.assert_close(penalty, (0.49 * squares).mean())
    (slope,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(slope, (1.4 * squares).mean())
