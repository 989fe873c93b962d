"""A Gaussian around decoded images whose one variance is learned, and so needs no tuning.

Rybkin et al. 2021, arXiv:2006.13202, section 3.3. B images, C channels, H=W pixels. A decoder gives logits (B,C,H,W);
their sigmoid is the mean.
"""

from __future__ import annotations

from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST = 1e-6  # variance, in squared pixel values
FORGETTING = 0.1  # weight of a batch in the moving average


class CalibratedGaussian(nn.Module):
    """p(x|z) = N(x; sigmoid(logits), v I), with one v for all values of all images.

    In training v is the mean squared error of the batch: of all variances that one makes it the most likely. Its moving
    average is what images are judged by afterwards.
    """

    variance: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("variance", torch.ones(()))  # v, in squared pixel values

    def nll(self, logits: Tensor, images: Tensor) -> Tensor:
        """-log p(x|z) of images (B,C,H,W), summed over pixels, mean over the batch: nats per image."""
        if not self.training:
            return -self.log_likelihood(logits, images).mean()
        variance = F.mse_loss(logits.detach().float().sigmoid(), images).clamp_min(SMALLEST)
        self.variance.lerp_(variance, FORGETTING)
        return -gaussian_log_likelihood(logits, images, variance).mean()

    def log_likelihood(self, logits: Tensor, images: Tensor) -> Tensor:
        """log p(x|z) of each image: (B,C,H,W) twice -> (B,) nats. It is a density of values in [0,1]: it may be > 0."""
        return gaussian_log_likelihood(logits, images, self.variance)


def gaussian_log_likelihood(logits: Tensor, images: Tensor, variance: Tensor) -> Tensor:
    """log N(x; sigmoid(logits), variance I) of each image: (B,C,H,W) twice -> (B,) nats."""
    error = (images - logits.float().sigmoid()).square().flatten(1).sum(1)  # (B,)
    return -0.5 * (error / variance + images[0].numel() * (2 * pi * variance).log())
