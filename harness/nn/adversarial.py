"""The losses of adversarial training, as pure functions of what a discriminator or critic says.

B images, C channels, H=W pixels. A discriminator answers in logits l, D = sigmoid(l); a critic in any real number.
Every loss is a mean over the batch, in nats where it is a likelihood.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

# How discriminators without batch statistics and their generators learn: harness.records.TrainConfig.
RECIPE = {
    "batch_size": 64,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "beta1": 0.0,
    "beta2": 0.99,
    "warmup": 0.0,
    "schedule": "constant",
    "clip_norm": 0.0,
}


def judged_as(logits: Tensor, label: float, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of the logits (B,) with one label for all: -label log D - (1 - label) log(1 - D), in nats.

    `weight` (B,) in [0,1] leaves rows out; the sum is still divided by B.
    """
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label), weight)


def discriminator_loss(real: Tensor, fake: Tensor, real_label: float = 1.0) -> Tensor:
    """-log D(x) - log(1 - D(G(z))), Goodfellow et al. 2014, arXiv:1406.2661, equation 1, negated.

    A `real_label` below 1 is one-sided label smoothing, Salimans et al. 2016, arXiv:1606.03498, section 3.4.
    """
    return judged_as(real, real_label) + judged_as(fake, 0.0)


def matching_aware_loss(right: Tensor, fake: Tensor, wrong: Tensor, differs: Tensor, real_label: float = 1.0) -> Tensor:
    """-log D(x,c) - (log(1 - D(G(z,c),c)) + log(1 - D(x,c'))) / 2: genuine is a real image with its own condition only.

    Reed et al. 2016, arXiv:1605.05396, algorithm 1. All are logits (B,); `differs` (B,) in {0,1} leaves out the rows
    whose other condition c' happens to be their own.
    """
    return judged_as(right, real_label) + 0.5 * (judged_as(fake, 0.0) + judged_as(wrong, 0.0, differs))


def non_saturating(fake: Tensor) -> Tensor:
    """-log D(G(z)) = softplus(-l): its gradient is largest where the discriminator is sure of the fake."""
    return F.softplus(-fake).mean()


def min_max(fake: Tensor) -> Tensor:
    """log(1 - D(G(z))) = -softplus(l): the game as stated, whose gradient vanishes where D is sure of the fake."""
    return -F.softplus(fake).mean()


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """f(G(z)) - f(x): minus the dual estimate of the distance. Arjovsky et al. 2017, arXiv:1701.07875, equation 2."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """-f(G(z))."""
    return -fake.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """(|grad f(x^)| - 1)^2 at x^ = x + u (G(z) - x), u ~ U(0,1) for each image. Gulrajani et al. 2017, equation 3.

    `critic` must judge each image by itself: batch statistics would mix the gradients of different images. Images are
    (B,C,H,W), detached from what made them; the norm is over all pixels of an image. It can be differentiated again.
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = real.lerp(fake.to(real.dtype), share).detach().requires_grad_()  # (B,C,H,W)
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def real_gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """R1: |grad D(x)|^2 of the logits (B,) on real images (B,C,H,W), summed over pixels, mean over images.

    It keeps the discriminator from running away from the generator. Mescheder et al. 2018, arXiv:1801.04406, equation 9
    without its factor. The images must ask for a gradient; where logits see the whole batch, it is that of their sum.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()
