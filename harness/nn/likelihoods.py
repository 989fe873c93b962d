"""How well decoded images explain real ones: log-likelihoods in nats, and the errors of autoencoders.

B images, C channels, H=W pixels. A decoder gives logits (B,C,H,W); their sigmoid is the decoded image.
"""

from __future__ import annotations

from math import log, pi
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Likelihood = Literal["bernoulli", "gaussian"]
Error = Literal["bce", "mse"]


def bernoulli_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """-t log p - (1-t) log(1-p), p = sigmoid(logits), t in [0,1], for each element, in fp32: as torch's, and faster.

    On the CPU torch takes a logarithm of 1 + x that is ten times as slow as that of x, for digits that are lost again
    in the sum over pixels: a third of the step of a VAE whose matrix products are in bf16. The absolute error is 1e-7.
    """
    if logits.device.type != "cpu":
        return F.binary_cross_entropy_with_logits(logits.float(), targets.float(), reduction="none")
    return _CrossEntropy.apply(logits.float(), targets.float())


class _CrossEntropy(torch.autograd.Function):
    """max(l,0) - l t - log sigmoid(|l|), which has the gradient sigmoid(l) - t."""

    generate_vmap_rule = True

    @staticmethod
    def forward(logits: Tensor, targets: Tensor) -> Tensor:
        logarithm = logits.abs().sigmoid_().log_()
        return logits.clamp_min(0).addcmul_(logits, targets, value=-1).sub_(logarithm)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, Tensor | None]:
        logits, targets = ctx.saved_tensors
        of_logits = (logits.sigmoid() - targets).mul_(upstream[0]) if ctx.needs_input_grad[0] else None
        return of_logits, -logits * upstream[0] if ctx.needs_input_grad[1] else None


def bernoulli_nll(logits: Tensor, images: Tensor) -> Tensor:
    """-log p(x|z) of images (B,C,H,W) in [0,1], summed over pixels, mean over the batch: nats per image."""
    return bernoulli_cross_entropy(logits, images).sum() / len(images)


def gaussian_nll(logits: Tensor, images: Tensor) -> Tensor:
    """-log N(x; sigmoid(logits), I), summed over pixels, mean over the batch: nats per image."""
    return 0.5 * summed_squared_error(logits, images) + _gaussian_constant(images)


def summed_squared_error(logits: Tensor, images: Tensor) -> Tensor:
    """(x - sigmoid(logits))^2, summed over pixels, mean over the batch: squared pixel values per image."""
    return F.mse_loss(logits.sigmoid(), images, reduction="sum") / len(images)


def reconstruction_error(kind: Error, logits: Tensor, images: Tensor) -> Tensor:
    """What an autoencoder lowers, a scalar per image: cross-entropy in nats (bce), or squared error (mse)."""
    return bernoulli_nll(logits, images) if kind == "bce" else summed_squared_error(logits, images)


def nll(likelihood: Likelihood, logits: Tensor, images: Tensor) -> Tensor:
    """-log p(x|z), mean over the batch: nats per image."""
    return bernoulli_nll(logits, images) if likelihood == "bernoulli" else gaussian_nll(logits, images)


def log_likelihood(likelihood: Likelihood, logits: Tensor, images: Tensor) -> Tensor:
    """log p(x|z) of each image: (B,C,H,W) twice -> (B,) nats."""
    logits = logits.float()
    if likelihood == "bernoulli":
        return -bernoulli_cross_entropy(logits, images).flatten(1).sum(1)
    return -0.5 * (images - logits.sigmoid()).square().flatten(1).sum(1) - _gaussian_constant(images)


def _gaussian_constant(images: Tensor) -> float:
    """-log of a unit Gaussian's density at its mean, in nats per image."""
    return 0.5 * log(2 * pi) * images[0].numel()
