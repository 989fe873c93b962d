"""Variational autoencoder. Kingma and Welling 2014, arXiv:1312.6114, equations 7 and 10; beta: Higgins et al. 2017.

B images, C channels, H=W pixels, D features, L latent dimensions.
The loss is the negative evidence lower bound in nats per image: the reconstruction term summed over pixels, plus beta
times the divergence of q(z|x) = N(mu, sigma^2) from N(0, I). The representation is mu, never a draw of z.
Differs from the paper: a convolutional decoder by default, AdamW, and grey values as Bernoulli means, as is common.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.batches import Batch
from harness.hookspecs import hookimpl
from harness.nn.backbone import Backbone
from harness.nn.decoders import ConvDecoder, MlpDecoder
from harness.records import ImageSpec
from harness.specs import MethodSpec


@dataclass(frozen=True, kw_only=True)
class Config:
    latent_dim: int = 32  # L
    beta: float = 1.0  # weight of the divergence; 1 is the evidence lower bound
    decoder: Literal["conv", "mlp"] = "conv"  # mlp: one hidden layer
    hidden: int = 400  # units of the mlp decoder's hidden layer

    def __post_init__(self) -> None:
        if self.latent_dim < 1 or self.hidden < 1:
            raise ValueError("latent_dim and hidden must be at least 1")
        if self.beta < 0:
            raise ValueError("beta must not be negative")


class VAE(nn.Module):
    def __init__(self, backbone: Backbone, data: ImageSpec, config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.posterior = nn.Linear(backbone.dim, 2 * config.latent_dim)  # (B,D) -> (B,2L)
        conv = config.decoder == "conv"
        self.decoder = (
            ConvDecoder(config.latent_dim, data) if conv else MlpDecoder(config.latent_dim, data, config.hidden)
        )

    def loss(self, batch: Batch) -> Tensor:
        mu, log_variance = self.posterior(self.backbone(batch.inputs)).chunk(2, dim=1)  # (B,L) twice
        z = mu + torch.randn_like(mu) * (0.5 * log_variance).exp()  # (B,L)
        reconstruction = bernoulli_nll(self.decoder(z), batch.inputs)
        divergence = kl_from_standard_normal(mu, log_variance)
        batch.log("reconstruction", reconstruction)
        batch.log("divergence", divergence)
        return reconstruction + self.config.beta * divergence  # nats per image

    def encode(self, images: Tensor) -> Tensor:
        return self.posterior(self.backbone(images)).chunk(2, dim=1)[0]  # mu (B,L)

    def code(self, images: Tensor) -> Tensor:
        return self.encode(images)  # (B,L)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z).sigmoid()  # (B,C,H,W)

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))

    def code_bits(self) -> float:
        return 32.0 * self.config.latent_dim  # mu as float32

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        z = torch.randn(n, self.config.latent_dim, generator=generator)
        return self.decode(z.to(self.posterior.weight.device))

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        a, b = self.encode(start)[:, None], self.encode(end)[:, None]  # (B,1,L)
        weight = torch.linspace(0, 1, steps, device=a.device, dtype=a.dtype)[:, None]  # (P,1)
        path = a + (b - a) * weight  # (B,P,L)
        return self.decode(path.flatten(0, 1)).unflatten(0, (len(start), steps))  # (B,P,C,H,W)


def bernoulli_nll(logits: Tensor, images: Tensor) -> Tensor:
    """-log p(x|z) of images (B,C,H,W) in [0,1], summed over pixels, mean over the batch: nats per image."""
    return F.binary_cross_entropy_with_logits(logits, images, reduction="sum") / len(images)


def kl_from_standard_normal(mu: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mu, sigma^2) || N(0, I)) of (B,L), summed over dimensions, mean over the batch: nats per image."""
    return -0.5 * (1 + log_variance - mu.square() - log_variance.exp()).sum(1).mean()


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="vae", kind="model", build=VAE, config=Config, source="arXiv:1312.6114")
