"""Codes between an encoder and a decoder: the line from one to another, how many units carry something, their Gaussian.

B images, L latent dimensions, P interpolation steps, C channels, H=W pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

ACTIVE = 0.01  # Var of a unit over images above which it is active: Burda et al. 2016, arXiv:1509.00519, section 5.2


def decoded_line(decode: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Decode `steps` codes, evenly spaced on the line from start (B,L) to end (B,L), both included: (B,P,C,H,W)."""
    weight = torch.linspace(0, 1, steps, device=start.device, dtype=start.dtype)[:, None]  # (P,1)
    path = start[:, None] + (end - start)[:, None] * weight  # (B,P,L)
    return decode(path.flatten(0, 1)).unflatten(0, (len(start), steps))


def active_units(codes: Tensor) -> Tensor:
    """How many units of (B,L) vary from image to image: the number with a variance above 0.01, a float scalar.

    >>> active_units(torch.tensor([[0.0, 1.0, 5.0], [1.0, 1.0, 5.1]]))
    tensor(1.)
    """
    return (codes.detach().float().var(0) > ACTIVE).sum().float()


class CodeGaussian(nn.Module):
    """The Gaussian of a training's latest codes, to sample an autoencoder from: Ghosh et al. 2020, arXiv:1903.12436.

    Differs from the paper: moments are a moving average over batches in training, since no pass over the data
    follows it. The first 1 / (1 - decay) batches count alike; before any batch it is N(0, I).
    """

    mean: Tensor
    covariance: Tensor
    batches: Tensor

    def __init__(self, dim: int, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay  # of older batches, per batch
        self.register_buffer("mean", torch.zeros(dim))  # (L,)
        self.register_buffer("covariance", torch.eye(dim))  # (L,L)
        self.register_buffer("batches", torch.zeros(()))  # seen so far

    @torch.no_grad()
    def update(self, codes: Tensor) -> None:
        """Take in a batch of codes (B,L): the moments of the old and the new codes' mixture."""
        codes = codes.detach().float()
        self.batches += 1
        weight = (1 / self.batches).clamp_min(1 - self.decay)  # of the new batch
        mean = codes.mean(0)
        centred = codes - mean
        step = mean - self.mean
        between = weight * (1 - weight) * torch.outer(step, step)
        with torch.autocast(codes.device.type, enabled=False):
            within = centred.T @ centred / len(codes)  # (L,L)
        self.covariance.lerp_(within, weight).add_(between)
        self.mean.add_(weight * step)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n codes (n,L), from this CPU generator alone, on the device of the moments."""
        covariance = self.covariance.double().cpu()
        least = 1e-6 * covariance.diagonal().mean() + 1e-12  # keeps units that never vary factorisable
        root = torch.linalg.cholesky(covariance + least * torch.eye(len(covariance), dtype=torch.float64))
        noise = torch.randn(n, len(root), generator=generator, dtype=torch.float64)
        return (self.mean.double().cpu() + noise @ root.T).float().to(self.mean.device)
